"""Books that were kept before: runs of an earlier version, booked again to the last figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airtune import record
from airtune.record import Cell
from airtune.rounds import cell_io
from airtune.scenario import Scenario
from quadratic import QuadraticLearner, run_with

GOLDEN = json.loads((Path(__file__).parent / "golden_books.json").read_text(encoding="utf-8"))
BEFORE = {
    "radio": {
        "hardware": {"profile": "radiated"},
        "pilot_rule": "equal",
        "silent_symbols": 0,
    },
    "array": {"drive": "custom", "speed_mps": 0.5, "drive_power_w": 0.5, "field_pilots": 1},
    "aggregation": {"scale_reports": "sequential", "repetition": 1},
    "planning": {"overlap": False, "movement": "each-round", "keep_budgets": False},
    "digital": {"quantizer": "uniform", "bits": "auto", "error_feedback": True},
}
"""Settings that there were not, or had other defaults, with the books of then."""

NAMES = {"selection": "selection-compact"}
"""What schemes are called now."""


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = dict(one)
    for key, value in other.items():
        mine = both.get(key)
        both[key] = merged(mine, value) if isinstance(mine, dict) else value
    return both


AMPLIFIED = {"ris": 1e-4}
"""Schemes in which rounding grows: the search for phases of a surface ends 1e-5 apart."""


def close(found: Any, expected: Any, rel: float = 1e-6) -> None:
    """Compare figures one by one; rounding differs between machines."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            close(found[key], value, rel)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            close(one, other, rel)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=rel, abs=1e-12)
    else:
        assert found == expected


CASES = [(case, scheme) for case in GOLDEN for scheme in GOLDEN[case]["schemes"]]


@pytest.mark.parametrize(("case", "scheme"), CASES)
def test_the_books_of_an_earlier_version(case: str, scheme: str, tmp_path: Path) -> None:
    scenario = Scenario.model_validate(merged(BEFORE, GOLDEN[case]["settings"]))
    expected, name = GOLDEN[case]["schemes"][scheme], NAMES.get(scheme, scheme)
    run = run_with(scenario, name, 1, QuadraticLearner(scenario, 1))
    cell = Cell(tmp_path / name / "seed-0", name, 0)
    cell_io.execute(run, cell, lambda line: None)
    rel = AMPLIFIED.get(name, 1e-6)
    close(json.loads(cell.plan_file.read_text(encoding="utf-8")), expected["plan"], rel)
    lines = record.read_metrics(cell)
    assert len(lines) == len(expected["lines"])
    for line, before in zip(lines, expected["lines"], strict=True):
        close(line, before, rel)
        if line["round"]:
            assert line["move_s"] == line["round_latency_s"]["movement"]
    assert np.allclose(run.state.client_energy_j, expected["client_energy_j"], rtol=rel)
