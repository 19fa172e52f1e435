"""A full disk: one message with the file and the room, exit code 1, and nothing lost."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from airtune import cli, record
from airtune.errors import FailedError, InputError
from airtune.scenario import Scenario


@pytest.fixture
def cell(tmp_path: Path) -> record.Cell:
    return record.Cell(tmp_path / "fixed" / "seed-0", "fixed", 0)


def fill(monkeypatch: pytest.MonkeyPatch, code: int = errno.ENOSPC) -> None:
    def full(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("os.fsync", full)


def test_the_message_names_file_and_room(
    cell: record.Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    record.append_metrics(cell, {"round": 0})
    record.save_checkpoint(cell, 0, {"a": np.zeros(3)}, {})
    size = (cell.checkpoint_folder / "round-000000.safetensors").stat().st_size
    fill(monkeypatch)
    with pytest.raises(
        FailedError, match=rf"round-000001\.safetensors: .*No space.*{size} B needed, .*fr"
    ):
        record.save_checkpoint(cell, 1, {"a": np.ones(3)}, {})
    monkeypatch.undo()
    loaded = record.load_checkpoint(cell)
    assert loaded is not None
    assert loaded[0] == 0
    assert len(list(cell.checkpoint_folder.iterdir())) == 2


def test_other_reasons_are_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(monkeypatch, errno.EROFS)
    with pytest.raises(InputError, match=r"x\.json: cannot be written \(Read-only"):
        record.write_json(tmp_path / "x.json", {})
    with pytest.raises(InputError, match="cannot be written"):
        record.create(tmp_path / "run", Scenario(), "run")
    assert list(tmp_path.iterdir()) == []


def test_libraries_that_are_not_of_python_are_understood(tmp_path: Path) -> None:
    class RustError(Exception):
        pass

    with (
        pytest.raises(FailedError, match="adapter: cannot be written: No space"),
        record.writing(tmp_path / "adapter"),
    ):
        raise RustError("Error while serializing: I/O error: No space left (os error 28)")
    with pytest.raises(RustError), record.writing(tmp_path / "adapter"):
        raise RustError("no such thing")


def test_the_command_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(monkeypatch)
    out = tmp_path / "run"
    arguments = ["run", "quickstart", "--scheme", "fixed", "--out", str(out)]
    monkeypatch.setattr("sys.argv", ["airtune", *arguments])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert str(out / "scenario.yaml") in said[0]
    assert "free" in said[0]
