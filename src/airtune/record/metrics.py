"""Metrics of a cell, one line a round, flushed to disk before the next round begins."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from airtune.errors import InputError
from airtune.record.cells import Cell
from airtune.record.documents import MetricsLine
from airtune.record.files import parse


def append_metrics(cell: Cell, line: Mapping[str, Any]) -> None:
    """Append one line to metrics.jsonl and flush it to disk."""
    cell.folder.mkdir(parents=True, exist_ok=True)
    with cell.metrics_file.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, allow_nan=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_metrics(cell: Cell) -> list[dict[str, Any]]:
    """Return the lines of metrics.jsonl as they stand there; a torn last line is left out.

    Raises
    ------
    InputError
        A line before the last is not a JSON object.
    """
    return [content for _, content in _lines(cell)]


def read_history(cell: Cell) -> list[MetricsLine]:
    """Return the rounds of metrics.jsonl, typed; a torn last line is left out.

    Raises
    ------
    InputError
        A line before the last is not a round.
    """
    return [parse(content, MetricsLine, where) for where, content in _lines(cell)]


def _lines(cell: Cell) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the beginning of a message about each whole line, and the line's content."""
    path = cell.metrics_file
    if not path.is_file():
        return
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        if not line:
            continue
        where = f"{path}: line {number} is"
        try:
            content = json.loads(line)
        except ValueError as error:
            raise InputError(f"{where} not valid JSON ({error})") from None
        if not isinstance(content, dict):
            raise InputError(f"{where} not a JSON object")
        yield where, content
