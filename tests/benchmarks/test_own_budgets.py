"""Own plans against their budgets (`benchmarks/own_budgets.py`)."""

from __future__ import annotations

import json
from typing import Any

import pytest

import own_budgets

BUDGETS = {"latency_s": 10.0, "energy_j": 20.0, "client_energy_j": 1.0}


def cell(seconds: float, joules: float, client: float) -> dict[str, Any]:
    spent = {"latency_s": seconds, "energy_j": joules, "client_energy_j": client}
    return {**spent, "rounds": 4, "losses": {"0": 3.0, "4": 2.0}}


def test_a_run_is_over_by_any_of_its_budgets() -> None:
    assert not own_budgets.over(cell(10.4, 20.9, 1.05), BUDGETS)
    assert own_budgets.over(cell(10.6, 1.0, 0.1), BUDGETS)
    assert own_budgets.over(cell(1.0, 21.1, 0.1), BUDGETS)
    assert own_budgets.over(cell(1.0, 1.0, 1.06), BUDGETS)


def test_the_table_has_pairs_of_cells_only() -> None:
    cells = {
        own_budgets.BUDGETS: BUDGETS,
        "fixed, not kept, 1": cell(12.0, 10.0, 0.5),
        "fixed, kept, 1": cell(10.2, 10.0, 0.5),
        "fixed, not kept, 2": cell(30.0, 10.0, 0.5),  # its other half is missing
    }
    lines = own_budgets.table({"cells": cells})
    assert len(lines) == 4
    fixed = [entry.strip() for entry in lines[2].strip("|").split("|")]
    assert fixed[:5] == ["fixed", "1.20 (1.20)", "0.50 (0.50)", "0.50 (0.50)", "1 of 1"]
    assert fixed[7:11] == ["1.02 (1.02)", "0.50 (0.50)", "0.50 (0.50)", "0 of 1"]


def test_the_committed_cells_are_of_the_rule_and_the_page_shows_them() -> None:
    document = json.loads(own_budgets.RESULT.read_text(encoding="utf-8"))
    budgets = document["cells"][own_budgets.BUDGETS]
    for kind, value in own_budgets.chosen(budgets["plans"]).items():
        assert budgets[kind] == pytest.approx(value)
    page = own_budgets.PAGE.read_text(encoding="utf-8")
    assert "\n".join(own_budgets.table(document)) in page
