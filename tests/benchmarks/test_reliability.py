"""The trials that break runs: what they count, write down and take for right."""

from __future__ import annotations

import importlib
import json
import logging
import random
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import reliability_page
from airtune import record
from trials import corrupt, processes, tiny, two_processes, writes
from trials.processes import Ended, Process
from trials.results import Results


def test_a_try_is_written_at_once_and_made_once(tmp_path: Path) -> None:
    path, made = tmp_path / "reliability-kills.json", []

    def work(**found: object) -> dict[str, object]:
        made.append(found)
        return found

    results = Results(path, "kills")
    results.attempt("run-0", "run", lambda: work(kills=2))
    results.attempt("run-1", "run", lambda: work(kills=1, wrong="it hangs"))
    again = Results(path, "kills")
    again.attempt("run-0", "run", lambda: work(kills=9))
    again.attempt("run-1", "run", lambda: work(kills=1))  # what went wrong stays written down
    assert (again.failed, len(made)) == (1, 2)
    anew = Results(path, "kills", anew=True)
    anew.attempt("run-0", "run", lambda: work(kills=2))
    anew.attempt("run-1", "run", lambda: work(kills=1))
    assert (anew.failed, len(made)) == (0, 4)
    content = json.loads(path.read_text())
    assert content["summary"] == [{"of": "run", "tries": 2, "passed": 2, "kills": 3}]
    assert [one["name"] for one in content["tries"]] == ["run-0", "run-1"]


def test_each_try_says_at_which_state_it_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of the earlier form has one entry, of its first try; what is new is numbered."""
    path, here = tmp_path / "reliability-kills.json", {"cpu_count": 2, "processor": "x86"}
    here |= {"python": "3.12", "commit": "a" * 40, "commit_modified": False, "date": "Monday"}
    old = {"name": "run-0", "of": "run", "passed": True}
    path.write_text(json.dumps({"part": "kills", "tries": [old], "environment": here}))
    for name, change in (
        ("run-1", {"date": "Tuesday"}),
        ("run-2", {"commit_modified": True}),
        ("run-3", {"commit": "b" * 40}),
        ("run-4", {"commit_modified": True, "date": "Friday"}),
    ):
        monkeypatch.setattr(record, "environment", lambda _, change=change: here | change)
        Results(path, "kills").attempt(name, "run", dict)
    content = json.loads(path.read_text())
    assert [one.get("environment") for one in content["tries"]] == [None, 0, 1, 2, 1]
    assert len(content["environments"]) == 3
    monkeypatch.setattr(reliability_page, "read", lambda part: content if part == "kills" else None)
    page = "\n".join(reliability_page.disturbed())
    assert "commit aaaaaaa, aaaaaaa with changed files, bbbbbbb." in page


def test_how_a_command_ends_is_judged() -> None:
    def wrong(code: int, err: str) -> str | None:
        return Ended(code, "", err, 0.0).wrong([0, 2])

    assert wrong(0, "airtune: warning: damaged") is None
    assert wrong(2, "airtune: x.json: not valid JSON") is None
    assert "0 messages" in (wrong(2, "") or "")
    assert "2 messages" in (wrong(2, "airtune: one\nairtune: two") or "")
    assert "501 characters" not in (wrong(2, "airtune: " + "x" * 391) or "")
    assert "characters" in (wrong(2, "airtune: " + "x" * 500) or "")
    said = "airtune: warning: " + "x" * 382
    assert wrong(0, said) is None  # 400 characters
    assert "401 characters" in (wrong(0, f"{said}x") or "")
    assert "401 characters" in (wrong(2, f"{said}x\nairtune: no") or "")
    assert "traceback" in (wrong(0, "Traceback (most recent call last):\nKeyError: 3") or "")
    assert "exit code -9" in (wrong(-9, "") or "")


def test_a_command_that_hangs_is_not_taken_for_a_killed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless() -> None:
        while True:
            pass

    monkeypatch.setattr(processes, "CPU_S", 1)
    busy = Process(["--version"], tmp_path, endless).wait()
    assert busy.hung
    assert "hung" in (busy.wrong([0, -signal.SIGXCPU]) or "")
    waiting = Process(["--version"], tmp_path, lambda: time.sleep(60)).wait(seconds=0.2)
    assert waiting.hung
    killed = Process(["--version"], tmp_path, lambda: time.sleep(60)).kill()
    assert killed.code == -signal.SIGKILL
    assert not killed.hung


def test_a_command_beside_a_run_is_refused_by_the_lock() -> None:
    worked = Ended(0, "", "", 0.0)

    def wrong(said: str, *, again: bool) -> str | None:
        return two_processes.wrong_of([worked, Ended(2, "", said, 0.0)], again=again)

    locked = "airtune: run: another process is writing this run; wait until it has ended"
    taken = "airtune: --out run: must be a new or an empty folder (`airtune resume` goes on)"
    empty = "airtune: run: is not a run folder"
    for again in (True, False):
        assert wrong(locked, again=again) is None
        assert "not by the lock" in (wrong(empty, again=again) or "")
        both = two_processes.wrong_of([worked, worked], again=again)
        assert "exit codes [0, 0]" in (both or "")
    assert wrong(taken, again=True) is None
    assert "not by the lock" in (wrong(taken, again=False) or "")


def test_a_resume_that_finds_a_run_at_its_end_is_no_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = "fixed: round 3/3, loss 5.857; done, 1/1 cells"
    first = working = Ended(0, "fixed: 3 rounds", rounds, 0.0)
    idle = Ended(0, "run: is finished, nothing is left to run; its results:", "", 0.0)
    assert two_processes.found_it_over(first, idle)
    assert not two_processes.found_it_over(first, working)
    assert not two_processes.found_it_over(first, Ended(2, "", "", 0.0))

    class Command:
        def __init__(self, ended: Ended) -> None:
            self.wait = lambda: ended

        def poll(self) -> None:
            return None

    locked = Ended(2, "", f"airtune: run: {two_processes.LOCKED}; wait", 0.0)
    resumed = [Command(idle), Command(locked)]
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(two_processes.shutil, "rmtree", lambda out, ignore_errors: None)
    (tmp_path / "run" / "run.json").touch()
    monkeypatch.setattr(tiny, "start", lambda kind, out, cache: Command(first))
    monkeypatch.setattr(tiny, "resume", lambda out: resumed.pop(0))
    monkeypatch.setattr(tiny, "differences", lambda out, whole: None)
    whole = SimpleNamespace(
        kind="run", scratch=tmp_path, seconds=0.01, cache=tmp_path, folder=tmp_path
    )
    found = two_processes._attempt(whole, "resume", random.Random(0))
    assert found["locked"] == 1
    assert "wrong" not in found
    assert not resumed
    resumed.append(Command(idle))
    monkeypatch.setattr(tiny, "differences", lambda out, whole: "a round is missing")
    assert "exit codes [0, 0]" in two_processes._attempt(whole, "resume", random.Random(0))["wrong"]


def test_pairs_are_tried_until_the_lock_has_refused_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every third try finds a run there, and does not count; one that went wrong does."""
    made: dict[str, int] = {}

    def attempt(whole: str, second: str, chance: object) -> dict[str, Any]:
        number = made[second] = made.get(second, 0) + 1
        locked = int(number % 3 > 0)
        wrong = {"wrong": "it hangs"} if (second, number) == ("resume", 3) else {}
        return {"locked": locked, "taken": 1 - locked, **wrong}

    monkeypatch.setattr(two_processes, "load_libraries", lambda: None)
    monkeypatch.setattr(two_processes, "Whole", lambda first, scratch: first)
    monkeypatch.setattr(two_processes, "_attempt", attempt)
    monkeypatch.setattr(two_processes, "PAIRS", (("compare", "compare"), ("run", "resume")))
    results = Results(tmp_path / "reliability-two-processes.json", "two-processes")
    two_processes.run(results, tmp_path / "work", reduced=False)
    one, other = results.summary()
    assert (one["locked"], one["taken"], one["tries"]) == (10, 4, 14)
    assert (other["locked"], other["passed"], other["tries"]) == (9, 12, 13)
    before = len(results.tries)
    two_processes.run(results, tmp_path / "again", reduced=False)
    assert len(results.tries) == before


def test_only_changes_below_the_folder_count(tmp_path: Path) -> None:
    below = str(tmp_path)
    assert writes._is_change("open", (tmp_path / "x", "w", 0), below)
    assert not writes._is_change("open", (tmp_path / "x", "r", 0), below)
    assert not writes._is_change("open", (tmp_path.parent / "x", "w", 0), below)
    assert writes._is_change("os.rename", (tmp_path / "x", tmp_path / "y", -1, -1), below)
    assert writes._is_change("os.link", (tmp_path / "x", tmp_path / "y", -1, -1), below)
    assert not writes._is_change("os.listdir", (tmp_path,), below)


def test_runs_are_compared_without_their_clocks(tmp_path: Path) -> None:
    for name, seconds in (("one", 1.0), ("other", 2.0)):
        (tmp_path / name).mkdir()
        document = {"loss": 0.5, "round_wall_s": seconds, "environment": {"date": seconds}}
        (tmp_path / name / "results.json").write_text(json.dumps(document))
    assert tiny.differences(tmp_path / "one", tmp_path / "other") is None
    (tmp_path / "one" / "x.tmp").touch()
    assert "x.tmp" in (tiny.differences(tmp_path / "one", tmp_path / "other") or "")
    (tmp_path / "one" / "x.tmp").unlink()
    (tmp_path / "one" / "results.json").write_text('{"loss": 0.6}')
    assert "results.json" in (tiny.differences(tmp_path / "one", tmp_path / "other") or "")


def test_the_reduced_form_damages_a_run_of_each_kind() -> None:
    checkpoint = "fixed/seed-0/checkpoint"
    names = ["run.json", f"{checkpoint}/previous.json", f"{checkpoint}/state.json"]
    tries = [(name, damage, "resume") for name in names for damage in corrupt.DAMAGES]
    assert corrupt._some(tries, corrupt._interrupted) == [(names[2], "a cut", "resume")]
    some = corrupt._some(tries, corrupt._finished)
    assert 12 <= len(some) <= 16
    assert {name for name, _, _ in some} == set(names)


def test_a_run_that_fell_back_is_counted(tmp_path: Path) -> None:
    results = Results(tmp_path / "x.json", "corrupt-run-folder")
    for number, warnings in enumerate((0, 1, 1)):
        results.attempt(
            str(number), "resume", lambda n=warnings: {"warnings": n, "fell_back": n, "exit_0": 1}
        )
    (row,) = results.summary()
    assert (row["warnings"], row["fell_back"]) == (2, 2)
    assert reliability_page._more(row) == (
        "2 warnings, 2 went on from the checkpoint before, exit code 0: 3"
    )


def test_libraries_are_imported_without_hints_of_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    """bitsandbytes advises, on its first import, kernels that are not used here."""
    adviser = logging.getLogger("bitsandbytes.backends.cpu.ops")
    monkeypatch.setattr(adviser, "level", logging.NOTSET)
    levels: dict[str, int] = {}
    real = importlib.import_module

    def imported(name: str) -> Any:
        if name.startswith("airtune.learning.quiet"):
            return real(name)
        levels[name] = adviser.getEffectiveLevel()
        return SimpleNamespace(KINDS=[1, 2], set_num_threads=lambda count: None)

    monkeypatch.setattr(processes.importlib, "import_module", imported)
    processes.load_libraries()
    assert levels["peft"] >= logging.ERROR
    assert min(levels.values()) >= logging.ERROR
