"""The study's cells: run once, stale when the scenario changes, the same document every time."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from airtune.scenario import Scenario
from studies import document, sections, tables
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


def history(losses: list[float], seconds: float, compute: float) -> dict[str, object]:
    rounds = range(len(losses))
    return {
        "history": {
            "loss": losses,
            "time_s": [seconds * i for i in rounds],
            "compute_s": [compute * i for i in rounds],
            "energy_j": [2 * seconds * i for i in rounds],
            "compute_j": [2 * compute * i for i in rounds],
        },
        "participation": [1, 1, 0],
    }


def cells_of(losses: dict[str, list[float]]) -> dict[str, dict[int, dict[str, object]]]:
    slow = {"digital": 10.0}
    return {name: {0: history(x, slow.get(name, 1.0), 0.5)} for name, x in losses.items()}


LOSSES = {
    "ideal": [5.0, 1.0, 1.0, 1.0],
    "movable": [5.0, 3.0, 1.2, 1.0],
    "fixed": [5.0, 4.0, 3.0, 1.3],
    "fixed-2n": [5.0, 1.3, 1.2, 1.1],
    "cotaf": [5.0, 4.5, 4.0, 3.5],
    "digital": [5.0, 1.1, 1.0, 1.0],
}


def best_of(figure: tables.Figure, excluded: tuple[str, ...] = ()) -> str:
    best = tables.against_best(figure, (*tables.NOT_OVER_THE_AIR, *excluded))
    assert best is not None
    return best.baseline


def test_savings_and_the_best_competitor() -> None:
    found = tables.outcomes(cells_of(LOSSES))
    # the target is 5 - 0.9 * 4 = 1.4
    assert found["movable"][0].seconds == 2.0
    time, energy = tables.time_of(found), tables.energy_of(found)
    for figure in (time, energy):
        digital = tables.saved(figure, "digital")
        assert digital is not None
        assert digital.percents == pytest.approx([80.0])
        assert (digital.missed, digital.better) == (0, 1)
    cotaf = tables.saved(time, "cotaf")
    assert cotaf is not None
    assert cotaf.missed == 1
    assert cotaf.percents == pytest.approx([100 * (1 - 2 / 3)])
    assert best_of(time) == "fixed-2n"
    assert best_of(time, tables.MORE_HARDWARE) == "fixed"
    assert found["fixed"][0].fairness == pytest.approx(2 / 3)


def test_another_compute_speed_is_booked_again() -> None:
    found = tables.outcomes(cells_of(LOSSES), compute_speed=5.0)
    # two rounds of half a second on the air and a tenth of computing
    assert found["movable"][0].seconds == pytest.approx(2 * (0.5 + 0.1))
    assert found["digital"][0].joules == pytest.approx(2 * (9.5 + 0.1))


def test_perplexity_is_the_exponential_of_the_last_loss() -> None:
    values = tables.perplexity_of(cells_of(LOSSES)).values
    assert values["fixed"][0] == pytest.approx(math.exp(1.3))


def test_the_document_is_the_same_every_time(
    small_scenario, quadratic, tmp_path, monkeypatch
) -> None:
    def small(name: str, overrides: object) -> Scenario:
        return small_scenario.model_copy(update={"name": name})

    monkeypatch.setattr(sections, "load_scenario", small)
    options = sections.Options(tmp_path / "cells", tmp_path / "cache", reduced=True)
    runner = Runner(options.results)
    for _ in range(3):  # step sizes first, then what waits for them
        for name in ("step-size", "claims", "perplexity"):
            for cell in list(sections.cells(options, [name])):
                if cell.scheme in ("ideal", "movable") and load(cell, options.results) is None:
                    runner.run(cell)
    pages = [document.write(options, tmp_path / name).read_text() for name in ("a", "b")]
    assert pages[0] == pages[1]
    assert "### cell-edge, shared plan" in pages[0]
    assert "| Movable | 1/1 |" in pages[0]
    assert "step-size: 6 of 12 cells; missing in step-size/paper-v1" in pages[0]
