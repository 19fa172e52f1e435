"""Metrics of a forged length or without an end are told in one message, and cost no memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from airtune import record
from airtune.errors import InputError
from airtune.record import documents


@pytest.fixture
def cell(tmp_path: Path) -> record.Cell:
    return record.Cell(tmp_path / "movable" / "seed-0", "movable", 0)


@pytest.mark.parametrize("claimed", [10**19, 10**15, 10**6])
def test_a_forged_length_of_the_metrics_is_damage(cell: record.Cell, claimed: int) -> None:
    record.append_metrics(cell, {"round": 0})
    record.save_checkpoint(cell, 0, {"a": np.zeros(2)}, {})
    path = cell.checkpoint_folder / "state.json"
    content = record.read_json(path)
    del content["sha256"]
    content["metrics"]["bytes"] = claimed
    record.write_document(path, documents.CheckpointDocument, content, sealed=True)
    with pytest.raises(InputError, match=r"metrics\.jsonl: has been changed or damaged"):
        record.load_checkpoint(cell)


@pytest.mark.parametrize("size", [100 << 30, 300 << 20])
def test_metrics_without_an_end_are_refused(
    cell: record.Cell, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Of zeros, as a file has them that was never written: in all too many, or in one line."""
    record.append_metrics(cell, {"round": 0})
    with cell.metrics_file.open("r+b") as file:
        file.truncate(size)
    monkeypatch.setattr("airtune.memory.total_bytes", lambda: 50 << 30)
    told = "its rounds need about 600 GiB" if size > 50 << 30 else "line 2 is longer than"
    monkeypatch.setattr("airtune.record.metrics.LARGEST", 1 << 16)
    for read in (record.read_metrics, record.read_history):
        with pytest.raises(InputError, match=rf"metrics\.jsonl: {told}") as refused:
            read(cell)
        assert len(str(refused.value)) <= 400
