"""Grouped sums and robust rules in the air interfaces, against the exact updates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from airtune.radio import robust, scales
from airtune.radio.impairments import Impairments
from airtune.radio.over_the_air import aggregate
from airtune.registry import SCHEMES
from airtune.scenario import Scenario
from airtune.schemes import Uploads
from airtune.schemes.air.analog import forced
from airtune.schemes.air.grouped import Grouped
from airtune.streams import generator
from schemes.radio import SIZES, air_of, gaussian, link_of, scenario_with, uploads_of

SUMS = ("movable", "fixed", "truncated", "cotaf", "obda")
QUIET = {
    "clients__count": 7,
    "clients__tx_power_dbm": 30.0,
    "radio__noise_psd_dbm_hz": -250.0,
    "radio__interferers__count": 0,
    "placement__mode": "fast",
}
"""Air without errors, up to rounding."""


DIGITAL = (
    *("digital", "digital-movable", "digital-selection"),
    *("zeroth-order-digital", "feedsign"),
)


def unequal(count: int = 7, seed: int = 0) -> Uploads:
    """Uploads of clients with unequal weights and updates of unequal size."""
    rng = np.random.default_rng(seed)
    omega = rng.uniform(0.5, 2.0, count)
    uploads = uploads_of(gaussian(count, seed) * rng.uniform(0.5, 3.0, (count, 1)) + 0.1)
    return replace(uploads, omega=omega / omega.sum())


def mean_of(uploads: Uploads, members: np.ndarray) -> np.ndarray:
    weights = uploads.omega[members] / uploads.omega[members].sum()
    return weights @ uploads.updates[members].astype(float)


@pytest.mark.parametrize("name", SCHEMES)
def test_one_group_and_no_rule_is_the_interface_itself(name: str) -> None:
    built = SCHEMES[name].build(Scenario(), 1).air
    assert type(built) is SCHEMES[name].air
    several = SCHEMES[name].build(scenario_with(aggregation__groups=3), 1).air
    assert isinstance(several, Grouped) == (name not in ("ideal", *DIGITAL))


def test_without_groups_the_noise_is_that_of_the_round() -> None:
    scenario = scenario_with(clients__tx_power_dbm=-10.0)
    link, uploads, air = (
        link_of(scenario, "fixed"),
        uploads_of(gaussian(10)),
        air_of(scenario, "fixed"),
    )
    common = scales.normalise_updates(
        scales.report_scales(uploads.updates, uploads.matrix_sizes), uploads.omega, "block"
    )
    sent = forced(link, uploads.clients, common.effective_weights, 1.0)
    noise = generator(1, "noise", 1)
    wanted = aggregate(uploads.updates, common, sent, link.true.of(uploads.clients), noise).mean
    assert np.array_equal(air.combine(uploads, link, 1.0).mean, wanted)
    other = air.combine(replace(uploads, slot=0), link, 1.0).mean
    assert not np.array_equal(other, wanted)


@pytest.mark.parametrize("groups", [2, 3, 7, 12])
@pytest.mark.parametrize("name", ["movable", "truncated", "cotaf"])
def test_error_free_sums_of_groups_make_the_weighted_mean(name: str, groups: int) -> None:
    scenario = scenario_with(**QUIET, aggregation__groups=groups)
    link, uploads = link_of(scenario, name), unequal()
    received = air_of(scenario, name).combine(uploads, link, 1.0)
    assert np.allclose(received.mean, uploads.omega @ uploads.updates, atol=2e-3)
    assert received.mse < 1e-7
    assert received.rule_shift is None


@pytest.mark.parametrize("rule", ["median", "trimmed-mean", "geometric-median"])
def test_a_rule_merges_the_means_of_the_groups(rule: str) -> None:
    scenario = scenario_with(
        **QUIET, aggregation__groups=3, aggregation__robust=rule, aggregation__trim=0.3
    )
    link, uploads, air = link_of(scenario, "fixed"), unequal(), air_of(scenario, "fixed")
    groups = air.split(uploads.clients, link)
    means = np.array([mean_of(uploads, members) for members in groups])
    weights = np.array([uploads.omega[members].sum() for members in groups])
    wanted = robust.merged(means, weights, rule, 0.3)  # type: ignore[arg-type]
    received = air.combine(uploads, link, 1.0)
    assert np.allclose(received.mean, wanted, atol=2e-3)
    assert received.mse < 1e-7
    whole = uploads.omega @ uploads.updates.astype(float)
    assert not np.allclose(wanted, whole, atol=1e-2)
    reports = scales.report_scales(uploads.updates, uploads.matrix_sizes)
    v = scales.normalise_updates(reports, uploads.omega, "block").deviations
    squared = uploads.matrix_sizes @ v**2
    assert received.rule_shift == pytest.approx(np.sum((wanted - whole) ** 2) / squared)
    assert received.predicted_mse is None


def test_groups_split_all_anew_each_round_and_alike_for_all_schemes() -> None:
    scenario = scenario_with(**QUIET, aggregation__groups=3)
    clients, seen = np.array([0, 2, 3, 5, 6]), set()
    for index in range(1, 6):
        splits = []
        for name in ("fixed", "obda"):
            air, link = air_of(scenario, name), link_of(scenario, "fixed", index)
            splits.append([tuple(group) for group in air.split(clients, link)])
        assert splits[0] == splits[1]
        assert sorted(i for group in splits[0] for i in group) == list(range(5))
        assert sorted(map(len, splits[0])) == [1, 2, 2]
        seen.add(tuple(splits[0]))
    assert len(seen) > 1
    assert len(air.split(clients[:2], link)) == 2


@pytest.mark.parametrize("name", ["fixed", "cotaf", "obda"])
def test_each_group_takes_a_slot_and_a_client_sends_in_one_of_them(name: str) -> None:
    base = scenario_with(clients__count=6, aggregation__truncation_db=-300.0)
    several = scenario_with(base, aggregation__groups=3)
    link, uploads = link_of(base, name), uploads_of(gaussian(6))
    alone = air_of(base, name).combine(uploads, link, 1.0)
    grouped = air_of(several, name).combine(uploads, link, 1.0)
    assert grouped.uplink_s == pytest.approx(3 * alone.uplink_s)
    limits = link.radio.powers * alone.uplink_s
    assert (grouped.uplink_j <= limits * (1 + 1e-9)).all()
    assert (grouped.uplink_j > 0).all()
    omega = np.full(6, 1 / 6)
    one, more = (air_of(s, name).forecast(link, omega, SIZES) for s in (base, several))
    assert more.uplink_s == pytest.approx(3 * one.uplink_s)
    assert np.allclose(more.airtime_s, one.airtime_s)
    clients = np.arange(6)
    costs = [air_of(s, name).overheads(link, link, clients, SIZES) for s in (base, several)]
    assert costs[0].pilot_s == costs[1].pilot_s
    assert costs[0].pilot_j.tolist() == costs[1].pilot_j.tolist()


@pytest.mark.parametrize("rule", ["none", "median", "trimmed-mean", "geometric-median"])
def test_the_error_meets_its_forecast_for_gaussian_updates(rule: str) -> None:
    scenario = scenario_with(
        clients__tx_power_dbm=-8.0, aggregation__groups=5, aggregation__robust=rule
    )
    link, uploads = link_of(scenario, "fixed"), uploads_of(gaussian(10))
    air = air_of(scenario, "fixed")
    forecast = air.forecast(link, uploads.omega, uploads.matrix_sizes)
    received = air.combine(uploads, link, 1.0)
    error = np.sum((received.mean - uploads.omega @ uploads.updates) ** 2) / 5000
    assert error == pytest.approx(forecast.mse, rel=0.25)
    if rule == "none":
        assert received.predicted_mse == pytest.approx(forecast.mse, rel=0.05)
        assert received.mse == pytest.approx(forecast.mse, rel=0.1)
        assert forecast.bias == pytest.approx(0.0, abs=1e-12)
    else:
        assert received.rule_shift == pytest.approx(forecast.bias, rel=0.25, abs=1e-3)


def test_the_noise_that_hides_a_client_is_that_of_its_slot() -> None:
    """Of the mean all slots' noise counts; of a rule over the sums the quietest slot's."""
    settings = {"clients__tx_power_dbm": -8.0, "aggregation__groups": 3}
    scenario = scenario_with(**settings, aggregation__normalise="global")
    link, uploads = link_of(scenario, "fixed"), unequal(10)
    air = air_of(scenario, "fixed")
    assert isinstance(air, Grouped)
    received = air.combine(uploads, link, 1.0)
    exact = uploads.omega @ uploads.updates.astype(float)
    assert np.std(received.mean - exact) == pytest.approx(received.noise_std, rel=0.05)
    alone = []
    for slot, members in enumerate(air.split(uploads.clients, link)):
        share = uploads.omega[members].sum()
        part = replace(
            uploads,
            updates=uploads.updates[members],
            clients=uploads.clients[members],
            omega=uploads.omega[members] / share,
            slot=slot,
        )
        alone.append((share, air.inner.combine(part, link, 1.0)))
    ruled = air_of(scenario_with(scenario, aggregation__robust="median"), "fixed")
    under_rule = ruled.combine(uploads, link, 1.0)
    assert under_rule.noise_std == pytest.approx(min(w * got.noise_std for w, got in alone))
    assert under_rule.exposure == max(got.exposure for _, got in alone)
    assert under_rule.noise_std < received.noise_std


def test_what_clients_reported_is_kept_as_if_all_had_sent_at_once() -> None:
    scenario = scenario_with(clients__tx_power_dbm=-8.0)
    link, uploads = link_of(scenario, "fixed"), unequal(10)
    one, more = (
        air_of(scenario_with(scenario, aggregation__groups=g), "fixed").combine(uploads, link, 1.0)
        for g in (1, 4)
    )
    assert np.array_equal(one.effective_weights, more.effective_weights)


def test_groups_of_silent_clients_are_left_out() -> None:
    """With a threshold between the clients' SNR some groups are silent, or all of them are."""
    base = scenario_with(clients__tx_power_dbm=-8.0, aggregation__groups=10)
    link, uploads = link_of(base, "truncated"), uploads_of(gaussian(10))
    counts = []
    for threshold in (-300.0, 0.0, 5.0, 10.0, 300.0):
        scenario = scenario_with(base, aggregation__truncation_db=threshold)
        air = air_of(scenario, "truncated")
        received = air.combine(uploads, link, 1.0)
        if received is None:
            counts.append(0)
            continue
        sent = np.ones(10, bool) if received.transmitted is None else received.transmitted
        counts.append(int(sent.sum()))
        assert (received.uplink_j > 0).tolist() == sent.tolist()
        forecast = air.forecast(link, uploads.omega, uploads.matrix_sizes)
        assert received.uplink_s == pytest.approx(forecast.uplink_s)
    assert counts[0] == 10
    assert counts[-1] == 0
    assert 0 < counts[2] < 10


@pytest.mark.parametrize("name", SUMS)
def test_a_group_with_nothing_to_say_sends_nothing(name: str) -> None:
    scenario = scenario_with(**QUIET, aggregation__groups=7, aggregation__robust="median")
    link, uploads = link_of(scenario, name), uploads_of(gaussian(7))
    updates = uploads.updates.copy()
    updates[:4] = 0.0
    received = air_of(scenario, name).combine(replace(uploads, updates=updates), link, 1.0)
    assert not received.mean.any()  # four of seven are 0
    assert not received.uplink_j[:4].any()
    assert received.uplink_j[4:].all()


@pytest.mark.parametrize("rule", ["median", "trimmed-mean", "geometric-median"])
def test_digital_applies_the_rule_to_every_client_s_update(rule: str) -> None:
    fine = {"digital__quantizer": "uniform", "digital__bits": 16, "digital__access": "tdma"}
    scenario = scenario_with(**QUIET, **fine, aggregation__robust=rule)
    link, uploads = link_of(scenario, "digital"), unequal()
    uploads.updates[0] *= -50
    wanted = robust.merged(uploads.updates, uploads.omega, rule, 0.2)  # type: ignore[arg-type]
    exact = air_of(scenario, "ideal").combine(uploads, link, 1.0)
    assert np.allclose(exact.mean, wanted, atol=1e-12)
    received = air_of(scenario, "digital").combine(uploads, link, 1.0)
    assert np.allclose(received.mean, wanted, atol=0.02)
    assert received.mse < 1e-4
    assert received.rule_shift == pytest.approx(exact.rule_shift)
    plain = air_of(scenario_with(**QUIET, **fine), "digital").combine(uploads, link, 1.0)
    assert plain.uplink_s == received.uplink_s
    assert np.abs(plain.mean).max() > 3 * np.abs(received.mean).max()


def test_forecasts_of_digital_and_ideal_count_what_the_rule_costs() -> None:
    scenario = scenario_with(clients__count=5, aggregation__robust="median", digital__bits=16)
    link, omega, sizes = link_of(scenario, "digital"), np.full(5, 0.2), np.array([3000, 2000])
    for name in ("ideal", "digital"):
        forecast = air_of(scenario, name).forecast(link, omega, sizes)
        assert forecast.bias == pytest.approx(0.28683 - 0.2, rel=0.1)
        assert forecast.mse == pytest.approx(forecast.bias, rel=0.01)


@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize("groups", [1, 3])
def test_poisoned_updates_keep_the_power_limit(name: str, groups: int) -> None:
    scenario = scenario_with(clients__count=6, aggregation__groups=groups)
    link, uploads = link_of(scenario, name), uploads_of(gaussian(6))
    uploads.updates[2] *= -100
    received = air_of(scenario, name).combine(uploads, link, 1.0)
    slot = received.uplink_s / groups
    assert (received.uplink_j <= link.radio.powers * slot * (1 + 1e-9)).all()


def test_a_group_is_an_upload_of_its_own() -> None:
    scenario = scenario_with(
        **QUIET,
        aggregation__groups=3,
        aggregation__repetition=2,
        aggregation__scale_reports="joint",
    )
    link, air, uploads = link_of(scenario, "fixed"), air_of(scenario, "fixed"), unequal()
    once = 2500 / (scenario.radio.bandwidth_hz * scenario.radio.efficiency)
    expected = air.forecast(link, np.full(7, 1 / 7), SIZES)
    assert expected.uplink_s == pytest.approx(3 * 2 * once)
    assert expected.sending_s == pytest.approx(np.full(7, 2 * once))
    first = air.combine(uploads, link, 1.0)
    full = air.reported_bits(SIZES)
    assert full == 2 * 2 * 16  # mean and deviation of each matrix
    assert first.times_s == pytest.approx(np.full(7, 2 * once))
    assert first.report_bits.tolist() == [full] * 7
    again = air.combine(replace(uploads, memory=first.memory), link, 1.0)
    assert again.report_bits.tolist() == [full / 2] * 7
    silent = replace(uploads, updates=uploads.updates * (np.arange(7) < 1)[:, None])
    assert air.combine(silent, link, 1.0).report_bits.tolist() == [full] * 7


def test_wrong_reports_bias_the_sums_as_they_say() -> None:
    scenario = scenario_with(**QUIET, aggregation__groups=3)
    link, air, uploads = link_of(scenario, "fixed"), air_of(scenario, "fixed"), unequal()
    factors = np.array([1.0, 2.0, 1.0, 0.5, 1.0, 1.0, 2.0])
    still = np.zeros(7)
    wrong = Impairments(link.radio.powers, still, still, np.ones(7), factors)
    received = air.combine(replace(uploads, impairments=wrong), link, 1.0)
    off = received.mean - mean_of(uploads, np.arange(7))
    assert off @ off < received.squared_bias < 7 * off @ off  # of one direction, or of any
    ruled = air_of(scenario_with(scenario, aggregation__robust="median"), "fixed")
    assert ruled.combine(uploads, link, 1.0).squared_bias is None


@pytest.mark.parametrize("name", ["fixed", "obda", "digital"])
def test_an_upload_that_breaks_off_ends_the_circuits_of_its_client(name: str) -> None:
    scenario = scenario_with(**QUIET, digital__access="tdma")
    link, air, uploads = link_of(scenario, name), air_of(scenario, name), unequal()
    shares = np.array([1.0, 0.25, 1.0, 1.0, 0.5, 1.0, 1.0])
    none = np.zeros(7)
    wrong = Impairments(link.radio.powers, none, none, shares, np.ones(7))
    whole = air.combine(uploads, link, 1.0)
    cut = air.combine(replace(uploads, impairments=wrong), link, 1.0)
    assert cut.uplink_s == whole.uplink_s
    assert cut.times_s == pytest.approx(shares * whole.times_s)
