"""Messages name files as they were typed: relative to the folder in which the command was."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path

import pytest

from airtune import record
from airtune.cli import main
from airtune.errors import InputError, as_typed, clip, shown, spoken, typed_here
from airtune.scenario import Scenario

ODD = ["plain", "two words", "it's", 'a "b"', "näme", "a\nb", "(x)", "a=b", "-x", "q" * 230, "x.*["]


@pytest.mark.parametrize("name", [*ODD, os.fsdecode(b"\xff\xfe")])
def test_paths_below_the_working_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / name
    here.mkdir()
    monkeypatch.chdir(here)
    path = Path("runs", "finished.json").absolute()
    with typed_here():
        assert clip(path) == "runs/finished.json"
        assert shown(str(path))[1:-1] == "runs/finished.json"
        assert str(InputError(f"{path}: damaged")) == "runs/finished.json: damaged"
        assert str(InputError(f"--out {path}: damaged")) == "--out runs/finished.json: damaged"
        assert spoken(f"warning: {path}: gone") == "airtune: warning: runs/finished.json: gone"
        assert clip(Path("../other/x").absolute()) == "../other/x"
        assert clip(here) == "." and as_typed(here) == Path()
        assert as_typed(path) == Path("runs/finished.json")
    assert as_typed(path) == path


def test_other_paths_and_values_of_settings_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    texts = [
        f"{tmp_path}/hereafter: x",
        f"{tmp_path}: x",
        f"/mnt{tmp_path}/here/x: x",
        f"cache = '{tmp_path}/here/cache': x",
        f"--set cache={tmp_path}/here/cache",
    ]
    with typed_here():
        assert [str(InputError(text)) for text in texts] == texts
    monkeypatch.chdir("/")
    with typed_here():
        assert str(InputError(texts[0])) == texts[0]
        assert as_typed(tmp_path) == tmp_path


def test_a_working_folder_that_has_been_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with typed_here():
        assert clip(gone / "x") == str(gone / "x")
    monkeypatch.chdir(tmp_path)


def test_the_folder_stays_where_the_command_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with typed_here(), contextlib.chdir("elsewhere"):
        assert clip(tmp_path / "elsewhere" / "x") == "elsewhere/x"


def called(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run a command in this process; its exit code, stdout and stderr."""
    known = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.MonkeyPatch.context() as patched, pytest.raises(SystemExit) as ended:
        patched.setattr("sys.argv", ["airtune", *words])
        try:
            main()
        finally:
            for number, handler in known:
                signal.signal(number, handler)
    said = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, said.out, said.err


def test_a_damaged_run_is_named_as_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A warning and a refusal, of two commands one after the other in one process."""
    (tmp_path / "typed" / "begun").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "typed")
    run = record.create(Path("run"), Scenario(schemes=("fixed",)), "run")
    path = run.folder / record.names.RUN
    document = json.loads(path.read_text())
    document.pop("sha256")
    document["directory"] = str(tmp_path / "typed" / "begun")
    path.write_text(json.dumps(document))
    (cell,) = run.cells
    cell.folder.mkdir(parents=True)
    (cell.folder / record.names.FINISHED).write_text("{")
    for _ in range(2):
        code, _, told = called(["resume", "run"], capsys)
        assert code == 2
        warning, refusal = told.splitlines()
        assert warning.startswith("airtune: warning: run/run.json: has no seal")
        assert refusal.startswith("airtune: run/fixed/seed-0/finished.json: ")
        assert str(tmp_path) not in told
