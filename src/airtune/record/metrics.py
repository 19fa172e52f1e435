"""Metrics of a cell, one line a round, flushed to disk before the next round begins."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from airtune.record.cells import Cell
from airtune.record.documents import MetricsLine


def append_metrics(cell: Cell, line: Mapping[str, Any]) -> None:
    """Append one line to metrics.jsonl and flush it to disk."""
    cell.folder.mkdir(parents=True, exist_ok=True)
    with cell.metrics_file.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, allow_nan=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_metrics(cell: Cell) -> list[dict[str, Any]]:
    """Return the lines of metrics.jsonl as they stand there; a torn last line is left out."""
    path = cell.metrics_file
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1] if line]


def read_history(cell: Cell) -> list[MetricsLine]:
    """Return the rounds of metrics.jsonl, typed; a torn last line is left out."""
    return [MetricsLine.model_validate(line) for line in read_metrics(cell)]
