"""The study's cells: run once, stale when the scenario changes, safe from interruptions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from airtune.scenario import Scenario
from quadratic import run_with
from studies import tables
from studies.points import Cell, Document, Point
from studies.results import Results
from studies.runner import Runner


def point(scenario: Scenario, **changes: object) -> Point:
    return Point("part", "here", scenario.model_copy(update=changes), ("ideal", "fixed"), (0,), {})


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results")


@pytest.fixture
def runner(results: Results, tmp_path: Path) -> Runner:
    return Runner(results, tmp_path / "runs")


def test_a_cell_is_run_once_and_again_when_its_settings_change(
    small_scenario, quadratic, results, runner, tmp_path
) -> None:
    first = point(small_scenario)
    one, other = first.cells()
    assert results.find(one) is None
    runner.run(one)
    runner.run(other)
    done = results.find(one)
    assert done is not None
    assert len(done["history"]["loss"]) == small_scenario.training.rounds + 1
    assert done["history"]["time_s"][-1] == pytest.approx(sum(done["latency_s"].values()), rel=1e-6)
    compute = done["latency_s"]["compute"]
    assert done["history"]["compute_s"][-1] == pytest.approx(compute, rel=1e-6)
    # the run folders are gone
    assert not any(path.is_file() for path in (tmp_path / "runs").rglob("*"))
    # names, seeds and schemes are not settings of a cell; the array is
    assert results.fresh(point(small_scenario, name="other", seeds=7))
    changed = point(small_scenario, array=small_scenario.array.model_copy(update={"antennas": 2}))
    assert not results.fresh(changed)
    assert results.find(next(changed.cells())) is None
    runner.run(next(changed.cells()))
    assert results.fresh(changed)
    assert len((results.folder / "part.jsonl").read_text().splitlines()) == 2


def test_a_cell_is_the_run_of_its_scheme_and_learning_rate(
    small_scenario, quadratic, results, runner
) -> None:
    place = Point("part", "here", small_scenario, ("movable",), (2,), {"movable": 0.1})
    training = small_scenario.training.model_copy(update={"learning_rate": 0.1})
    scenario = small_scenario.model_copy(update={"training": training})
    seed = scenario.seed + 2
    run = run_with(scenario, "movable", seed, quadratic(scenario, seed))
    lines = [run.run_round() for _ in range(scenario.training.rounds)]
    done = runner.run(next(place.cells()))
    assert done is not None
    assert done["learning_rate"] == 0.1
    assert done["history"]["loss"][1:] == [float(f"{line['loss']:.7g}") for line in lines]
    assert done["participation"] == run.state.participation.tolist()
    assert done["client_energy_j"] == run.state.client_energy_j.tolist()
    assert done["energy_j"] == run.state.energy_j.to_dict()
    assert done["batch"] == run.plan.batch_sizes.tolist()
    assert done["largest_weight"] == run.repetition.omega.max()


def test_a_setting_that_is_new_leaves_cells_fresh(
    small_scenario, quadratic, results, runner
) -> None:
    one = next(point(small_scenario).cells())
    runner.run(one)
    path = results.folder / "part.jsonl"
    head, line = path.read_text().splitlines()
    recorded = json.loads(head)
    del recorded["settings"]["array.spacing"]
    path.write_text(f"{json.dumps(recorded)}\n{line}\n")
    assert results.find(one) is not None
    recorded["settings"]["array.gone"] = 1
    path.write_text(f"{json.dumps(recorded)}\n{line}\n")
    assert results.find(one) is None


def test_another_learning_rate_is_another_cell(small_scenario, quadratic, results, runner) -> None:
    one = next(point(small_scenario).cells())
    runner.run(one)
    assert results.find(Cell(one.point, one.scheme, one.seed, one.rate * 2)) is None


def test_budgets_that_cannot_be_kept_are_kept_as_a_result(
    small_scenario, quadratic, results, runner
) -> None:
    budget = small_scenario.budget.model_copy(update={"latency_s": 1e-6})
    one = next(point(small_scenario, budget=budget).cells())
    done = runner.run(one)
    assert done is not None
    assert "raise budget.latency_s" in done["infeasible"]
    assert tables.counted(one.point, results).infeasible == {"ideal": {0: done["infeasible"]}}


def test_a_cell_that_another_process_runs_is_left_to_it(
    small_scenario, quadratic, results, runner, tmp_path
) -> None:
    one, other = point(small_scenario).cells()
    folder = tmp_path / "runs" / "part" / "here" / f"ideal-seed0-lr{one.rate:g}"
    folder.mkdir(parents=True)
    with FileLock(folder / "lock"):
        assert runner.run(one) is None
        assert runner.run(other) is not None
    assert results.find(one) is None
    # what the other process has written meanwhile is not run again
    Runner(Results(results.folder), tmp_path / "others").run(one)
    before = (results.folder / "part.jsonl").read_text()
    assert runner.run(one) == results.find(one)
    assert (results.folder / "part.jsonl").read_text() == before


def test_a_torn_last_line_costs_its_cell_only(small_scenario, quadratic, results, runner) -> None:
    one, other = point(small_scenario).cells()
    runner.run(one)
    runner.run(other)
    path = results.folder / "part.jsonl"
    path.write_text(path.read_text()[:-40])
    assert results.find(one) is not None
    assert results.find(other) is None
    again = runner.run(other)
    assert results.find(other) == again
    assert len(path.read_text().splitlines()) == 3


STUDY = """\
import sys, time
from pathlib import Path
from airtune.learning import learner
from airtune.scenario import Scenario
from quadratic import QuadraticLearner
from studies.points import Point
from studies.results import Results
from studies.runner import Runner

class Slow(QuadraticLearner):
    def evaluate(self, adapter):
        time.sleep(0.1)
        return super().evaluate(adapter)

learner.prepare = lambda scenario, seed, progress=None: Slow(scenario, seed)
scenario = Scenario.model_validate_json(sys.argv[1])
runner = Runner(Results(Path("results")), Path("runs"))
for cell in Point("part", "here", scenario, ("ideal", "fixed"), (0, 1), {}).cells():
    runner.run(cell)
"""


def test_a_study_that_is_killed_loses_the_running_cell_only(
    small_scenario, quadratic, results, runner, tmp_path
) -> None:
    place = Point("part", "here", small_scenario, ("ideal", "fixed"), (0, 1), {})
    path = results.folder / "part.jsonl"
    folders = [Path(__file__).parents[2] / name for name in ("src", "tests", "benchmarks")]
    process = subprocess.Popen(
        [sys.executable, "-c", STUDY, small_scenario.model_dump_json()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))},
    )
    second = "fixed-seed0-*/run/fixed/seed-0/metrics.jsonl"
    until = time.monotonic() + 200
    while not list((tmp_path / "runs" / "part" / "here").glob(second)):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = path.read_text()
    assert [results.find(cell) is not None for cell in place.cells()] == [True, False, False, False]
    for cell in place.cells():
        runner.run(cell)
    assert path.read_text().startswith(before)
    reference = Runner(Results(tmp_path / "others"), tmp_path / "runs")
    for cell in place.cells():
        assert _figures(results.find(cell)) == _figures(reference.run(cell))


def _figures(document: Document | None) -> Document:
    assert document is not None
    return {k: v for k, v in document.items() if k not in ("cpu_s", "wall_s")}
