"""Books that were kept before: runs of an earlier version, booked again to the last figures."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from airtune import record
from airtune.record import Cell
from airtune.record.version_1 import NAMES, UNNAMED
from airtune.rounds import cell_io
from airtune.scenario import Scenario
from airtune.scenario.file import put
from quadratic import QuadraticLearner, run_with

GOLDEN = json.loads((Path(__file__).parent / "golden_books.json").read_text(encoding="utf-8"))
IDLE = {"array.field_pilots"}
"""What does nothing where all arrays have the same pilots and nobody listens to silence."""

SETTINGS = {path: value for path, value in UNNAMED.items() if path not in IDLE}
"""Settings with which today's books are those of then, by dotted path (docs/energy.md)."""


def nested(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings by dotted path as a scenario file has them."""
    found: dict[str, Any] = {}
    for path, value in settings.items():
        put(found, path, value, path)
    return found


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


def check_books(settings: dict[str, Any], case: str, scheme: str, folder: Path) -> None:
    """Run a case with these settings besides its own, and compare all its books."""
    scenario = Scenario.model_validate(merged(nested(settings), GOLDEN[case]["settings"]))
    expected, name = GOLDEN[case]["schemes"][scheme], NAMES.get(scheme, scheme)
    run = run_with(scenario, name, 1, QuadraticLearner(scenario, 1))
    cell = Cell(folder / name / "seed-0", name, 0)
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


@pytest.mark.parametrize(("case", "scheme"), CASES)
def test_the_books_of_an_earlier_version(case: str, scheme: str, tmp_path: Path) -> None:
    check_books(SETTINGS, case, scheme, tmp_path)


NEEDED = {
    "radio.hardware.profile": ("plain", "fixed"),
    "radio.pilot_rule": ("plain", "ris"),
    "radio.silent_symbols": ("plain", "fixed"),
    "aggregation.scale_reports": ("plain", "fixed"),
    "planning.overlap": ("plain", "movable"),
    "planning.movement": ("strong", "movable"),
    "planning.keep_budgets": ("budgets", "movable"),
    "digital.quantizer": ("plain", "digital"),
    "digital.bits": ("plain", "digital"),
    "digital.error_feedback": ("plain", "digital"),
}
"""Where a setting is seen to be needed."""


@pytest.mark.parametrize("path", SETTINGS)
def test_none_of_these_settings_can_be_left_out(path: str, tmp_path: Path) -> None:
    fewer = {other: value for other, value in SETTINGS.items() if other != path}
    with pytest.raises(AssertionError):
        check_books(fewer, *NEEDED[path], tmp_path)


def test_the_manual_lists_these_settings() -> None:
    text = (Path(__file__).parents[2] / "docs" / "energy.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_.]+): (\S+)` \|", text, re.MULTILINE)
    assert {path: yaml.safe_load(value) for path, value in rows} == SETTINGS
