"""Impairments of symbols against closed forms, by hand, and in both forms of the air."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from airtune.kinds import Complex, Real
from airtune.radio import over_the_air as ota
from airtune.radio import scales as s
from airtune.radio.gaussian import complex_normal
from airtune.radio.impairments import (
    Impairments,
    Meter,
    clipped,
    clipping_of_gaussian,
    delayed,
    impair,
    muted,
    phase_misalignment,
)
from airtune.radio.transmission import Air, uniform_forcing

SIZES = (300, 41, 1000, 160)
FORMS = ("scalar", "waveform")


def neutral(count: int, **changes: Any) -> Impairments:
    """Impairments of clients with which nothing is wrong, but for the changes."""
    plain = Impairments(np.ones(count), *np.zeros((2, count)), *np.ones((2, count)))
    return replace(plain, **changes)


def one_client(wrong: Impairments, updates: Real, noise: float = 0.0, **more: Any) -> ota.Aggregate:
    """Send the updates of clients of equal weight over ideal channels to one antenna."""
    count = len(updates)
    common = s.normalise_updates(
        s.report_scales(updates, [updates.shape[1]]), np.full(count, 1 / count), "block"
    )
    air = Air(np.ones((count, 1), complex), np.zeros((0, 1), complex), np.zeros(0), noise)
    sent = uniform_forcing(air.channel, np.ones(1), common.effective_weights, wrong.limits)
    rng = np.random.default_rng(5)
    return ota.aggregate(updates, common, sent, air, rng, impairments=wrong, **more)


def spread(sizes: list[int]) -> Real:
    """Groups by entries: 1 where an entry is of a group."""
    return np.repeat(np.eye(len(sizes)), sizes, axis=1)


def noise(count: int, length: int, seed: int = 1) -> Real:
    return np.random.default_rng(seed).standard_normal((count, length))


def test_a_phase_error_leaves_the_error_of_its_closed_form() -> None:
    deviation, draws = np.deg2rad(40.0), 4000
    phases = deviation * np.random.default_rng(0).standard_normal(draws)
    misaligned = np.abs(1 - np.exp(1j * phases)) ** 2
    expected = 2 - 2 * np.exp(-(deviation**2) / 2)
    assert misaligned.mean() == pytest.approx(expected, rel=5 / np.sqrt(draws))
    assert phase_misalignment(deviation) == pytest.approx(expected, rel=1e-12)
    got = one_client(neutral(1, phases=np.array([0.7])), noise(1, 500))
    assert got.realised_mse == pytest.approx(2 - 2 * np.cos(0.7), rel=1e-9)
    assert got.squared_bias == pytest.approx(2 - 2 * np.cos(0.7), rel=1e-9)
    assert got.predicted_mse == pytest.approx(got.squared_bias, rel=1e-9)


ALL_WRONG = {
    "phases": {"phases": np.full(10, 0.3)},
    "clip_db": {"clip_db": 0.0},
    "delays": {"delays": np.full(10, 0.3)},
    "half": {"sent": np.full(10, 0.5)},
    "the end": {"sent": np.full(10, 0.9)},
    "everything": {
        "phases": np.linspace(-0.4, 0.5, 10),
        "delays": np.linspace(-0.3, 0.2, 10),
        "sent": np.linspace(0.4, 1.3, 10).clip(max=1.0),
        "clip_db": 1.0,
    },
}


@pytest.mark.parametrize("likeness", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("what", ALL_WRONG)
def test_the_booked_bias_holds_for_updates_that_are_alike(what: str, likeness: float) -> None:
    count = 10
    updates = np.sqrt(likeness) * noise(1, 4000) + np.sqrt(1 - likeness) * noise(count, 4000, 2)
    got = one_client(neutral(count, **ALL_WRONG[what]), updates)
    # all that is wrong here is drawn before the upload: nothing of the error is noise
    assert got.realised_mse <= got.squared_bias * (1 + 1e-9)
    if likeness == 1.0 and what != "everything":  # one direction: no smaller figure would hold
        assert got.realised_mse == pytest.approx(got.squared_bias, rel=1e-6)


@pytest.mark.parametrize("what", ALL_WRONG)
def test_the_booked_bias_holds_group_by_group(what: str) -> None:
    sizes = [700, 1, 2000, 299]
    updates = noise(10, 3000, 3) * np.repeat([1.0, 30.0, 0.01, 4.0], sizes) + noise(1, 3000, 4)
    wrong, omega = neutral(10, **ALL_WRONG[what]), np.linspace(1, 3, 10) / 20
    common = s.normalise_updates(s.report_scales(updates, sizes), omega, "block")
    air = Air(np.ones((10, 1), complex), np.zeros((0, 1), complex), np.zeros(0), 0.0)
    sent = uniform_forcing(air.channel, np.ones(1), common.effective_weights, wrong.limits)
    got = ota.aggregate(updates, common, sent, air, np.random.default_rng(5), impairments=wrong)
    error = float(np.sum((got.mean - omega @ updates) ** 2))
    assert 0 < error <= got.squared_bias * common.total_error * (1 + 1e-9)
    by_hand = np.zeros(4)
    starts = np.cumsum([0, *sizes])
    for k in range(10):  # each client alone in the air
        alone = replace(air, channel=np.where(np.arange(10)[:, None] == k, air.channel, 0.0))
        own = np.where(np.arange(10)[:, None] == k, updates, common.scales.means @ spread(sizes))
        heard = ota.aggregate(own, common, sent, alone, np.random.default_rng(5), impairments=wrong)
        lost = heard.mean - omega @ own
        by_hand += [np.linalg.norm(lost[a:b]) for a, b in itertools.pairwise(starts)]
    assert got.squared_bias * common.total_error == pytest.approx(by_hand @ by_hand, rel=1e-6)


@pytest.mark.parametrize("turn", [0.5, 1e-5])
def test_the_booked_bias_holds_where_a_symbol_is_of_two_groups(turn: float) -> None:
    """Without impairments: a client is turned, and the groups have odd sizes."""
    for sizes in ([100, 100], [101, 99], [1, 198, 1]):
        updates = noise(3, 200, 7) * np.repeat([1.0, 1e3, 1.0][: len(sizes)], sizes)
        common = s.normalise_updates(s.report_scales(updates, sizes), np.full(3, 1 / 3), "block")
        air = Air(np.ones((3, 1), complex), np.zeros((0, 1), complex), np.zeros(0), 0.0)
        sent = uniform_forcing(air.channel, np.ones(1), common.effective_weights, np.ones(3))
        turned = replace(air, channel=np.exp([[1j * turn], [0j], [0j]]))
        got = ota.aggregate(updates, common, sent, turned, np.random.default_rng(5))
        error = float(np.sum((got.mean - updates.mean(axis=0)) ** 2))
        # one client alone is off, so that no smaller figure would hold
        assert got.squared_bias * common.total_error == pytest.approx(error, rel=1e-5)


@pytest.mark.parametrize("clip_db", [-3.0, 0.0, 3.0, 5.0])
def test_clipping_of_gaussian_symbols_has_the_gain_and_distortion_of_bussgang(
    clip_db: float,
) -> None:
    gamma = 10 ** (clip_db / 20)
    # E[x* c(x)] and E|c(x)|^2 with the Rayleigh density 2 r exp(-r^2) of the modulus
    gain = quad(lambda r: 2 * r * np.exp(-(r**2)) * r * min(r, gamma), 0, 20, points=[gamma])[0]
    power = quad(lambda r: 2 * r * np.exp(-(r**2)) * min(r, gamma) ** 2, 0, 20, points=[gamma])[0]
    assert clipping_of_gaussian(clip_db) == pytest.approx((gain, power - gain**2), rel=1e-6)
    x = complex_normal((1, 200_000), np.random.default_rng(3))
    meter = Meter(1)
    cut = clipped(x, np.array([gamma]))
    meter.add(x, cut, cut)
    found = meter.arrival()
    assert found.gains[0].real == pytest.approx(gain, rel=0.01)
    assert found.distortion[0] == pytest.approx(power - gain**2, rel=0.05)
    assert found.sent_powers[0] == pytest.approx(power, rel=0.01)


def test_an_upload_of_gaussian_entries_is_clipped_as_bussgang_says() -> None:
    got = one_client(neutral(1, clip_db=0.0), noise(1, 200_000))
    gain, distortion = clipping_of_gaussian(0.0)
    assert got.squared_bias == pytest.approx((1 - gain) ** 2 + distortion, rel=0.02)
    assert got.predicted_mse == pytest.approx((1 - gain) ** 2 + distortion, rel=0.02)
    assert got.realised_mse == pytest.approx(got.predicted_mse, rel=0.01)
    assert got.average_powers[0] == pytest.approx(gain**2 + distortion, rel=0.01)  # of the limit 1


def test_a_client_far_below_its_limit_is_not_clipped() -> None:
    wrong = neutral(2, clip_db=0.0, limits=np.array([1.0, 1e4]))
    got = one_client(wrong, noise(2, 4000))
    assert np.abs(got.misalignment[1]) < 1e-12 < np.abs(got.misalignment[0])


@pytest.mark.parametrize("tau", [0.2, -0.2])
def test_a_delay_leaves_a_part_of_its_symbol_and_meets_the_neighbour(tau: float) -> None:
    got = one_client(neutral(1, delays=np.array([tau])), noise(1, 100_000))
    assert got.squared_bias == pytest.approx(2 * tau**2, rel=0.05)
    assert got.realised_mse == pytest.approx(2 * tau**2, rel=0.05)
    assert got.predicted_mse == pytest.approx(got.realised_mse, rel=0.01)


def test_an_upload_that_breaks_off_lacks_the_rest() -> None:
    updates = noise(1, 1000)
    got = one_client(neutral(1, sent=np.array([0.3])), updates)
    assert got.mean[:300] == pytest.approx(updates[0, :300], rel=1e-9)
    assert got.mean[300:] == pytest.approx(np.full(700, updates.mean()), rel=1e-9)
    assert got.realised_mse == pytest.approx(0.7, abs=0.05)
    assert got.average_powers[0] == pytest.approx(0.3, abs=0.05)


def by_hand(pieces: Complex, wrong: Impairments, amplitudes: Real) -> Complex:
    """The whole upload symbol by symbol, without pieces."""
    arriving = np.zeros_like(pieces)
    for k, symbols in enumerate(pieces):
        top = np.inf if wrong.clip_db is None else 10 ** (wrong.clip_db / 20)
        top *= np.sqrt(wrong.limits[k]) / amplitudes[k]
        sent = [x if abs(x) <= top else top * x / abs(x) for x in symbols]
        end = int(wrong.sent[k] * len(sent))
        sent = [x if n < end else 0.0 for n, x in enumerate(sent)]
        tau = wrong.delays[k]
        for n in range(len(sent)):
            other = n - 1 if tau > 0 else n + 1
            neighbour = sent[other] if 0 <= other < len(sent) else 0.0
            mixed = (1 - abs(tau)) * sent[n] + abs(tau) * neighbour
            arriving[k, n] = mixed * np.exp(1j * wrong.phases[k])
    return arriving


@pytest.mark.parametrize("size", [1, 7, 40, 100])
def test_pieces_of_any_size_give_the_same_upload(size: int) -> None:
    rng = np.random.default_rng(2)
    x = complex_normal((3, 100), rng)
    wrong = Impairments(
        limits=np.array([1.0, 2.0, 0.5]),
        phases=np.array([0.3, -1.0, 2.0]),
        delays=np.array([0.25, -0.4, 0.0]),
        sent=np.array([1.0, 0.517, 1.0]),
        report_factors=np.ones(3),
        clip_db=1.0,
    )
    amplitudes = np.array([1.0, 0.7, 0.2])
    pieces = [x[:, at : at + size] for at in range(0, 100, size)]
    got = np.hstack([arriving for _, arriving in impair(pieces, wrong, amplitudes, 100)])
    np.testing.assert_allclose(got, by_hand(x, wrong, amplitudes), atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_without_a_fault_the_aggregate_is_the_plain_one(
    form: ota.Form,
    air: Air,
    make_updates: Callable[..., Real],
    combine: Callable[[Air], Complex],
) -> None:
    updates, limits = make_updates(10), np.geomspace(0.001, 0.02, 10)
    common = s.normalise_updates(s.report_scales(updates, SIZES), np.full(10, 0.1), "block")
    sent = uniform_forcing(air.channel, combine(air), common.effective_weights, limits)

    def received(wrong: Impairments | None) -> ota.Aggregate:
        rng = np.random.default_rng(1)
        return ota.aggregate(updates, common, sent, air, rng, form=form, impairments=wrong)

    plain, same = received(None), received(neutral(10, limits=limits))
    assert np.array_equal(plain.mean, same.mean)
    assert np.allclose(plain.misalignment, same.misalignment, atol=1e-12)
    assert same.predicted_mse == pytest.approx(plain.predicted_mse, rel=1e-9)
    assert same.average_powers == pytest.approx(plain.average_powers, rel=1e-9)


def test_both_forms_of_the_air_agree_with_everything_wrong(
    air: Air, make_updates: Callable[..., Real], combine: Callable[[Air], Complex]
) -> None:
    updates, rng = make_updates(10, (30_000, 4_001)), np.random.default_rng(4)
    limits = np.geomspace(0.001, 0.02, 10)
    common = s.normalise_updates(
        s.report_scales(updates, [30_000, 4_001]), np.full(10, 0.1), "block"
    )
    sent = uniform_forcing(air.channel, combine(air), common.effective_weights, limits)
    wrong = Impairments(
        limits=limits,
        phases=0.3 * rng.standard_normal(10),
        delays=0.1 * rng.standard_normal(10),
        sent=np.where(np.arange(10) < 3, 0.5, 1.0),
        report_factors=np.ones(10),
        clip_db=2.0,
    )
    deaf = muted(air, np.array([1]))

    def received(form: ota.Form, air: Air) -> ota.Aggregate:
        noises = np.random.default_rng(6)
        return ota.aggregate(updates, common, sent, air, noises, form=form, impairments=wrong)

    for there in (air, deaf):
        quiet = replace(there, noise=0.0, interference_powers=np.zeros(2))
        # without noise nothing is random: the same sum but for rounding
        np.testing.assert_allclose(
            received("scalar", quiet).mean, received("waveform", quiet).mean, rtol=1e-9, atol=1e-12
        )
        one, other = received("scalar", there), received("waveform", there)
        assert one.predicted_mse == pytest.approx(other.predicted_mse, rel=1e-9)
        for got in (one, other):
            # 34 001 squares, and the clients' sum is correlated over them by 1 / sqrt(n)
            assert got.realised_mse == pytest.approx(got.predicted_mse, rel=0.05)


def test_a_dead_antenna_hears_its_own_noise_only(air: Air) -> None:
    deaf = muted(air, np.array([2]))
    assert not deaf.channel[:, 2].any()
    assert np.array_equal(deaf.channel[:, :2], air.channel[:, :2])
    expected = np.zeros(4)
    expected[2] = air.noise
    assert np.allclose(deaf.covariance[2], expected)
    assert air.channel[:, 2].any()


def test_a_report_too_small_ends_at_the_power_limit_and_one_too_large_in_slack() -> None:
    for factor in (0.25, 4.0):
        updates = noise(2, 20_000)
        own = s.report_scales(updates, [20_000])
        wrong = neutral(2, report_factors=np.array([factor, 1.0]))
        heard = wrong.reported(own)
        common = replace(s.normalise_updates(heard, [0.5, 0.5], "block"), scales=own)
        channel = np.array([[0.5 + 0j], [1.0]])
        air = Air(channel, np.zeros((0, 1), complex), np.zeros(0), 0.0)
        sent = uniform_forcing(air.channel, np.ones(1), common.effective_weights, wrong.limits)
        got = ota.aggregate(updates, common, sent, air, np.random.default_rng(1), impairments=wrong)
        assert (got.average_powers <= wrong.limits * (1 + 1e-9)).all()
        if factor > 1:  # all arrive aligned: the scales cancel in the sum
            assert np.abs(got.misalignment).max() < 1e-12
        else:
            # nu_1 as heard is a quarter of what it is; the limit allows less than that for it
            power = (np.abs(sent.scalars) ** 2 * common.symbol_powers)[0]
            lowered = 1 - min(1.0, 1 / np.sqrt(power))
            nu = common.effective_weights[0]
            assert lowered > 0.4
            assert abs(got.misalignment[0]) == pytest.approx(nu * lowered, rel=1e-6)


@given(
    st.lists(st.complex_numbers(max_magnitude=1e6, allow_nan=False), min_size=1, max_size=20),
    st.floats(1e-3, 1e3),
)
def test_a_limiter_never_raises_a_modulus_and_keeps_the_phase(
    values: list[complex], top: float
) -> None:
    x = np.array([values])
    got = clipped(x, np.array([top]))
    assert (np.abs(got) <= np.minimum(np.abs(x), top) * (1 + 1e-12)).all()
    assert np.allclose(got * np.abs(x), x * np.abs(got), rtol=1e-9, atol=1e-9)


@given(st.floats(-1, 1), st.integers(1, 12))
def test_a_delay_keeps_the_sum_of_an_upload_but_for_its_ends(tau: float, length: int) -> None:
    x = complex_normal((1, length), np.random.default_rng(length))
    none = np.zeros((1, 1), complex)
    got = delayed(x, np.array([tau]), none, none)
    lost = abs(tau) * (x[0, -1] if tau > 0 else x[0, 0])
    assert np.isclose(got.sum(), x.sum() - lost)
