"""`airtune calibrate` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from airtune.scenario.file import parse
from e2e.conftest import Run

QUICK = (
    "calibration.rounds=4",
    "calibration.points=2",
    "calibration.clients=3",
    "calibration.samples=4",
    "calibration.iterations=3",
    "calibration.shift_samples=24",
)
OPTIONS = [part for setting in QUICK for part in ("--set", setting)]


@pytest.mark.slow
def test_calibrate_prints_what_a_scenario_takes(
    airtune: Run, tiny: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = airtune("calibrate", "quickstart", *tiny, *OPTIONS, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert json.loads((out / "calibration.json").read_text()) == document
    assert {path.name for path in out.glob("*.p*")} == {
        f"{name}.{kind}" for name in ("calibration-path", "client-shift") for kind in ("pdf", "png")
    }
    assert len(document["constants"]) == 13
    for name, x in document["constants"].items():
        assert x["low"] <= x["high"] and x["how"], name
    again = airtune("calibrate", "quickstart", *tiny, *OPTIONS)
    assert again.returncode == 0, again.stderr
    section = yaml.safe_load(again.stdout[again.stdout.index("bound:\n") :])
    assert section["bound"] == pytest.approx(document["bound"], rel=1e-3)
    assert pytest.approx(document["bound"]["L"], rel=1e-3) == parse(section).bound.L


def test_calibrate_refuses_bad_settings(airtune: Run) -> None:
    done = airtune("calibrate", "quickstart", "--set", "calibration.rounds=1")
    assert done.returncode == 2
    assert "calibration.rounds = 1" in done.stderr and "Traceback" not in done.stderr
