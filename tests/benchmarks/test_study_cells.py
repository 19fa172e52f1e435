"""The study's cells: run once, stale when the scenario changes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from airtune.scenario import Scenario
from studies import tables
from studies.cells import Cell, Point, Runner, fresh, load


def point(scenario: Scenario, **changes: object) -> Point:
    return Point("part", "here", scenario.model_copy(update=changes), ("ideal", "fixed"), (0,), {})


def test_a_cell_is_run_once_and_again_when_its_settings_change(
    small_scenario, quadratic, tmp_path
) -> None:
    runner, first = Runner(tmp_path), point(small_scenario)
    one, other = first.cells()
    assert load(one, tmp_path) is None
    runner.run(one)
    runner.run(other)
    done = load(one, tmp_path)
    assert done is not None
    assert len(done["history"]["loss"]) == small_scenario.training.rounds + 1
    assert done["history"]["time_s"][-1] == pytest.approx(sum(done["latency_s"].values()), rel=1e-6)
    compute = done["latency_s"]["compute"]
    assert done["history"]["compute_s"][-1] == pytest.approx(compute, rel=1e-6)
    # names, seeds and schemes are not settings of a cell; the array is
    assert fresh(point(small_scenario, name="other", seeds=7), tmp_path)
    changed = point(small_scenario, array=small_scenario.array.model_copy(update={"antennas": 2}))
    assert not fresh(changed, tmp_path)
    assert load(next(changed.cells()), tmp_path) is None
    runner.run(next(changed.cells()))
    assert fresh(changed, tmp_path)
    assert not other.path(tmp_path).exists()


def test_a_setting_that_is_new_leaves_cells_fresh(small_scenario, quadratic, tmp_path) -> None:
    one = next(point(small_scenario).cells())
    Runner(tmp_path).run(one)
    path = tmp_path / "part" / "here" / "settings.json"
    recorded = json.loads(path.read_text())
    del recorded["array.spacing"]
    path.write_text(json.dumps(recorded))
    assert load(one, tmp_path) is not None
    path.write_text(json.dumps(recorded | {"array.gone": 1}))
    assert load(one, tmp_path) is None


def test_another_learning_rate_is_another_cell(small_scenario, quadratic, tmp_path) -> None:
    one = next(point(small_scenario).cells())
    Runner(tmp_path).run(one)
    assert load(Cell(one.point, one.scheme, one.seed, one.rate * 2), tmp_path) is None


def test_budgets_that_cannot_be_kept_are_kept_as_a_result(
    small_scenario, quadratic, tmp_path
) -> None:
    budget = small_scenario.budget.model_copy(update={"latency_s": 1e-6})
    one = next(point(small_scenario, budget=budget).cells())
    assert "raise budget.latency_s" in Runner(tmp_path).run(one)["infeasible"]
    reason = Runner(tmp_path).run(one)["infeasible"]
    assert tables.counted(one.point, tmp_path).infeasible == {"ideal": {0: reason}}
