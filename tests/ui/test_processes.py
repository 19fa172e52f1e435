"""Runs as processes: started, found again, stopped, and never taken for another one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
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
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background has it ignored
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
    born = processes._born(os.getpid()) or f"{psutil.Process().create_time():.2f}"
    (notes / "x.json").write_text(json.dumps({"pid": os.getpid(), "born": born if own else "1"}))
    assert not started.of("x").running
    with pytest.raises(InputError):
        started.stop("x")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"pid": "1", "born": "1"}', '{"pid": -1}'])
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


@pytest.mark.parametrize("make", [os.symlink, os.link])
def test_a_log_is_not_written_through_a_link(
    started: Processes, tmp_path: Path, make: Callable[[Path, Path], None]
) -> None:
    victim, notes = tmp_path / "victim", started.root / processes.NOTES
    victim.write_text("mine")
    notes.mkdir()
    make(victim, notes / "one.log")
    started.start("one", "0", "0")
    until(lambda: "began" in started.tail("one"))
    assert victim.read_text() == "mine"


def test_nothing_is_read_or_removed_through_a_linked_folder(tmp_path: Path) -> None:
    root, away = tmp_path / "runs", tmp_path / "away"
    root.mkdir()
    away.mkdir()
    for suffix in ("json", "log"):
        (away / f"one.{suffix}").write_text('{"pid": 1, "code": 2}')
    (root / processes.NOTES).symlink_to(away)
    linked = Processes(root)
    linked.forget("one")
    assert len(list(away.iterdir())) == 2
    assert (linked.tail("one"), linked.of("one"), linked.names()) == ("", Process(False), set())


def test_a_changed_note_does_not_turn_the_signal_to_another_process(started: Processes) -> None:
    foreign = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    try:
        started.start("one", "100", "0")
        until(lambda: "began" in started.tail("one"))
        note = started.root / processes.NOTES / "one.json"
        note.write_text(json.dumps(json.loads(note.read_text()) | {"pid": foreign.pid}))
        with pytest.raises(InputError):
            Processes(started.root).stop("one")
        started.stop("one")
        until(lambda: not started.of("one").running)
        assert "saved" in started.tail("one")
        assert foreign.poll() is None
    finally:
        foreign.kill()
        foreign.wait()


def test_a_server_leaves_the_note_of_a_run_that_another_has_started_again(
    started: Processes,
) -> None:
    started.start("one", "0", "2")
    child = started._children["one"]
    child.wait()
    other = sleeping(started.root)
    other.start("one", "100", "0")
    try:
        until(lambda: "began" in other.tail("one"))
        assert started.of("one") == Process(running=True)
        with pytest.raises(InputError, match="is running"):
            started.start("one", "0", "0")
        assert Processes(started.root).of("one").running
    finally:
        other._children["one"].kill()
        other._children["one"].wait()


def test_a_run_is_found_again_after_the_clock_was_set(
    started: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    started.start("one", "100", "0")
    until(lambda: "began" in started.tail("one"))
    made = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: made(self) + 3600)
    assert Processes(started.root).of("one").running


def test_many_threads_may_ask_and_one_of_them_starts(started: Processes) -> None:
    told: list[object] = []

    def begin() -> None:
        try:
            started.start("one", "0.3", "0")
            told.append("started")
        except InputError as error:
            told.append(str(error))

    def ask() -> None:
        try:
            for _ in range(200):
                started.of("one")
        except BaseException as error:
            told.append(error)

    threads = [threading.Thread(target=work) for work in (begin, begin, begin, ask, ask, ask)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told.count("started") == 1
    assert len(told) == 3
    assert all(text == "started" or "is running" in str(text) for text in told)
    until(lambda: started.of("one").code == 0)


def test_notes_are_not_written_through_a_link(started: Processes, tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    (started.root / processes.NOTES).symlink_to(tmp_path / "away")
    with pytest.raises(InputError, match="link"):
        started.start("one", "0", "0")
    assert list((tmp_path / "away").iterdir()) == []
