"""Whole commands with clients of several antennas: channel, plan, compare, resume, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest


def options(*settings: str) -> list[str]:
    return [part for setting in settings for part in ("--set", setting)]


TWO = options("clients.antennas=2", "training.rounds=2")


@pytest.mark.slow
def test_several_antennas_are_compared_and_resumed(airtune, tiny, tmp_path: Path) -> None:
    out = tmp_path / "two"
    schemes = ("--schemes", "movable,fixed,digital")
    done = airtune("compare", "quickstart", *tiny, *TWO, *schemes, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["scenario"]["clients"]["antennas"] == 2
    error = {name: one["mse_db"] for name, one in document["schemes"].items()}
    assert error["movable"] < error["fixed"] and (out / "report.html").is_file()
    again = airtune("resume", out, "--json")
    assert json.loads(again.stdout)["schemes"]["movable"]["mse_db"] == error["movable"]


@pytest.mark.slow
def test_a_path_file_has_departures(airtune, tmp_path: Path) -> None:
    paths = tmp_path / "paths.npz"
    done = airtune("channel", "block-fading", "--scenario", "quickstart", *TWO, "--out", paths)
    assert done.returncode == 0, done.stderr
    assert np.load(paths)["departures"].shape == (3, 10, 10, 2)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (("aggregation.alignment=capped",), "aggregation.alignment = capped"),
        (("radio.resource_blocks=3",), "radio.resource_blocks = 3"),
    ],
)
def test_settings_for_one_antenna_are_exit_2(airtune, settings, named: str) -> None:
    done = airtune("check", "quickstart", *TWO, *options(*settings))
    assert done.returncode == 2 and not done.stdout
    assert "clients.antennas = 2" in done.stderr and named in done.stderr
    assert len(done.stderr) <= 400 and "Traceback" not in done.stderr


@pytest.mark.slow
def test_schemes_for_one_antenna_are_exit_2_before_any_work(airtune, tiny, tmp_path: Path) -> None:
    done = airtune("compare", "quickstart", *tiny, *TWO, "--schemes", "movable,ris,obda", "--out",
                   tmp_path / "run")  # fmt: skip
    assert done.returncode == 2 and not done.stdout and not (tmp_path / "run").exists()
    assert "clients.antennas = 2" in done.stderr and "ris, obda" in done.stderr
    assert len(done.stderr) <= 400 and "Traceback" not in done.stderr
