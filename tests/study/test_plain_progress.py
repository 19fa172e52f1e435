"""Without a terminal a study tells in plain lines on stderr how far it is."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airtune import compare, record
from airtune.commands import run as command
from airtune.scenario import Scenario
from airtune.study import cells, plain_progress, sweep
from airtune.study.plain_progress import EVERY_S, PlainProgress
from airtune.study.progress import preparing, shows_bars, watch
from airtune.study.sweep_progress import PlainSweepProgress

ROUND = r"round (\d+)/(\d+), (loss \d+\.\d{3}, )?simulated [\d. ]+ \S+ and [\d. ]+ \S*J"


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1e6

    def __call__(self) -> float:
        return self.now


def folder_of(path: Path, seeds: int = 1) -> record.RunFolder:
    return record.create(path, Scenario(schemes=("fixed", "movable"), seeds=seeds), "compare")


def test_a_long_cell_has_a_line_every_half_minute(tmp_path, capsys) -> None:
    folder, clock = folder_of(tmp_path / "run"), Clock()
    cell = folder.cells[0]
    with PlainProgress(folder, clock=clock) as progress:
        progress.preparing("pre-training", 0.1)
        clock.now += 29.0
        progress.preparing("pre-training", 0.2)
        clock.now += 1.5
        progress.preparing("pre-training", 0.254)
        clock.now += 2.0
        progress.round_done(cell, 1, None, 3600.0, 1.5)
        clock.now += 28.0
        progress.round_done(cell, 2, 2.3456, 7200.0, 3.0)
        progress.round_done(cell, 3, 2.25, 10800.0, 4.5)
        progress.told("fixed, seed 0: something")
        progress.cell_done(cell)
        progress.cell_done(folder.cells[1])
    said = capsys.readouterr()
    assert said.out == ""
    rounds = folder.scenario.training.rounds
    assert said.err.splitlines() == [
        "prepare: pre-training, 25 %",
        f"fixed: round 2/{rounds}, loss 2.346, simulated 120 min and 3.00 J",
        "airtune: warning: fixed, seed 0: something",
        f"fixed: round 3/{rounds}, loss 2.250, simulated 3.00 h and 4.50 J; done, 1/2 cells",
        "movable: done, 2/2 cells",
    ]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> record.RunFolder:
    return folder_of(tmp_path_factory.mktemp("begun") / "run")


@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(st.floats(0.0, 100.0), max_size=40))
def test_lines_within_a_cell_are_seldom(steps: list[float], begun, capsys) -> None:
    folder, clock = begun, Clock()
    began, last = clock.now, clock.now
    with PlainProgress(folder, clock=clock) as progress:
        for number, step in enumerate(steps, 1):
            clock.now += step
            progress.round_done(folder.cells[0], number, 1.0, 1.0, 1.0)
            printed = capsys.readouterr().err
            if printed:
                assert clock.now - last >= EVERY_S
                assert re.fullmatch(rf"fixed: {ROUND}\n", printed)
                last = clock.now
            assert clock.now - last < EVERY_S
    assert last <= began + sum(steps) + 1e-6


def test_seeds_and_an_interruption(tmp_path, capsys) -> None:
    folder = folder_of(tmp_path / "run", seeds=2)
    with pytest.raises(KeyboardInterrupt), PlainProgress(folder, lambda: True) as progress:
        progress.cell_done(folder.cells[-1])
        progress.round_done(folder.cells[0], 1, 1.0, 1.0, 1.0)
    assert capsys.readouterr().err == "movable, seed 1: done, 1/4 cells\n"


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures and the page out, which take most of the time."""
    monkeypatch.setattr("airtune.study.compare.publish", lambda run: run.folder)
    monkeypatch.setattr("airtune.study.sweep.publish", lambda made: made.folder)


def test_a_comparison_tells_of_each_cell_and_json_stays_alone(
    small_scenario, quadratic, no_page, tmp_path, capsys
) -> None:
    scenario = small_scenario.model_copy(update={"schemes": ("fixed",), "seeds": 1})
    assert command.start("compare", scenario, tmp_path / "run", True, lambda: False)
    said = capsys.readouterr()
    assert json.loads(said.out) == json.loads((tmp_path / "run" / "results.json").read_text())
    lines = said.err.splitlines()
    assert len(lines) == 2
    for number, (name, line) in enumerate(zip(("ideal", "fixed"), lines, strict=True), 1):
        found = re.fullmatch(rf"{name}: {ROUND}; done, {number}/2 cells", line)
        assert found, line
        assert found[1] == found[2] == str(scenario.training.rounds)
    compare(scenario, tmp_path / "told", progress=True)
    assert capsys.readouterr().err == said.err
    compare(scenario, tmp_path / "quiet")
    assert capsys.readouterr().err == ""


def test_what_is_left_of_a_comparison(small_scenario, quadratic, tmp_path, capsys) -> None:
    scenario = small_scenario.model_copy(update={"schemes": ("movable", "fixed"), "seeds": 1})
    folder = record.create(tmp_path / "run", scenario, "compare")
    with pytest.raises(KeyboardInterrupt), watch(folder, lambda: True) as progress:
        cells.execute(folder, progress)
    cells.execute(folder)
    last = folder.cells[-1]
    last.finished_file.unlink()
    capsys.readouterr()
    with watch(folder) as progress:
        cells.execute(folder, progress)
    assert re.fullmatch(rf"fixed: {ROUND}; done, 2/2 cells\n", capsys.readouterr().err)


def test_a_sweep_names_its_points(small_scenario, quadratic, no_page, tmp_path, capsys) -> None:
    scenario = small_scenario.model_copy(update={"schemes": ("fixed",), "seeds": 1})
    vary = ["array.antennas=2,3", "data.source='tasks'"]
    with sweep.begin(scenario, sweep.parse_axes(scenario, vary), tmp_path / "s") as made:
        command.execute_sweep(made, lambda: False, as_json=True)
    said = capsys.readouterr()
    assert len(json.loads(said.out)["points"]) == 2
    lines = said.err.splitlines()
    assert len(lines) == 4
    for number, line in enumerate(lines, 1):
        point = (number - 1) // 2
        name = f'point-0{point} (antennas={point + 2}, source="tasks"), '
        assert re.fullmatch(rf"{re.escape(name)}\w+: {ROUND}; done, {number}/4 cells", line), line
    with PlainSweepProgress(made, lambda: True) as progress, pytest.raises(KeyboardInterrupt):
        progress.waiting()


def test_a_calibration_tells_now_and_then(capsys, monkeypatch) -> None:
    monkeypatch.setattr(plain_progress, "EVERY_S", 0.0)
    with preparing() as show:
        show("calibration: gradients", 0.5)
    assert capsys.readouterr().err == "prepare: calibration: gradients, 50 %\n"


def test_bars_are_for_terminals(monkeypatch, tmp_path) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with (tmp_path / "log").open("w") as log:
        monkeypatch.setattr("sys.stderr", log)
        assert not shows_bars()
    front, behind = os.openpty()
    with os.fdopen(behind, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        assert shows_bars()
        monkeypatch.setenv("TERM", "dumb")
        assert not shows_bars()
    os.close(front)
