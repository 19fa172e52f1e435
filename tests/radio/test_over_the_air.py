"""The aggregate against the weighted mean, and the two forms against each other and by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from airtune.kinds import Complex, Real
from airtune.radio import over_the_air as ota
from airtune.radio import scales as s
from airtune.radio.transmission import Air, Transmission, uniform_forcing

SIZES = (300, 41, 1000, 160)
LONG = (30_000, 4_001, 60_000, 16_000)
WEIGHTS = np.array([0.05, 0.2, 0.1, 0.1, 0.05, 0.1, 0.15, 0.1, 0.05, 0.1])
LIMITS = np.geomspace(0.001, 0.02, 10)
RULES = ("block", "loaded", "global")
FORMS = ("scalar", "waveform")


def silent(air: Air) -> Air:
    """The same channels without noise and interference."""
    return replace(air, noise=0.0, interference_powers=np.zeros(2))


def disturbed(air: Air, size: float, seed: int = 9) -> Air:
    """Other true channels than those that b_k and w were set for."""
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal(air.channel.shape) + 1j * rng.standard_normal(air.channel.shape)
    return replace(air, channel=air.channel * (1 + size * factors))


def prepare(
    updates: Real, sizes: tuple[int, ...], rule: s.Normalise, air: Air, w: Complex
) -> tuple[s.Normalisation, Transmission]:
    reported = s.report_scales(updates, s.group_sizes(sizes, rule))
    common = s.normalise_updates(reported, WEIGHTS, rule)
    return common, uniform_forcing(air.channel, w, common.effective_weights, LIMITS)


def symbols_by_hand(updates: Real, common: s.Normalisation) -> Complex:
    """The clients' symbols x_k, shape (K, n), straight from section 4."""
    ends, d = np.cumsum(common.scales.sizes), common.entries
    entries = np.zeros((len(updates), d + d % 2))
    for k, update in enumerate(updates):
        parts = [
            np.sqrt(common.powers[b])
            * (WEIGHTS[k] / common.effective_weights[k])
            * (update[end - size : end] - common.scales.means[k, b])
            / common.deviations[b]
            for b, (end, size) in enumerate(zip(ends, common.scales.sizes, strict=True))
        ]
        entries[k, :d] = np.concatenate(parts)
    return np.asarray((entries[:, 0::2] + 1j * entries[:, 1::2]) / np.sqrt(2))


def symbol_correlation(updates: Real, common: s.Normalisation) -> Complex:
    """C_jk = mean(x_j^* x_k) over the symbols, shape (K, K)."""
    x = symbols_by_hand(updates, common)
    return np.asarray(2 * x.conj() @ x.T / common.entries)


def by_hand(updates: Real, common: s.Normalisation, sent: Transmission, air: Air) -> Real:
    """Noiseless decoding, matrix by matrix and symbol by symbol, straight from section 4."""
    ends, d = np.cumsum(common.scales.sizes), common.entries
    x = symbols_by_hand(updates, common)
    y = sum(np.outer(h, b * x_k) for h, b, x_k in zip(air.channel, sent.scalars, x, strict=True))
    heard = sent.beamformer.conj() @ y
    flat = np.sqrt(2) * np.stack([heard.real, heard.imag], axis=1).ravel()[:d]
    decoded = []
    for b, (end, size) in enumerate(zip(ends, common.scales.sizes, strict=True)):
        gain = common.deviations[b] / np.sqrt(common.powers[b])
        decoded.append(common.means[b] + gain * flat[end - size : end])
    return np.concatenate(decoded)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rule", RULES)
def test_noiseless_air_gives_the_exact_mean(
    rule: s.Normalise,
    form: ota.Form,
    air: Air,
    make_updates: Callable[..., Real],
    combine: Callable[[Air], Complex],
) -> None:
    updates = make_updates(10).astype(np.float32)  # 1501 entries: odd
    common, sent = prepare(updates, SIZES, rule, air, combine(air))
    got = ota.aggregate(updates, common, sent, silent(air), np.random.default_rng(1), form=form)
    exact = WEIGHTS @ updates.astype(np.float64)
    start = 0
    for size in SIZES:
        span = slice(start, start + size)
        error = np.linalg.norm(got.mean[span] - exact[span]) / np.linalg.norm(exact[span])
        assert error < 1e-9
        start += size
    assert got.symbols == 751
    assert got.predicted_mse < 1e-20
    assert got.realised_mse < 1e-20
    assert np.abs(got.misalignment).max() < 1e-12


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("alike", [0.0, 0.9, 1.0])
def test_the_squared_bias_is_the_most_that_misaligned_clients_can_do(
    alike: float,
    rule: s.Normalise,
    air: Air,
    make_updates: Callable[..., Real],
    combine: Callable[[Air], Complex],
) -> None:
    updates = np.sqrt(1 - alike**2) * make_updates(10) + alike * make_updates(10)[0]
    common, sent = prepare(updates, SIZES, rule, air, combine(air))
    weak = silent(replace(air, channel=0.8 * air.channel))  # all too faint, in one direction
    got = ota.aggregate(updates, common, sent, weak, np.random.default_rng(3))
    off = got.mean - WEIGHTS @ updates
    most = got.squared_bias * common.total_error
    assert off @ off <= most * (1 + 1e-9)
    if alike == 1.0:
        assert off @ off == pytest.approx(most, rel=1e-6)
    turned = ota.aggregate(
        updates, common, sent, disturbed(silent(air), 0.3), np.random.default_rng(3)
    )
    off = turned.mean - WEIGHTS @ updates
    # a symbol of two entries may be of two groups
    assert off @ off <= turned.squared_bias * common.total_error * 1.001


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rule", RULES)
def test_error_of_each_block_is_as_predicted(
    rule: s.Normalise,
    form: ota.Form,
    air: Air,
    make_updates: Callable[..., Real],
    combine: Callable[[Air], Complex],
) -> None:
    updates = make_updates(10, LONG)
    common, sent = prepare(updates, LONG, rule, air, combine(air))
    got = ota.aggregate(updates, common, sent, air, np.random.default_rng(2), form=form)
    w = sent.beamformer
    mse = (w.conj() @ air.covariance @ w).real
    assert got.predicted_mse == pytest.approx(mse, rel=1e-9)
    errors = (got.mean - WEIGHTS @ updates) ** 2
    ends = np.cumsum(common.scales.sizes)
    for b, (end, size) in enumerate(zip(ends, common.scales.sizes, strict=True)):
        predicted = common.deviations[b] ** 2 / common.powers[b] * mse
        # mean square of n Gaussians: relative standard error sqrt(2 / n); five of them
        realised = errors[end - size : end].mean()
        assert realised == pytest.approx(predicted, rel=5 * np.sqrt(2 / size))
        assert got.group_mse[b] * predicted / mse == pytest.approx(realised, rel=1e-9)
    assert got.realised_mse == pytest.approx(mse, rel=5 * np.sqrt(2 / common.entries))
    spread = common.scales.sizes @ common.deviations**2
    assert got.relative_error == pytest.approx(errors.sum() / spread, rel=1e-9)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rule", RULES)
def test_misaligned_air_against_the_formulas(
    rule: s.Normalise,
    form: ota.Form,
    air: Air,
    make_updates: Callable[..., Real],
    combine: Callable[[Air], Complex],
) -> None:
    updates = make_updates(10)
    common, sent = prepare(updates, SIZES, rule, air, combine(air))
    true = silent(disturbed(air, 0.1))
    got = ota.aggregate(updates, common, sent, true, np.random.default_rng(3), form=form)
    expected = by_hand(updates, common, sent, true)
    np.testing.assert_allclose(got.mean, expected, rtol=1e-9, atol=1e-12)
    assert np.abs(got.misalignment).max() > 1e-3
    heard = [
        np.vdot(sent.beamformer, h) * b for h, b in zip(true.channel, sent.scalars, strict=True)
    ]
    np.testing.assert_allclose(got.misalignment, heard - common.effective_weights, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_noise_with_misalignment_has_the_same_law_in_both_forms(
    form: ota.Form, air: Air, make_updates: Callable[..., Real], combine: Callable[[Air], Complex]
) -> None:
    updates = make_updates(10, LONG)
    # a beamformer that does not null the interferers, both of them above the noise
    w = combine(replace(air, interference_powers=np.zeros(2)))
    common, sent = prepare(updates, LONG, "loaded", air, w)
    v = np.linalg.norm(air.interference, axis=1)
    true = replace(disturbed(air, 0.1), interference_powers=np.array([8, 20]) * air.noise / v**2)
    got = ota.aggregate(updates, common, sent, true, np.random.default_rng(4), form=form)
    noise = got.mean - by_hand(updates, common, sent, silent(true))
    w = sent.beamformer
    mse = (w.conj() @ true.covariance @ w).real
    assert mse > 2 * air.noise * np.vdot(w, w).real
    ends = np.cumsum(LONG)
    for b, (end, size) in enumerate(zip(ends, LONG, strict=True)):
        unit = noise[end - size : end] / np.sqrt(common.deviations[b] ** 2 / common.powers[b] * mse)
        assert abs(unit.mean()) < 5 / np.sqrt(size)
        assert unit.var() == pytest.approx(1.0, abs=5 * np.sqrt(2 / size))
        assert (unit**4).mean() == pytest.approx(3.0, abs=5 * np.sqrt(96 / size))
        # real and imaginary parts, and neighbouring symbols, are independent
        assert abs((unit[:-1] * unit[1:]).mean()) < 5 / np.sqrt(size)
        assert abs((unit[:-2] * unit[2:]).mean()) < 5 / np.sqrt(size)


def test_prediction_with_the_measured_correlation_is_exact_without_noise(
    air: Air, make_updates: Callable[..., Real], combine: Callable[[Air], Complex]
) -> None:
    common_part = np.random.default_rng(6).standard_normal(1500)
    updates = 0.3 * make_updates(10, (700, 800)) + common_part  # alike clients
    common, sent = prepare(updates, (700, 800), "block", air, combine(air))
    true = silent(disturbed(air, 0.1))
    correlation = symbol_correlation(updates, common)
    np.testing.assert_allclose(np.diag(correlation), 1.0, rtol=1e-9)
    np.testing.assert_allclose(correlation, correlation.conj().T, atol=1e-12)
    rng = np.random.default_rng(1)
    got = ota.aggregate(updates, common, sent, true, rng, correlation=correlation)
    plain = ota.aggregate(updates, common, sent, true, rng)
    assert got.predicted_mse == pytest.approx(got.realised_mse, rel=1e-9)
    assert plain.predicted_mse == pytest.approx((np.abs(plain.misalignment) ** 2).sum(), rel=1e-9)
    assert abs(plain.predicted_mse / plain.realised_mse - 1) > 0.1


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("backoff", [1.0, 0.4])
def test_no_client_exceeds_its_power(
    rule: s.Normalise,
    backoff: float,
    air: Air,
    make_updates: Callable[..., Real],
    combine: Callable[[Air], Complex],
) -> None:
    updates = make_updates(10, (300, 41, 1000, 161))
    updates[3] = 0.0  # has nothing to say
    reported = s.report_scales(updates, s.group_sizes((300, 41, 1000, 161), rule))
    common = s.normalise_updates(reported, WEIGHTS, rule)
    sent = uniform_forcing(air.channel, combine(air), common.effective_weights, LIMITS, backoff)
    got = ota.aggregate(updates, common, sent, air, np.random.default_rng(5))
    assert (got.average_powers <= backoff * LIMITS * (1 + 1e-9)).all()
    assert (got.average_powers / LIMITS).max() == pytest.approx(backoff, rel=1e-9)
    np.testing.assert_allclose(got.average_powers, got.powers, rtol=1e-9)
    assert got.average_powers[3] == got.powers[3] == 0.0


def test_loaded_powers_lower_the_realised_error(
    air: Air, combine: Callable[[Air], Complex]
) -> None:
    # clients of equal scales have the same nu_k, and so the same MSE, under every rule
    sizes, deviations = np.array(LONG), np.array([0.1, 0.03, 0.01, 0.001])
    one = np.repeat(deviations, sizes) * np.random.default_rng(8).standard_normal(sizes.sum())
    updates = np.tile(one, (10, 1))
    errors = {}
    for rule in RULES:
        common, sent = prepare(updates, LONG, rule, air, combine(air))
        np.testing.assert_allclose(common.effective_weights, WEIGHTS, rtol=1e-9)
        got = ota.aggregate(updates, common, sent, air, np.random.default_rng(7))
        errors[rule] = np.sum((got.mean - WEIGHTS @ updates) ** 2)
    # (sum d_b v_b)^2 / d against sum d_b v_b^2, here 0.43, within the sampling of 1e5 entries
    gain = (sizes @ deviations) ** 2 / sizes.sum() / (sizes @ deviations**2)
    assert gain < 0.5
    assert errors["loaded"] / errors["block"] == pytest.approx(gain, rel=0.05)
    assert errors["loaded"] < 0.5 * errors["global"]


@pytest.mark.parametrize("form", FORMS)
def test_zero_blocks_and_silent_clients(
    form: ota.Form, air: Air, make_updates: Callable[..., Real], combine: Callable[[Air], Complex]
) -> None:
    updates = make_updates(10)
    updates[:, 300:341] = 0.0  # like LoRA's A in the first round
    updates[4] = 0.25  # constant: its mean says it all
    common, sent = prepare(updates, SIZES, "block", air, combine(air))
    got = ota.aggregate(updates, common, sent, silent(air), np.random.default_rng(1), form=form)
    np.testing.assert_allclose(got.mean, WEIGHTS @ updates, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(got.mean[300:341], 0.25 * WEIGHTS[4], rtol=1e-12)
    assert got.symbols == (1501 - 41) // 2 == 730
    assert got.powers[4] == 0.0
    # unit power over what is sent, not over the length of the update
    np.testing.assert_allclose(got.average_powers, got.powers, rtol=1e-9)
    noisy = ota.aggregate(updates, common, sent, air, np.random.default_rng(1), form=form)
    np.testing.assert_array_equal(noisy.mean[300:341], got.mean[300:341])
    assert not np.any(noisy.mean[:300] == got.mean[:300])


@pytest.mark.parametrize("form", FORMS)
def test_nothing_to_send(form: ota.Form, air: Air, combine: Callable[[Air], Complex]) -> None:
    updates = np.tile(np.arange(10.0)[:, None], (1, 20))
    common, sent = prepare(updates, (12, 8), "loaded", air, combine(air))
    got = ota.aggregate(updates, common, sent, air, np.random.default_rng(1), form=form)
    np.testing.assert_allclose(got.mean, WEIGHTS @ np.arange(10.0))
    assert got.symbols == 0
    assert got.realised_mse == got.relative_error == got.average_powers.sum() == 0.0


@pytest.mark.parametrize("form", FORMS)
def test_same_stream_same_result(
    form: ota.Form, air: Air, make_updates: Callable[..., Real], combine: Callable[[Air], Complex]
) -> None:
    updates = make_updates(10)
    common, sent = prepare(updates, SIZES, "block", air, combine(air))
    first, again, other = (
        ota.aggregate(updates, common, sent, air, np.random.default_rng(seed), form=form).mean
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.any(first == other)
