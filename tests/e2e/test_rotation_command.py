"""Whole commands with arrays that turn: plan, run, compare, resume, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airtune.errors import InputError
from airtune.scenario import file

UMI = Path(__file__).parents[1] / "radio" / "channels" / "umi.npz"


def options(*settings: str) -> list[str]:
    return [part for setting in settings for part in ("--set", setting)]


TURNED = options(
    "array.rotation.movable=turned",
    "array.rotation.others=mounted",
    "array.rotation.draws=1",
    "array.rotation.least_gain_db=0",
    "array.element=tr38901",
    "radio.paths.angles=cluster",
    "training.rounds=2",
)


def angles_of(folder: Path) -> list[list[float] | None]:
    lines = (folder / "movable" / "seed-0" / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line).get("rotation_deg") for line in lines]


@pytest.mark.slow
def test_arrays_that_turn_are_compared_and_resumed(airtune, tiny, tmp_path: Path) -> None:
    out = tmp_path / "turned"
    schemes = ("--schemes", "movable,fixed")
    done = airtune("compare", "quickstart", *tiny, *TURNED, *schemes, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["scenario"]["array"]["rotation"]["movable"] == "turned"
    moved = {name: one["energy_j"]["movement"] for name, one in document["schemes"].items()}
    assert moved["fixed"] == 0 < moved["movable"]
    assert (out / "report.html").is_file()
    first, *others = angles_of(out)
    assert first is None and others[0] == others[1] and len(others[0]) == 3
    again = airtune("resume", out, "--json")
    assert json.loads(again.stdout)["schemes"] == document["schemes"]


@pytest.mark.slow
def test_a_run_faces_where_the_plan_says(airtune, tiny, tmp_path: Path) -> None:
    out = tmp_path / "alone"
    run = airtune("run", "quickstart", *tiny, *TURNED, "--scheme", "movable", "--out", out)
    assert run.returncode == 0, run.stderr
    plan = airtune("plan", "quickstart", *tiny, *TURNED, "--json")
    assert plan.returncode == 0, plan.stderr
    assert json.loads(plan.stdout)["radio"]["rotation_deg"] == angles_of(out)[1]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (("array.rotation.movable=turned",), "array.rotation.movable = turned"),
        (("array.element=tr38901",), "array.element = tr38901"),
    ],
)
@pytest.mark.slow
def test_gains_that_hold_patterns_are_exit_2(airtune, settings, named: str) -> None:
    paths = ("radio.channel=file", f"radio.channel_file={UMI}", "clients.count=2")
    given = options(*paths, "radio.interferers.count=1", *settings)
    done = airtune("check", "quickstart", *given)
    assert done.returncode == 2
    assert named in done.stderr and "radio.channel = file" in done.stderr
    assert len(done.stderr) <= 400 and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("setting", "allowed"),
    [
        ("array.rotation.movable=spun", "array.rotation.movable"),
        ("array.rotation.largest_deg=[200,0,0]", "array.rotation.largest_deg"),
        ("array.rotation.speed_dps=0", "array.rotation.speed_dps"),
        ("array.rotation.speed_dps=3m/s", "deg/s"),
        ("array.element=dipole", "array.element"),
    ],
)
def test_settings_that_are_none_are_told(setting: str, allowed: str) -> None:
    with pytest.raises(InputError) as told:
        file.load("quickstart", [setting])
    assert allowed in str(told.value) and len(str(told.value)) <= 400
