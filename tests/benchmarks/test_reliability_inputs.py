"""The campaign against wrong input: what counts as a failure, and the limits of a try."""

from __future__ import annotations

import itertools
import random
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

import forked
import hostile_files
import hostile_scenarios
import opening
from airtune.commands import failures
from airtune.errors import InputError
from airtune.scenario.file import load


def outcome(code: int, error: str = "", late: bool = False) -> forked.Outcome:
    return forked.Outcome(code, 0.1, 1.0, error, late)


def listed(error: str) -> forked.Outcome:
    return forked.Outcome(2, 0.1, 1.0, error, lists=True)


@pytest.mark.parametrize(
    ("tried", "failure"),
    [
        (outcome(0), None),
        (outcome(0, "airtune: warning: odd"), None),
        (outcome(2, "airtune: seed = x: must be a number"), None),
        (outcome(2, "airtune: a\nairtune: b"), "2 messages"),
        (outcome(2, "airtune: warning: a\nairtune: b"), None),
        (listed("airtune: a\nairtune: b"), None),
        (listed("airtune: a\n" * 21), "21 messages"),
        (outcome(2), "no message"),
        (outcome(1, "airtune: warning: odd"), "no message"),
        (outcome(-11), "exit code -11"),
        (outcome(70, "x"), "exit code 70"),
        (outcome(1, "Traceback (most recent call last):\nKeyError"), "traceback"),
        (outcome(1, "airtune: this is an error of the program, please"), "error of the program"),
        (outcome(2, "airtune: " + "x" * 400), "long message"),
        (outcome(2, "airtune: a\nand more"), "other lines"),
        (outcome(0, "/a/b.py:3: RuntimeWarning: overflow"), "warning of Python"),
        (outcome(2, "airtune: a", late=True), "time"),
    ],
)
def test_failures(tried: forked.Outcome, failure: str | None) -> None:
    assert tried.failure() == failure


def test_a_try_ends_in_time_and_within_its_memory() -> None:
    slow = forked.attempt(lambda: time.sleep(60) or 0, limit_s=0.05)
    assert slow.late
    assert slow.failure() == "time"
    busy = forked.attempt(lambda: sum(itertools.count()), limit_s=0.3)
    assert busy.late
    assert busy.failure() == "time"
    large = forked.attempt(lambda: len(bytearray(2**33)), limit_mib=1024)
    assert "MemoryError" in large.error
    assert large.failure() == "traceback"
    assert forked.attempt(lambda: 2).code == 2


@pytest.mark.parametrize("kind", hostile_scenarios.MUTATIONS)
def test_mutations_depend_on_the_seed_alone(kind: str) -> None:
    first, second = (
        hostile_scenarios.mutated(random.Random(3), {"seed": 1}, (kind,)) for _ in range(2)
    )
    assert first == second
    assert first[0] == kind


def test_edges_are_mostly_allowed_one_by_one(tmp_path: Path) -> None:
    draw, read = random.Random(0), 0
    numbers = [one for one in hostile_scenarios.LEAVES if one[0] not in hostile_scenarios.FREE]
    for path, field in draw.sample(numbers, 40):
        value = hostile_scenarios.allowed(field, draw)
        if value is None:
            continue
        tree: dict[str, object] = {}
        hostile_scenarios.put(tree, path, value)
        file = tmp_path / "s.yaml"
        file.write_text(yaml.safe_dump(tree))
        try:
            load(file)
            read += 1
        except InputError:
            pass
    assert read >= 10


def test_corrupted_copies_leave_the_sound_file_alone(tmp_path: Path) -> None:
    sound = tmp_path / "plan.json"
    sound.write_text('{"rounds_max": 3, "clients": []}')
    before = sound.read_bytes()
    draw, others = random.Random(0), 0
    for number in range(30):
        bad = tmp_path / f"{number}.json"
        hostile_files.corrupted(draw, "plan", sound, bad)
        others += not bad.is_file() or bad.read_bytes()[:99] != before[:99]
        assert sound.read_bytes() == before
    assert others >= 15


def test_one_array_of_a_folder_is_corrupted(tmp_path: Path) -> None:
    sound = tmp_path / "street"
    sound.mkdir()
    for name in ("power", "phase"):
        np.savez(sound / f"{name}.npz", **{name: np.ones((4, 3))})
    before = {path.name: path.read_bytes() for path in sound.iterdir()}
    draw, seen = random.Random(0), set()
    for number in range(40):
        bad = tmp_path / str(number)
        hostile_files.corrupted(draw, "deepmimo", sound, bad)
        there = {path.name: path.read_bytes() for path in bad.iterdir()}
        other = {name for name in before if there.get(name) != before[name]}
        assert len(other) <= 1
        seen |= other
    assert seen == set(before)
    assert {path.name: path.read_bytes() for path in sound.iterdir()} == before


def test_arrays_of_numbers_and_of_text_are_corrupted(tmp_path: Path) -> None:
    """The text of a path file says where it is from; most numbers cannot be made from it."""
    sound = tmp_path / "paths.npz"
    arrays = {"gains": np.ones((1, 2, 3), complex), "carrier_hz": np.array(3.5e9)}
    np.savez(sound, **arrays, source=np.array("drawn"))
    draw = random.Random(0)
    said = [hostile_files._corrupt_arrays(draw, sound, tmp_path / "bad.npz") for _ in range(60)]
    for how in ("value", "all", "type", "shape", "missing"):
        assert any(f"{name}: {how}" in one for one in said for name in ("gains", "source"))
    assert any("source: type" in one for one in said)


def test_an_error_of_the_program_is_told_of(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(failures._tracebacks, "shown", False)  # put back at the end

    def broken() -> None:
        raise ZeroDivisionError

    assert opening.told(broken) == 1
    said = capsys.readouterr().err
    assert forked.Outcome(1, 0.0, 0.0, said).failure() == "traceback"
