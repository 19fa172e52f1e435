"""The quickstart as it is shipped: it learns, and the air's order is the theory's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airtune import compare, load_scenario

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


def improved_domains(folder: Path) -> dict[str, tuple[float, float]]:
    """Return exact match before and after, of the domains that gain at least 15 points."""
    lines = [
        json.loads(line)["domains"]
        for line in (folder / "ideal/seed-0/metrics.jsonl").read_text().splitlines()
    ]
    scores = {
        name: (lines[0][name]["exact_match"], lines[-1][name]["exact_match"]) for name in lines[0]
    }
    return {name: pair for name, pair in scores.items() if pair[1] >= pair[0] + 0.15}


def test_quickstart_learns_and_orders_the_schemes(tmp_path) -> None:
    scenario = load_scenario("quickstart", [f"cache={tmp_path / 'cache'}"])
    schemes = compare(scenario, tmp_path / "run")["schemes"]
    assert schemes["ideal"]["final_loss"] <= schemes["ideal"]["initial_loss"] - 0.5
    assert len(improved_domains(tmp_path / "run")) >= 2
    assert schemes["ideal"]["mse_db"] is None
    assert schemes["movable"]["mse_db"] < schemes["fixed"]["mse_db"]
