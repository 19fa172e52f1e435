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


@pytest.mark.slow
def test_arrays_that_turn_are_compared_and_resumed(airtune, tiny, tmp_path: Path) -> None:
    out = tmp_path / "turned"
    schemes = ("--schemes", "movable,fixed,digital")
    done = airtune("compare", "quickstart", *tiny, *TURNED, *schemes, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["scenario"]["array"]["rotation"]["movable"] == "turned"
    moved = {name: one["energy_j"]["movement"] for name, one in document["schemes"].items()}
    assert moved["fixed"] == moved["digital"] == 0 < moved["movable"]
    assert (out / "report.html").is_file()
    lines = (out / "movable" / "seed-1" / "metrics.jsonl").read_text().splitlines()
    angles = [json.loads(line).get("rotation_deg") for line in lines]
    assert angles[0] is None and angles[1] == angles[2] and len(angles[1]) == 3
    again = airtune("resume", out, "--json")
    assert json.loads(again.stdout)["schemes"] == document["schemes"]

    alone = tmp_path / "alone"
    done = airtune("run", "quickstart", *tiny, *TURNED, "--scheme", "movable", "--out", alone,
                   "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    again = (alone / "movable" / "seed-1" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line).get("rotation_deg") for line in again] == angles

    done = airtune("plan", "quickstart", *tiny, *TURNED, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["radio"]["rotation_deg"] == angles[1]
    shown = airtune("plan", "quickstart", *tiny, *TURNED).stdout
    assert f"{', '.join(f'{angle:g}' for angle in angles[1])} in round 1" in shown


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
    assert done.returncode == 2 and not done.stdout
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
