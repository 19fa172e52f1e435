"""A comparison of clients that walk, as a user types it: bad files, plan, results, resume."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

WALKING = [
    "radio.channel=tracks",
    "radio.mobility.speed_mps=3km/h",
    "radio.csi.beamformer=measured",
    "clients.tx_power_dbm=20",
]


def options(*settings: str) -> list[str]:
    return [part for setting in settings for part in ("--set", setting)]


@pytest.mark.slow
def test_clients_that_walk_are_compared_and_resumed(airtune, tiny, tmp_path: Path) -> None:
    walking = [*tiny, *options(*WALKING, "radio.csi.age_s=round", "training.rounds=4")]
    done = airtune("compare", "quickstart", *walking, "--schemes", "movable,fixed", "--out",
                   tmp_path / "whole")  # fmt: skip
    assert done.returncode == 0, done.stderr
    short = airtune("run", "quickstart", "--scheme", "movable", *walking, "--out", tmp_path / "run")
    assert short.returncode == 0, short.stderr
    whole, run = (
        json.loads((tmp_path / name / "results.json").read_text()) for name in ("whole", "run")
    )
    # the same channels in both commands
    mse = [one["schemes"]["movable"]["mse_db"] for one in (whole, run)]
    assert mse[0] == mse[1] and whole["schemes"]["fixed"]["mse_db"] is not None
    settings = whole["scenario"]["radio"]
    assert settings["mobility"]["speed_mps"] == pytest.approx(3 / 3.6)
    again = airtune("resume", tmp_path / "whole", "--json")
    assert json.loads(again.stdout)["schemes"]["movable"]["mse_db"] == mse[0]


@pytest.mark.slow
def test_plan_and_check_say_how_long_the_paths_last(airtune, tiny, tmp_path: Path) -> None:
    walking = [*tiny, *options(*WALKING)]
    planned = airtune("plan", "quickstart", *walking, "--json")
    assert planned.returncode == 0, planned.stderr
    coherence = json.loads(planned.stdout)["coherence"]
    doppler = 1.0 / (299_792_458 / 3.5e9)  # of the interferers, who walk 1 m/s
    assert coherence["max_doppler_hz"] == pytest.approx(doppler)
    assert coherence["coherence_s"] == pytest.approx(0.423 / doppler)
    assert 0 < coherence["move_s"] < 1 and coherence["compute_s"] > 0
    checked = airtune("check", "quickstart", *walking)
    assert f"Coherence time {0.423 / doppler:.3g} s" in checked.stdout
    still = airtune("check", "quickstart", *tiny, *options("radio.paths.doppler_hz=0"))
    assert still.returncode == 0 and "Coherence" not in still.stdout


@pytest.mark.slow
def test_a_file_of_tracks_that_does_not_fit_is_exit_2(airtune, tiny, tmp_path: Path) -> None:
    np.savez(tmp_path / "walk.npz", times=[0.0, 1.0], clients=np.ones((2, 3, 3)))
    given = [f"radio.mobility.track_file={tmp_path / 'walk.npz'}", "radio.mobility.track=file"]
    done = airtune("compare", "quickstart", *tiny, *options(*WALKING[:1], *given))
    assert done.returncode == 2
    assert "radio.mobility.track_file = " in done.stderr
    assert "clients.count = 10" in done.stderr and "Traceback" not in done.stderr
