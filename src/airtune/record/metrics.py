"""Metrics of a cell, one line a round, flushed to disk before the next round begins."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from airtune.errors import InputError, clip
from airtune.memory import PARSED, demand
from airtune.record.cells import Cell
from airtune.record.documents import MetricsLine
from airtune.record.files import LARGEST, parse, parse_json, remedy
from airtune.record.whole import append, open_file, own_folders


def append_metrics(cell: Cell, line: Mapping[str, Any]) -> None:
    """Append one line to metrics.jsonl and flush it to disk.

    Raises
    ------
    FailedError
        The disk is full or fails.
    InputError
        The file may not be written, or is a link.
    """
    own_folders(cell.folder.parent, cell.folder)
    append(cell.metrics_file, (json.dumps(line, allow_nan=False) + "\n").encode())


def read_metrics(cell: Cell) -> list[dict[str, Any]]:
    """Return the lines of metrics.jsonl as they stand there; a torn last line is left out.

    Raises
    ------
    InputError
        A line before the last is not a JSON object, one has no end, or all do not fit into the
        memory.
    """
    return [content for _, content in _lines(cell)]


def read_history(cell: Cell) -> list[MetricsLine]:
    """Return the rounds of metrics.jsonl, typed; a torn last line is left out.

    Raises
    ------
    InputError
        A line before the last is not a round; otherwise as of `read_metrics`.
    """
    return [
        parse(content, MetricsLine, where, remedy(cell.metrics_file))
        for where, content in _lines(cell)
    ]


def _lines(cell: Cell) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the beginning of a message about each whole line, and the line's content."""
    path = cell.metrics_file
    if not path.exists() and not path.is_symlink():
        return
    hint = remedy(path)
    try:
        with open_file(path) as file:
            demand(f"{clip(path)}: its rounds", PARSED * os.fstat(file.fileno()).st_size)
            for number, line in enumerate(iter(partial(file.readline, LARGEST + 1), b""), 1):
                if len(line) > LARGEST:
                    raise InputError(f"{path}: line {number} is longer than {LARGEST} bytes{hint}")
                if not line.endswith(b"\n"):
                    return
                if not line.strip():
                    continue
                where = f"{path}: line {number} is"
                content = parse_json(line, where, hint)
                if not isinstance(content, dict):
                    raise InputError(f"{where} not a JSON object{hint}")
                yield where, content
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}){hint}") from None
