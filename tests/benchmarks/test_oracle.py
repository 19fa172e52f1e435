"""The comparison of plans with a grid of plans (`benchmarks/oracle.py`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oracle
import oracle_cases
import oracle_tables
from airtune.bound.forecast import crossing


def test_scenarios_and_plans_are_as_many_as_said() -> None:
    every = oracle_cases.cases()
    assert len({case.name for case in every}) == len({case.seed for case in every}) == 20
    assert len({case.file(Path()) for case in every}) == 20
    assert {case.base for case in every[:4]} == set(oracle_cases.BASES)
    runs = list(oracle_cases.GRID.runs())
    assert oracle_cases.FULL in runs
    assert len(runs) * len(oracle_cases.GRID.windows) >= 50
    for case in every:  # every setting exists and may be set together
        assert case.scenario().training.rounds == oracle_cases.MOST_ROUNDS


def test_a_longer_window_hides_more_of_the_way() -> None:
    cell = {"losses": [3, 2, 1], "rounds": [[1, 1], [3, 3], [5, 5]], "overlap": True}
    short, long = (oracle_tables.booked(cell, 1.0, window, 1.0)[0] for window in (1.0, 4.0))
    assert (short, long) == (2 * (1 + 1 + 2), 2 * (4 + 1))
    apart = oracle_tables.booked({**cell, "overlap": False}, 1.0, 4.0, 1.0)
    assert apart == [2 * (4 + 1 + 3), 2 * (1 + 5)]


def test_slow_clocks_take_what_a_window_needs() -> None:
    clients = {"batches": [4.0, 2.0], "cycles": [1e8, 1e8], "f_min": [1e8, 1e8], "kappa": 1e-27}
    clocks = np.array([4e8 / 2.0, 1e8])  # the second is at its slowest
    work = np.array([4e8, 2e8])
    energy = oracle_tables.window_energy({"clients": clients}, 2.0)
    assert energy == pytest.approx(float(np.sum(1e-27 * work * clocks**2)))


def test_books_that_are_not_those_of_the_metrics_stop_the_script() -> None:
    cell = {"losses": [3, 2, 1], "rounds": [[1, 1], [3, 3], [5, 5]], "overlap": True}
    cell |= {"window_s": 2.0, "compute_j": 1.0}
    oracle_tables.check_books(cell, 1.5, np.array([[0, 0], [4.0, 6.0], [8.0, 12.0]]))
    for wrong in ([[0, 0], [4.1, 6.0], [8.2, 12.0]], [[0, 0], [4.0, 6.1], [8.0, 12.2]]):
        with pytest.raises(ValueError, match="booked"):
            oracle_tables.check_books(cell, 1.5, np.array(wrong))


def small(rounds: dict[str, int]) -> tuple[oracle_cases.Case, dict[str, Any]]:
    """Return a case and cells whose rounds to the target are given, 99 for never."""
    case = oracle_cases.cases(reduced=True)[0]

    def cell(name: str) -> dict[str, Any]:
        taken = rounds.get(name, 10)
        losses = [2.0] * taken + [1.0] if taken < 99 else [2.0] * 9
        count = len(losses) - 1
        clients = {"batches": [4.0], "cycles": [1e8], "f_min": [1e8], "kappa": 1e-27}
        work = {"window_s": 1.0, "compute_j": 1.0, "clients": clients, "overlap": True}
        return {"losses": losses, "rounds": [[1.0] * count] * 3, **work}

    plans = [f"plan; {name}" for name in ("time", "energy", "bound")]
    runs = map(oracle_cases.grid_name, case.grid.runs())
    return case, {"cells": {name: cell(name) for name in (*plans, *runs)}, "target": 1.0}


def test_a_refused_plan_is_worse_than_any() -> None:
    case, document = small({"plan; time": 12})
    found = oracle_tables.compared(case, document)
    assert found is not None and found["time_over_least"]["time"] == pytest.approx(1.2)
    document["cells"]["plan; time"] = {"refused": "never"}
    refused = oracle_tables.compared(case, document)
    assert refused is not None and refused["time_over_least"]["time"] is None
    said = oracle_tables.verdict([refused], "time")
    assert "median inf (1.10 asked: missed)" in said and "worst inf (1.25: missed)" in said


def test_no_ratio_where_no_plan_of_the_grid_arrives(tmp_path: Path) -> None:
    case, _ = small({})
    names = map(oracle_cases.grid_name, case.grid.runs())
    _, document = small(dict.fromkeys(names, 99))
    found = oracle_tables.compared(case, document)
    assert found is not None and found["arrived"] == 0
    assert found["least_time_s"] is None and set(found["time_over_least"].values()) == {None}
    case.file(tmp_path).write_text(json.dumps(document))
    said = oracle_tables.write_docs([case], tmp_path)
    assert said.startswith("0 of 1 scenarios.") and f"not counted: {case.name}" in said


def test_the_answer_is_of_the_median_and_of_the_worst() -> None:
    def some(*ratios: float) -> str:
        return oracle_tables.verdict(
            [{"energy_over_least": {"energy": x}} for x in ratios], "energy"
        )

    assert "median 1.10 (1.10 asked: kept), worst 1.25 (1.25: kept)" in some(0.9, 1.1, 1.25)
    assert "median 1.20 (1.10 asked: missed), worst 1.25 (1.25: kept)" in some(1.0, 1.2, 1.25)
    assert "median 1.00 (1.10 asked: kept), worst 1.30 (1.25: missed)" in some(0.9, 1.0, 1.3)


def test_seeds_of_a_scenario_are_compared_by_their_means(tmp_path: Path) -> None:
    """What is lucky with one seed only is not the least of the means."""
    case, first = small({"batch 0.5; back-off 1; way 0": 8, "plan; time": 11})
    again = oracle_cases.cases(reduced=True, again=1)[0]
    assert (again.name, again.seed - case.seed) == (case.name, oracle_cases.SEED_STEP)
    assert again.file(tmp_path) != case.file(tmp_path)
    _, second = small({"batch 0.5; back-off 1; way 0": 14, "plan; time": 11})
    first["pilot"] = {"time_s": 1.0, "energy_j": 1.0}
    case.file(tmp_path).write_text(json.dumps(first))
    assert oracle_tables.over_seeds([case], tmp_path) == []  # one seed has no means
    again.file(tmp_path).write_text(json.dumps(second))
    *_, row = oracle_tables.over_seeds([case], tmp_path)
    cells = [one.strip() for one in row.strip("|").split("|")]
    assert cells[:4] == [case.name, "2", "1.10", "1.38, 1.10"]
    assert row in oracle_tables.write_docs([case], tmp_path)


@pytest.mark.slow
def test_the_reduced_comparison_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["--reduced", "--results", str(tmp_path / "results")]
    oracle.main(given)
    (case,) = oracle_cases.cases(reduced=True)
    file = case.file(tmp_path / "results")
    document = json.loads(file.read_text())
    runs = list(case.grid.runs())
    names = {"plan; time", "plan; energy", "plan; bound", *map(oracle.grid_name, runs)}
    assert set(document["cells"]) == names
    found = document["compared"]
    assert found["plans"] == len(runs) * (len(case.grid.windows) + 1)
    assert found["time_over_least"]["unplanned"] >= 1
    assert found["energy_over_least"]["unplanned"] >= 1
    assert found["least_time_s"] > 0 and found["least_energy_j"] > 0

    # The run of the whole batches at the highest clocks is booked as its metrics were.
    cell = document["cells"][oracle.grid_name(oracle_cases.FULL)]
    full = oracle_tables.booked(cell, document["target"], cell["window_s"], cell["compute_j"])
    rounds = crossing(cell["losses"], document["target"])
    others, ways, _ = (np.array(part) for part in cell["rounds"])
    each = np.maximum(ways, cell["window_s"]) + others
    assert full[0] == pytest.approx(
        float(np.interp(rounds, range(len(each) + 1), [0, *each.cumsum()]))
    )
    assert full[1] > rounds * cell["compute_j"]

    del document["cells"]["plan; bound"]
    file.write_text(json.dumps(document))
    oracle.main([*given, "--limit", "0"])
    assert set(json.loads(file.read_text())["cells"]) == names - {"plan; bound"}
    oracle.main(given)
    again = json.loads(file.read_text())
    assert set(again["cells"]) == names
    assert again["compared"] == found  # the same run a second time
