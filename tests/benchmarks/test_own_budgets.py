"""Own plans against their budgets (`benchmarks/own_budgets.py`)."""

from __future__ import annotations

import json

import pytest

import own_budgets

SETTINGS = {
    "point": "own-plan",
    "settings": {"budget.latency_s": 10.0, "budget.client_energy_j": 1.0},
}


def run(scheme: str, seconds: float, joules: float, point: str = "own-plan") -> dict[str, object]:
    latency = {"compute": seconds / 2, "uplink": seconds / 2}
    cell = {"point": point, "scheme": scheme, "latency_s": latency}
    return {**cell, "client_energy_j": [0.1, joules]}


def test_a_run_is_over_by_time_or_by_one_client() -> None:
    runs = [run("fixed", 10.4, 0.5), run("fixed", 10.6, 0.5), run("fixed", 9.0, 1.06)]
    found = own_budgets.figures([SETTINGS, *runs, run("fixed", 99.0, 9.0, "shared-plan")])
    one = found["schemes"]["fixed"]
    assert (one["runs"], one["over"]) == (3, 2)
    assert one["time"]["most"] == pytest.approx(1.06)
    assert one["client energy"]["median"] == pytest.approx(0.5)


def test_the_committed_figures_are_those_of_the_cells() -> None:
    lines = [json.loads(line) for line in own_budgets.STUDY.read_text().splitlines()]
    assert own_budgets.figures(lines) == json.loads(own_budgets.RESULT.read_text())
