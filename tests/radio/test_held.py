"""Updates that stay with clients: the air gives the mean that it gives of updates at hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.radio import held as module
from airtune.radio.held import HeldUpdates, Lost, aggregate_held, decode
from airtune.radio.over_the_air import aggregate
from airtune.radio.scales import (
    group_sizes,
    normalise_updates,
    norms,
    precode_updates,
    report_scales,
)
from airtune.radio.transmission import Air, uniform_forcing

SIZES = np.array([30, 1, 24])


def drawn(seed: int, count: int = 4):
    random = np.random.default_rng(seed)
    updates = random.standard_t(3, (count, int(SIZES.sum()))).astype(np.float32)
    updates[:, :30] *= 1e-4
    weights = random.dirichlet(np.ones(count))
    channel = random.normal(size=(count, 2)) + 1j * random.normal(size=(count, 2))
    air = Air(channel, random.normal(size=(1, 2)) + 0j, np.array([0.1]), 0.2)
    return updates, weights, air


def kept(updates, asked: list) -> HeldUpdates:
    """Return updates of which a sum is made in whole steps, as nodes make it."""
    reports = report_scales(updates, SIZES)

    def ask(weighing):
        asked.append(weighing)
        signal = sum(weighing.symbols(updates[k], row) for row, k in enumerate(weighing.clients))
        steps = np.rint(signal.view(np.float64) / weighing.step)
        assert np.abs(steps).max(initial=0) < 2**31
        assert len(steps) == weighing.length
        return steps * weighing.step

    clients = np.arange(len(updates))
    return HeldUpdates(clients, SIZES, reports.means, reports.deviations, ask)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["block", "loaded", "global"]), st.booleans())
def test_the_mean_is_that_of_updates_at_hand_whatever_the_powers(seed, rule, precoded) -> None:
    updates, weights, air = drawn(seed)
    asked: list = []
    held = kept(updates, asked)
    sizes = group_sizes(SIZES.tolist(), rule)
    scales = held.scales(sizes)
    direct = report_scales(updates, sizes)
    assert np.allclose(scales.means, direct.means, rtol=1e-9, atol=1e-12)
    assert np.allclose(scales.deviations, direct.deviations, rtol=1e-9, atol=1e-12)
    make = precode_updates if precoded else normalise_updates
    common = make(direct, weights, rule)
    sent = uniform_forcing(air.channel, np.ones(2) + 0j, common.effective_weights, np.ones(4), 0.7)
    one = aggregate(updates, common, sent, air, np.random.default_rng(seed))
    other = aggregate_held(held, common, sent, air, np.random.default_rng(seed))
    assert other is not None
    got, scale = other.aggregate, np.sqrt(common.group_errors).max() * weights.sum()
    assert np.abs(got.mean - one.mean).max() < 1e-6 * scale
    assert got.realised_mse == pytest.approx(one.realised_mse, rel=1e-6)
    assert got.relative_error == pytest.approx(one.relative_error, rel=1e-6)
    assert got.predicted_mse == pytest.approx(one.predicted_mse)
    assert np.abs(other.exact - weights @ updates.astype(np.float64)).max() < 1e-6 * scale
    (weighing,) = asked
    assert weighing.gains == pytest.approx(common.effective_weights)


def test_without_alignment_nobody_knows_the_mean_that_was_meant() -> None:
    updates, weights, air = drawn(5)
    common = normalise_updates(report_scales(updates, SIZES), weights, "block")
    # the scalars are those of a channel that is not the true one
    sent = uniform_forcing(
        air.channel * np.exp(0.3j * np.arange(4))[:, None],
        np.ones(2) + 0j,
        common.effective_weights,
        np.ones(4),
    )
    one = aggregate(updates, common, sent, air, np.random.default_rng(1))
    other = aggregate_held(kept(updates, []), common, sent, air, np.random.default_rng(1))
    assert np.abs(other.aggregate.mean - one.mean).max() < 1e-6 * common.deviations.max()
    assert np.allclose(other.aggregate.misalignment, one.misalignment)
    assert other.aggregate.squared_bias == pytest.approx(one.squared_bias)
    assert other.exact is None
    assert np.isnan(other.aggregate.realised_mse)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 200))
def test_scales_bound_what_is_sent_also_of_one_large_entry(seed, size) -> None:
    """The root of n times the deviation is reached by an update of one entry that is not 0."""
    random = np.random.default_rng(seed)
    updates = np.zeros((2, size), np.float32)
    updates[0, random.integers(size)] = 1.0
    updates[1] = random.normal(size=size)
    reports = report_scales(updates, [size])
    common = precode_updates(reports, [0.5, 0.5], "block")
    factors = common.symbol_factors
    largest = factors * np.sqrt(size) * norms(reports).deviations
    assert (np.abs(factors * updates).max(axis=1) <= largest[:, 0] * (1 + 1e-6)).all()


@pytest.mark.parametrize("mean", [0.0, 3.0])
def test_the_bound_holds_where_bits_stand_for_the_scales(mean) -> None:
    """The server holds a deviation that is too small, and another mean; the sum must not wrap."""
    updates = np.full((2, 55), mean, np.float32)
    updates[:, 5] += 1.0
    held = kept(updates, [])
    reports = held.scales(np.array([55]))
    coded = replace(
        reports, means=np.zeros_like(reports.means), deviations=0.5 * reports.deviations
    )
    common = normalise_updates(coded, [0.5, 0.5], "block")
    symbols = held.summed(common, common.effective_weights + 0j)
    assert np.abs(decode(symbols, common) - updates[0]).max() < 1e-5


def test_clients_that_are_lost_are_told_and_constant_updates_need_no_sum() -> None:
    updates, weights, air = drawn(3)
    reports = report_scales(updates, SIZES)
    common = normalise_updates(reports, weights, "block")
    sent = uniform_forcing(air.channel, np.ones(2) + 0j, common.effective_weights, np.ones(4))
    lost = HeldUpdates(
        np.arange(4), SIZES, reports.means, reports.deviations, lambda weighing: Lost([2])
    )
    assert aggregate_held(lost, common, sent, air, np.random.default_rng(1)) is None
    assert lost.of(np.array([True, False, True, True])).lost == [2]
    flat = np.full((2, 55), 3.0, np.float32)
    asked: list = []
    held = kept(flat, asked)
    common = normalise_updates(held.scales(SIZES), [0.5, 0.5], "block")
    symbols = held.summed(common, common.effective_weights + 0j)
    assert decode(symbols, common).tolist() == [3.0] * 55
    assert asked == []
    assert not held.silent
    assert module.HeldUpdates(np.arange(2), SIZES, np.zeros((2, 3)), np.zeros((2, 3)), None).silent
