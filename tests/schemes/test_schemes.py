"""Schemes: what each interface forecasts, sends and costs."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from airtune.errors import InputError
from airtune.radio.array import channel
from airtune.radio.channels.block_fading import BlockFading
from airtune.radio.units import receiver_noise
from airtune.registry import SCHEMES
from airtune.scenario import Scenario
from airtune.schemes import RadioRound, Uploads

SIZES = np.array([40, 60, 7])


def radio_of(scenario: Scenario, index: int = 1) -> RadioRound:
    block = BlockFading(scenario.radio, scenario.clients, 1).block(index)
    return RadioRound.of(scenario, 1, index, block)


def uploads_of(scenario: Scenario, seed: int = 0) -> Uploads:
    rng = np.random.default_rng(seed)
    count = scenario.clients.count
    spread = rng.uniform(0.1, 3.0, (count, 1))
    updates = (spread * rng.standard_normal((count, SIZES.sum()))).astype(np.float32)
    omega = rng.dirichlet(np.ones(count))
    return Uploads(updates, np.arange(count), omega, SIZES)


@pytest.mark.parametrize("rule", ["block", "loaded", "global"])
@pytest.mark.parametrize("name", ["fixed", "truncated"])
def test_who_vanishes_beside_the_others_is_told_once(small_scenario, name: str, rule: str) -> None:
    aggregation = {"normalise": rule, "truncation_db": -60.0}
    scenario = Scenario.model_validate(small_scenario.to_dict() | {"aggregation": aggregation})
    scheme, radio = SCHEMES[name].build(scenario, 1), radio_of(scenario, 3)
    uploads = uploads_of(scenario)
    link = radio.at(scheme.array.start())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheme.air.combine(uploads, link, 1.0)
        uploads.updates[0] = 1.0  # nothing of it is sent: its mean is all
        scheme.air.combine(uploads, link, 1.0)
    uploads.updates[1] = uploads.updates[1] * np.float32(1e-12) + 0
    with pytest.warns(RuntimeWarning, match="clients 1 stay silent in round 3: ") as told:
        scheme.air.combine(uploads, link, 1.0)
    assert len(told) == 1
    with pytest.warns(RuntimeWarning, match="clients 2 stay silent in round 3: ") as told:
        for first, second in ((1, 2), (2, 1), (1, 2)):  # who vanishes beside whom
            uploads.updates[first] = uploads.updates[[1, 2]].sum(axis=0)
            uploads.updates[second] = uploads.updates[first] * np.float32(1e-12)
            scheme.air.combine(uploads, link, 1.0)
    assert len(told) == 1


@pytest.mark.parametrize("name", ["movable", "fixed", "random-position"])
def test_uplink_energy_never_exceeds_the_power_limits(small_scenario, name: str) -> None:
    scheme, radio = SCHEMES[name].build(small_scenario, 1), radio_of(small_scenario)
    start = scheme.array.start()
    uploads = uploads_of(small_scenario)
    link = radio.at(scheme.array.place(radio, uploads.omega, start))
    received = scheme.air.combine(uploads, link, 1.0)
    assert (received.uplink_j > 0).all()
    assert (received.uplink_j <= radio.powers * received.uplink_s * (1 + 1e-9)).all()


def test_forecast_is_the_error_that_uniform_forcing_meets(small_scenario) -> None:
    """With one common scale, nu = omega and the realised error is the forecast's."""
    aggregation = {"normalise": "global", "scale_reports": "sequential"}
    data = small_scenario.to_dict() | {"aggregation": aggregation}
    scenario = Scenario.model_validate(data)
    scheme, radio = SCHEMES["fixed"].build(scenario, 1), radio_of(scenario)
    link = radio.at(scheme.array.start())
    rng = np.random.default_rng(3)
    count = scenario.clients.count
    omega = np.full(count, 1 / count)
    sizes = np.array([30_000])
    updates = rng.standard_normal((count, 30_000))
    updates = (updates - updates.mean(1, keepdims=True)) / updates.std(1, keepdims=True)
    uploads = Uploads(updates.astype(np.float32), np.arange(count), omega, sizes)
    forecast = scheme.air.forecast(link, omega, sizes)
    received = scheme.air.combine(uploads, link, 1.0)
    assert received.predicted_mse == pytest.approx(forecast.mse, rel=1e-4)
    assert received.mse == pytest.approx(forecast.mse, rel=0.05)
    assert received.uplink_s == pytest.approx(forecast.uplink_s)


def test_digital_takes_the_shannon_time_of_each_client(small_scenario) -> None:
    data = small_scenario.to_dict() | {
        "digital": {"access": "tdma", "quantizer": "uniform", "bits": 8}
    }
    small_scenario = Scenario.model_validate(data)
    scheme, radio = SCHEMES["digital"].build(small_scenario, 1), radio_of(small_scenario)
    positions = scheme.array.start()
    received = scheme.air.combine(uploads_of(small_scenario), radio.at(positions), 1.0)
    h = channel(radio.true.clients, positions)
    v = channel(radio.true.interferers, positions)
    q = 10 ** ((small_scenario.radio.interferers.tx_power_dbm - 30) / 10)
    R = receiver_noise(small_scenario.radio) * np.eye(3) + sum(q * np.outer(x, x.conj()) for x in v)
    seconds, joules = 0.0, []
    bits = 8 * SIZES.sum() + 3 * 32
    for k in range(3):
        sinr = (0.01 * h[k].conj() @ np.linalg.inv(R) @ h[k]).real
        time = bits / (0.9e6 * np.log2(1 + sinr))
        seconds += time
        joules.append(0.01 * time)
    assert received.uplink_s == pytest.approx(seconds, rel=1e-6)
    assert received.uplink_j == pytest.approx(joules, rel=1e-6)


def test_digital_error_is_near_its_forecast_for_gaussian_updates(small_scenario) -> None:
    data = small_scenario.to_dict() | {
        "digital": {"quantizer": "uniform", "bits": "auto", "error_feedback": True}
    }
    small_scenario = Scenario.model_validate(data)
    scheme, radio = SCHEMES["digital"].build(small_scenario, 1), radio_of(small_scenario)
    link = radio.at(scheme.array.start())
    rng = np.random.default_rng(0)
    sizes = np.array([20_000, 20_000])
    updates = rng.standard_normal((3, 40_000)).astype(np.float32)
    omega = np.full(3, 1 / 3)
    uploads = Uploads(updates, np.arange(3), omega, sizes)
    forecast = scheme.air.forecast(link, omega, sizes).mse
    assert scheme.air.combine(uploads, link, 1.0).mse == pytest.approx(forecast, rel=0.3)


def test_error_feedback_remembers_what_was_lost(small_scenario) -> None:
    data = small_scenario.to_dict() | {"digital": {"bits": 2, "error_feedback": True}}
    scenario = Scenario.model_validate(data)
    scheme, radio = SCHEMES["digital"].build(scenario, 1), radio_of(scenario)
    uploads = uploads_of(scenario)
    received = scheme.air.combine(uploads, radio.at(scheme.array.start()), 1.0)
    exact = uploads.omega @ uploads.updates
    lost = np.array([received.memory[client] for client in range(3)])
    assert np.allclose(received.mean + uploads.omega @ lost, exact, atol=1e-5)


def test_movable_keeps_to_its_travel_cap(small_scenario) -> None:
    data = small_scenario.to_dict() | {"placement": {"mode": "fast", "max_travel": 0.3}}
    scenario = Scenario.model_validate(data)
    policy = SCHEMES["movable"].build(scenario, 1).array
    positions, omega = policy.start(), np.full(3, 1 / 3)
    for index in (1, 2):
        placed = policy.place(radio_of(scenario, index), omega, positions)
        ways = np.linalg.norm(placed[:, None] - positions[None], axis=-1)
        assert ways.min(axis=1).max() <= 0.3 + 1e-9
        gaps = np.linalg.norm(placed[:, None] - placed[None], axis=-1)[np.triu_indices(3, 1)]
        assert gaps.min() >= scenario.array.spacing - 1e-9
        positions = placed


@pytest.mark.parametrize("rule", ["block", "loaded", "global"])
def test_error_is_relative_to_the_same_scale_for_every_rule(small_scenario, rule: str) -> None:
    """Blocks of scales 1, 10, 100: the realised error meets its prediction under each rule."""
    data = small_scenario.to_dict() | {"aggregation": {"normalise": rule}}
    data["clients"]["tx_power_dbm"] = -10.0
    scenario = Scenario.model_validate(data)
    radio, scheme = radio_of(scenario), SCHEMES["fixed"].build(scenario, 1)
    sizes = np.array([20_000, 20_000, 20_000])
    scale = np.repeat([1.0, 10.0, 100.0], sizes)
    updates = scale * np.random.default_rng(0).standard_normal((3, sizes.sum()))
    uploads = Uploads(updates.astype(np.float32), np.arange(3), np.full(3, 1 / 3), sizes)
    received = scheme.air.combine(uploads, radio.at(scheme.array.start()), 1.0)
    assert received.mse == pytest.approx(received.predicted_mse, rel=0.05)
    error = received.mean - updates.mean(axis=0)
    assert received.mse == pytest.approx((error @ error) / (20_000 * (1 + 100 + 1e4)), rel=0.05)


@pytest.mark.parametrize("name", ["ideal", "fixed", "digital"])
def test_constant_updates_are_aggregated_exactly(small_scenario, name: str) -> None:
    uploads = Uploads(np.ones((3, 107), np.float32), np.arange(3), np.full(3, 1 / 3), SIZES)
    scheme, radio = SCHEMES[name].build(small_scenario, 1), radio_of(small_scenario)
    received = scheme.air.combine(uploads, radio.at(scheme.array.start()), 1.0)
    assert np.allclose(received.mean, 1.0, atol=1e-6)


def test_reports_cost_the_weak_client_more(small_scenario) -> None:
    scheme, radio = SCHEMES["fixed"].build(small_scenario, 1), radio_of(small_scenario)
    link = radio.at(scheme.array.start())
    joules = scheme.air.overheads(link, link, np.arange(3), SIZES).pilot_j
    whitener = np.linalg.inv(np.linalg.cholesky(link.true.everybody.covariance))
    strength = np.linalg.norm(whitener @ link.true.everybody.channel.T, axis=0)
    assert np.argsort(joules).tolist() == np.argsort(-strength).tolist()


@pytest.mark.parametrize("spacing", [0.5, 0.7, 1.5])
def test_movable_antennas_start_and_stay_at_the_least_distance(
    small_scenario, spacing: float
) -> None:
    data = small_scenario.to_dict() | {"array": {"antennas": 3, "spacing": spacing}}
    scenario = Scenario.model_validate(data)
    policy = SCHEMES["movable"].build(scenario, 1).array
    start = policy.start()
    for positions in (start, policy.place(radio_of(scenario), np.full(3, 1 / 3), start)):
        gaps = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
        assert gaps[np.triu_indices(3, 1)].min() >= spacing - 1e-9


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (
            {"drive": "pixel", "region": (40.0, 40.0)},
            r"array\.grid = 0\.1 \(array\.drive = pixel\): .* 160801 places; at most 100000",
        ),
        ({"grid": 5.0, "antennas": 4}, r"array\.grid = 5 .* 1 antennas fit, not 4 .*array\.region"),
    ],
)
def test_a_grid_that_cannot_be_used_is_named_by_its_setting(array, told) -> None:
    policy = SCHEMES["movable"].build(Scenario.model_validate({"array": array}), 1).array
    with pytest.raises(InputError, match=told):
        policy.start()
