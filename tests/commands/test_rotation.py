"""A comparison of arrays that turn, and one of channels that do not go with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from airtune.commands.app import app
from airtune.errors import InputError

UMI = Path(__file__).parents[1] / "radio" / "channels" / "umi.npz"
TURNED = [
    "array.rotation.movable=turned",
    "array.rotation.others=mounted",
    "array.rotation.draws=1",
    "array.rotation.least_gain_db=0",
    "array.element=tr38901",
    "placement.mode=fast",
    "training.rounds=2",
]


def line_of(*settings: str) -> list[str]:
    return [part for setting in settings for part in ("--set", setting)]


def test_turns_cost_who_turns(quadratic: Any, no_figures: None, tmp_path: Path) -> None:
    out = tmp_path / "turned"
    line = ["compare", "quickstart", *line_of(*TURNED), "--schemes", "movable,fixed", "--json"]
    answer = CliRunner().invoke(app, [*line, "--out", str(out)])
    assert answer.exit_code == 0, answer.output
    document = json.loads(answer.stdout)
    lines = (out / "movable" / "seed-0" / "metrics.jsonl").read_text().splitlines()
    first, *others = (json.loads(line).get("rotation_deg") for line in lines)
    assert first is None and others[0] == others[1] and any(others[0])
    turning_j = 10.0 * sum(abs(angle) / 30.0 for angle in others[0])
    moved = {name: one["energy_j"]["movement"] for name, one in document["schemes"].items()}
    assert moved["fixed"] == 0 and turning_j < moved["movable"] < turning_j + 5.0


def test_rays_of_the_report_are_refused_before_any_work(quadratic: Any, tmp_path: Path) -> None:
    paths = ("radio.channel=file", f"radio.channel_file={UMI}", "clients.count=2")
    given = line_of(*TURNED[:1], *paths, "radio.interferers.count=1")
    out = tmp_path / "run"
    answer = CliRunner().invoke(
        app, ["run", "quickstart", *given, "--scheme", "movable", "--out", str(out)]
    )
    # the program ends with exit code 2 for these: tests/e2e/test_rotation_command.py
    assert isinstance(answer.exception, InputError)
    assert str(answer.exception).startswith("array.rotation.movable = turned: must be none")
    assert not out.exists()
