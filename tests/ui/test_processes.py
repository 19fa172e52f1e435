"""Runs as processes: started, found again, stopped, and never taken for another one."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from airtune.errors import InputError
from airtune.ui import processes
from airtune.ui.processes import Process, Processes

SLEEPER = """
import signal, sys, time
print("began", *sys.argv[1:], flush=True)
try:
    time.sleep(float(sys.argv[2]))
except KeyboardInterrupt:
    print("saved", flush=True)
    sys.exit(130)
sys.exit(int(sys.argv[3]))
"""


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Processes]:
    """Processes whose command sleeps so long, and ends with such a code."""
    made = sleeping(tmp_path)
    yield made
    for child in made._children.values():
        child.kill()
        child.wait()


def sleeping(root: Path) -> Processes:
    made = Processes(root)
    made._command = [sys.executable, "-c", SLEEPER, "airtune.cli"]
    return made


def test_a_run_is_found_again_and_stopped_by_another_server(started: Processes) -> None:
    assert started.of("one") == Process(running=False)
    started.start("one", "100", "0")
    until(lambda: "began" in started.tail("one"))
    assert started.of("one") == Process(running=True)
    with pytest.raises(InputError, match="is running"):
        started.start("one", "1", "0")
    later = Processes(started.root)
    assert later.names() == {"one"}
    assert later.of("one").running
    later.stop("one")
    until(lambda: not started.of("one").running)
    assert started.of("one") == Process(running=False, code=130)
    assert later.of("one") == Process(running=False, code=130)
    assert "saved" in later.tail("one")
    with pytest.raises(InputError, match="no process"):
        later.stop("one")


def test_the_end_of_a_run_is_noticed(started: Processes) -> None:
    started.start("bad", "0", "2")
    until(lambda: started.of("bad").code == 2)
    started.forget("bad")
    assert started.names() == set()
    assert started.tail("bad") == ""


@pytest.mark.parametrize("own", [True, False])
def test_a_note_does_not_make_a_process_a_run(started: Processes, own: bool) -> None:
    """A folder from somebody else may name any process; numbers are given out again."""
    notes = started.root / processes.NOTES
    notes.mkdir()
    created = psutil.Process().create_time() if own else 1.0
    (notes / "x.json").write_text(json.dumps({"pid": os.getpid(), "created": created}))
    assert not started.of("x").running
    with pytest.raises(InputError):
        started.stop("x")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"pid": "1", "created": 1.0}', '{"pid": -1}'])
def test_notes_that_are_none_are_none(started: Processes, text: str) -> None:
    notes = started.root / processes.NOTES
    notes.mkdir()
    (notes / "x.json").write_text(text)
    assert not started.of("x").running


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", ".hidden", "a\nb", "x" * 151, "a\0"])
def test_names_that_are_no_folders_are_refused(started: Processes, name: str) -> None:
    with pytest.raises(InputError, match="name = "):
        started.start(name, "0", "0")
    assert started.tail(name) == ""
    assert not started.of(name).running


def test_what_lies_in_the_working_folder_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "click.py").write_text("from pathlib import Path\nPath('met').write_text('')\n")
    monkeypatch.chdir(tmp_path)
    real = Processes(tmp_path)
    real.start("one", "--help")
    until(lambda: real.of("one").code is not None)
    assert real.of("one").code == 0, real.tail("one")
    assert not (tmp_path / "met").exists()


def test_notes_are_not_written_through_a_link(started: Processes, tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    (started.root / processes.NOTES).symlink_to(tmp_path / "away")
    with pytest.raises(InputError, match="link"):
        started.start("one", "0", "0")
    assert list((tmp_path / "away").iterdir()) == []
