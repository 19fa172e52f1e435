"""Whole commands over several resource blocks: plan, compare, resume, place, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from airtune.placement import save_problems
from airtune.placement.examples import random_problem


def options(*settings: str) -> list[str]:
    return [part for setting in settings for part in ("--set", setting)]


WIDE = options("radio.resource_blocks=3", "radio.paths.delay_spread_s=1us", "training.rounds=2")
BOOKED = ("radio.paths.delay_spread_s=0", "radio.pilot_rule=equal", "training.rounds=2")
"""All blocks alike, so that reports have equal rates and all other books are those of one block."""


@pytest.mark.slow
def test_a_wide_band_is_compared_and_resumed(airtune, tiny, tmp_path: Path) -> None:
    wide, out = [*tiny, *WIDE], tmp_path / "wide"
    schemes = "movable,fixed,selection,digital"
    done = airtune("compare", "quickstart", *wide, "--schemes", schemes, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["scenario"]["radio"]["resource_blocks"] == 3
    error = {name: one["mse_db"] for name, one in document["schemes"].items()}
    assert error["movable"] < error["fixed"] and (out / "report.html").is_file()
    again = airtune("resume", out, "--json")
    assert json.loads(again.stdout)["schemes"]["movable"]["mse_db"] == error["movable"]


@pytest.mark.slow
def test_books_of_a_wide_band(airtune, tiny, tmp_path: Path) -> None:
    books = []
    for blocks in (1, 3):
        out, more = tmp_path / str(blocks), options(f"radio.resource_blocks={blocks}", *BOOKED)
        done = airtune("run", "quickstart", *tiny, *more, "--scheme", "fixed", "--out", out)
        assert done.returncode == 0, done.stderr
        books.append(json.loads((out / "results.json").read_text())["schemes"]["fixed"])
    symbol, rounds = 1 / 0.9e6, 2
    times = [one["latency_s"] for one in books]
    assert 0 <= times[1]["uplink"] - times[0]["uplink"] <= 2 * rounds * symbol * (1 + 1e-9)
    # 8 symbols of each of 10 clients and 40 silent ones, in each of two blocks more
    assert times[1]["pilots"] - times[0]["pilots"] == pytest.approx(rounds * 2 * 120 / 1e6)


@pytest.mark.slow
def test_a_plan_has_a_beamformer_for_each_block(airtune, tiny) -> None:
    done = airtune("plan", "quickstart", *tiny, *WIDE, "--json")
    assert done.returncode == 0, done.stderr
    radio = json.loads(done.stdout)["radio"]
    assert np.array(radio["beamformer_re"]).shape == (3, 4)
    assert np.array(radio["beamformer_im"]).shape == (3, 4)
    assert radio["worst_gain"] == pytest.approx(1 / radio["mse_star"], rel=1e-9)


@pytest.mark.slow
def test_schemes_for_one_channel_are_exit_2_before_any_work(airtune, tiny, tmp_path: Path) -> None:
    done = airtune("compare", "quickstart", *tiny, *WIDE, "--schemes", "movable,ris,obda", "--out",
                   tmp_path / "run")  # fmt: skip
    assert done.returncode == 2 and not done.stdout and not (tmp_path / "run").exists()
    assert "radio.resource_blocks = 3" in done.stderr and "ris, obda" in done.stderr
    assert len(done.stderr) <= 400 and "Traceback" not in done.stderr


def wide_file(path: Path, **changes: object) -> Path:
    problem = random_problem(1, antennas=2, clients=3, paths=4, interferers=1)
    save_problems(path, [problem])
    rng = np.random.default_rng(1)
    arrays = dict(np.load(path)) | {
        "resource_blocks": 3,
        "bandwidth_hz": 1e6,
        "delays": rng.exponential(1e-6, (1, 3, 4)),
        "interferer_delays": rng.exponential(1e-6, (1, 1, 4)),
    }
    arrays = {name: value for name, value in (arrays | changes).items() if value is not None}
    np.savez(path, **arrays)
    return path


@pytest.mark.slow
def test_place_solves_a_file_with_resource_blocks(airtune, tmp_path: Path) -> None:
    path, out = wide_file(tmp_path / "wide.npz"), tmp_path / "out.npz"
    done = airtune("place", path, "--out", out, "--mode", "fast", "--certify", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["instances"]
    given, found = np.load(path), np.load(out)
    assert found["positions"].shape == (1, 2, 2) and found["beamformer"].shape == (1, 3, 2)
    # by hand: the channels of each block at the places, and the gains of its beamformer
    gains = []
    for i, offset in enumerate((-1e6 / 3, 0.0, 1e6 / 3)):

        def at(kind: str, scale: np.ndarray, offset: float = offset) -> np.ndarray:
            paths = given[f"{kind}gains"][0] * np.exp(
                -2j * np.pi * offset * given[f"{kind}delays"][0]
            )
            turns = np.exp(2j * np.pi * given[f"{kind}directions"][0] @ found["positions"][0].T)
            return scale[:, None] * np.einsum("kl,kln->kn", paths, turns)

        w = found["beamformer"][0, i]
        g = at("", np.sqrt(given["powers"][0]) / given["weights"][0])
        v = at("interferer_", np.sqrt(given["interferer_powers"][0]))
        met = given["noise"][0] * np.sum(np.abs(w) ** 2) + np.sum(np.abs(v @ w.conj()) ** 2)
        gains.append((np.abs(g @ w.conj()) ** 2).min() / met)
    np.testing.assert_allclose(found["block_gain"][0], gains, rtol=1e-9)
    worst = 1 / np.mean(1 / np.array(gains))
    assert row["worst_gain"] == pytest.approx(worst, rel=1e-9) == found["worst_gain"][0]
    assert row["upper_bound"] >= row["worst_gain"]


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"delays": None}, (), "array 'delays' is missing"),
        ({"bandwidth_hz": None}, (), "array 'bandwidth_hz' is missing"),
        ({"bandwidth_hz": -1.0}, (), "bandwidth_hz must be positive and finite, not -1"),
        ({"resource_blocks": 2.5}, (), "resource_blocks must be an integer from 1 to 256"),
        ({"resource_blocks": np.inf}, (), "resource_blocks must be an integer from 1 to 256"),
        ({"resource_blocks": np.nan}, (), "resource_blocks must be an integer from 1 to 256"),
        (
            {"resource_blocks": np.full(2, 2)},
            (),
            "resource_blocks must be one number, its shape is (2,)",
        ),
        ({"delays": np.full((1, 3, 4), 1e300)}, (), "delays: must be at most 1000 s in a band"),
        ({"delays": np.full((1, 3, 4), np.nan)}, (), "delays must be finite and >= 0 s"),
        ({"interferer_delays": np.zeros((1, 2, 4))}, (), "interferer_delays must be numbers of"),
        ({}, ("--method", "pdd"), "method must be auto or sqp"),
    ],
)
def test_a_file_that_does_not_fit_is_one_message(
    tmp_path: Path, capsys, monkeypatch, changes, options, message
) -> None:
    from airtune.cli import main

    path = wide_file(tmp_path / "wide.npz", **changes)
    monkeypatch.setattr(
        "sys.argv", ["airtune", "place", str(path), "--out", str(tmp_path / "o.npz"), *options]
    )
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr().err
    assert stop.value.code == 2 and message in said and len(said) <= 400
