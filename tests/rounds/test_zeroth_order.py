"""Schemes whose clients make forward passes only (`zeroth_order`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airtune import record
from airtune.errors import InputError
from airtune.learning.payload import SeededDirections
from airtune.planning.forward import for_scheme
from airtune.planning.plans import plan_all
from airtune.planning.repetition import Repetition
from airtune.registry import SCHEMES
from airtune.rounds import cell_io
from airtune.rounds.federated import FederatedRun
from airtune.scenario import Scenario
from quadratic import QuadraticLearner, run_with
from rounds.test_federated import with_settings

FORWARD = tuple(name for name in SCHEMES if SCHEMES[name].forward_only)


def begun(scenario: Scenario, scheme: str) -> FederatedRun:
    return run_with(scenario, scheme, 1, QuadraticLearner(scenario, 1))


def losses(run: FederatedRun, rounds: int) -> list[float]:
    return [run.run_round()["loss"] for _ in range(rounds)]


def test_what_is_decoded_is_unbiased_with_the_energy_stated() -> None:
    """E dhat = g and E |dhat|^2 = (d + n + 1) / n |g|^2, with exact slopes (Nesterov, Spokoiny)."""
    learner = QuadraticLearner(Scenario(), 1)
    payload = SeededDirections(learner.matrices, 1, 20)
    slope = np.random.default_rng(0).standard_normal(107)
    decoded = []
    for index in range(1, 401):
        coded = np.array([z @ slope for z in payload.directions(index)]) / np.sqrt(20)
        decoded.append(payload.decoded(coded, index))
    energy = np.mean(np.sum(np.square(decoded), axis=1)) / (slope @ slope)
    assert energy == pytest.approx((107 + 20 + 1) / 20, rel=0.1)
    away = np.mean(decoded, axis=0) - slope
    assert away @ away / (slope @ slope) < 2 * energy / 400
    assert payload.inflation == pytest.approx(energy - 1, rel=0.12)


def test_spread_is_what_is_decoded() -> None:
    payload = SeededDirections(QuadraticLearner(Scenario(), 1).matrices, 3, 4)
    rows = np.random.default_rng(1).standard_normal((2, 4))
    assert np.allclose(payload.spread(rows, 2)[1], payload.decoded(rows[1], 2))


@pytest.mark.parametrize("scheme", FORWARD)
def test_the_step_is_plain_descent_along_the_directions(small_scenario, scheme: str) -> None:
    """Whatever the server optimiser of the scenario; signs have one length (FeedSign)."""
    scenario = with_settings(
        small_scenario,
        training__server_optimizer="adam",
        training__learning_rates={scheme: 0.02},
        zeroth_order__directions=3,
        clients__tx_power_dbm=60.0,
        digital__bits=16,
    )
    run = begun(scenario, scheme)
    before = run.state.adapter.astype(float)
    run.run_round()
    z = np.array(list(run.sending.payload.directions(1)), float)
    steps, *_ = np.linalg.lstsq(z.T, (before - run.state.adapter) / 0.02, rcond=None)
    assert np.allclose(before - 0.02 * z.T @ steps, run.state.adapter, atol=1e-5)
    slopes = z @ (before - run.engine.learner.optimum)
    if scheme == "feedsign":
        assert np.abs(3 * steps) == pytest.approx(np.ones(3), abs=1e-3)
    else:  # the difference is off the slope by mu |z|^2 / 2
        assert 3 * steps == pytest.approx(slopes, abs=0.05 + 0.01 * np.abs(slopes).max())


def test_books_have_a_number_for_each_direction_and_none_for_the_model(small_scenario) -> None:
    """Symbols and broadcast do not grow with the model; half of a gradient for each pass."""
    changes = {"zeroth_order__directions": 8, "digital__access": "tdma"}
    scenario = with_settings(small_scenario, **changes)
    gradient = begun(scenario, "fixed")
    compute = gradient.run_round()["round_latency_s"]["compute"]
    downlink = {}
    for twin in ("none", "openllama-3b-qv"):
        for scheme in FORWARD:
            run = begun(with_settings(scenario, costs__model=twin), scheme)
            line = run.run_round()["round_latency_s"]
            downlink[scheme, twin] = line["downlink"]
            if scheme in ("zeroth-order", "zeroth-order-movable"):
                assert line["uplink"] == pytest.approx(4 / 0.9e6)
                assert run.plan.latency_s.uplink == pytest.approx(5 * 4 / 0.9e6)
            if twin == "none":
                assert line["compute"] == pytest.approx(9 / 2 * compute)
    for scheme in FORWARD:
        own = pytest.approx(downlink[scheme, "openllama-3b-qv"])
        assert downlink[scheme, "none"] == own
    bits = scenario.radio.downlink_bits
    assert downlink["zeroth-order", "none"] == pytest.approx(bits * downlink["feedsign", "none"])


def test_a_feedsign_upload_is_one_bit_a_direction(small_scenario) -> None:
    times = []
    for count in (1, 7):
        scenario = with_settings(
            small_scenario, zeroth_order__directions=count, digital__access="tdma"
        )
        run = begun(scenario, "feedsign")
        radio = run.repetition.radio(1)
        link = run.scheme.array.link(radio, run.repetition.omega, run.state.positions)
        rates = run.scheme.air.single_user_rates(link, np.arange(3))
        times.append(run.run_round()["round_latency_s"]["uplink"])
        assert times[-1] == pytest.approx(np.sum(count / rates))
    assert times[1] == pytest.approx(7 * times[0])


def test_more_directions_are_fewer_rounds(small_scenario) -> None:
    """The step that the variance allows grows with n (FedKSeed, ZOTA)."""
    ends = []
    for count, rate in ((2, 0.01), (32, 0.16)):
        scenario = with_settings(
            small_scenario,
            zeroth_order__directions=count,
            zeroth_order__learning_rate=rate,
            training__rounds=8,
        )
        ends.append(losses(begun(scenario, "zeroth-order"), 8)[-1])
    assert ends[1] < 0.75 * ends[0]


def test_votes_of_signs_bear_a_client_that_cheats(small_scenario) -> None:
    """FeedSign's robustness: one client of three sends its numbers times -100."""
    poison = {"kind": "sign-flip", "share": 0.3, "scale": 100.0}
    ends = {}
    for scheme in ("zeroth-order-digital", "feedsign"):
        scenario = with_settings(
            small_scenario,
            faults__poison=poison,
            training__rounds=12,
            zeroth_order__sign_rate=0.3,
            digital__bits=16,
        )
        run = begun(scenario, scheme)
        first = run.first_metrics()["loss"]
        ends[scheme] = losses(run, 12)[-1] / first
    assert ends["feedsign"] < 1 < ends["zeroth-order-digital"]


def stop_after(last: int) -> Callable[[dict[str, Any]], None]:
    def stop(line: dict[str, Any]) -> None:
        if line["round"] == last:
            raise KeyboardInterrupt

    return stop


@pytest.mark.parametrize("scheme", ["zeroth-order", "feedsign"])
def test_a_run_resumes_bit_for_bit(small_scenario, tmp_path: Path, scheme: str) -> None:
    cells = [record.Cell(tmp_path / part / scheme / "seed-0", scheme, 0) for part in ("a", "b")]
    whole = begun(small_scenario, scheme)
    cell_io.execute(whole, cells[0], lambda line: None)
    with pytest.raises(KeyboardInterrupt):
        cell_io.execute(begun(small_scenario, scheme), cells[1], stop_after(2))
    resumed = begun(small_scenario, scheme)
    cell_io.execute(resumed, cells[1], lambda line: None)
    ours, theirs = resumed.state.arrays(), whole.state.arrays()
    assert ours.keys() == theirs.keys()
    assert not any(name.startswith("client.") for name in ours)  # what is asked is not kept
    for name, array in ours.items():
        assert np.array_equal(array, theirs[name]), name


def test_what_does_not_go_together_is_said(small_scenario) -> None:
    for changes, said in (
        ({"training__local_steps": 2}, r"training.local_steps = 2: must be 1 .*'zeroth-order'"),
        (
            {"training__client_objective": "dpo", "training__objective": "dpo"}
            | {"data__format": "preference"},
            r"training.client_objective = 'dpo': must have a loss by forward passes",
        ),
        ({"zeroth_order__directions": 108}, r"zeroth_order.directions = 108: must be from 1 to 10"),
    ):
        scenario = with_settings(small_scenario, **changes)
        repetition = Repetition(scenario, 1, QuadraticLearner(scenario, 1))
        with pytest.raises(InputError, match=said):
            plan_all(repetition, ["movable", "zeroth-order"])
        assert for_scheme(repetition, "movable") is repetition


def test_an_engine_that_returns_gradients_is_refused(small_scenario, monkeypatch) -> None:
    monkeypatch.setattr("quadratic.asks", lambda state: False)
    with pytest.raises(InputError, match=r"engine.name: this engine returns gradients"):
        begun(small_scenario, "zeroth-order").run_round()
