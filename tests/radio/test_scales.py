from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from airtune.kinds import Real
from airtune.radio import scales as s

SIZES = (300, 41, 1000, 160)
WEIGHTS = np.array([0.1, 0.4, 0.3, 0.2])


def test_reports_are_means_and_deviations(make_updates: Callable[..., Real]) -> None:
    updates = make_updates(4).astype(np.float32)
    reported = s.report_scales(updates, SIZES)
    start = 0
    for b, size in enumerate(SIZES):
        block = updates[:, start : start + size].astype(np.float64)
        np.testing.assert_allclose(reported.means[:, b], block.sum(axis=1) / size)
        spread = block - reported.means[:, [b]]
        np.testing.assert_allclose(reported.deviations[:, b] ** 2, (spread**2).sum(axis=1) / size)
        start += size


def test_reports_refuse_what_they_cannot_scale() -> None:
    with pytest.raises(ValueError, match="entries"):
        s.report_scales(np.ones((2, 10)), [4, 5])
    broken = np.ones((3, 10))
    broken[1, 2] = np.nan
    with pytest.raises(ValueError, match=r"clients \[1\] are not finite"):
        s.report_scales(broken, [10])


def test_group_sizes() -> None:
    np.testing.assert_array_equal(s.group_sizes([3, 4], "block"), [3, 4])
    np.testing.assert_array_equal(s.group_sizes([3, 4], "loaded"), [3, 4])
    np.testing.assert_array_equal(s.group_sizes([3, 4], "global"), [7])


def test_side_information() -> None:
    assert s.side_information_bits(56, 16) == 2 * 56 * 16


def test_common_scales_by_hand() -> None:
    reported = s.Scales(
        np.array([2, 6]), np.array([[1.0, 0.0], [3.0, -4.0]]), np.array([[2.0, 1.0], [4.0, 0.0]])
    )
    found = s.normalise_updates(reported, [0.25, 0.75], "block")
    np.testing.assert_allclose(found.means, [2.5, -3.0])
    np.testing.assert_allclose(found.deviations**2, [0.25 * 4 + 0.75 * 16, 0.25])
    # nu_k^2 = omega_k^2 / 8 (2 v_k1^2 / 13 + 6 v_k2^2 / 0.25)
    np.testing.assert_allclose(
        found.effective_weights**2,
        [0.25**2 / 8 * (2 * 4 / 13 + 6 / 0.25), 0.75**2 / 8 * (2 * 16 / 13)],
    )
    assert found.symbols == 4
    assert found.total_error == pytest.approx(2 * 13 + 6 * 0.25)


@pytest.mark.parametrize("rule", ["block", "loaded", "global"])
def test_symbols_have_unit_power(rule: s.Normalise, make_updates: Callable[..., Real]) -> None:
    updates = make_updates(4)
    reported = s.report_scales(updates, s.group_sizes(SIZES, rule))
    found = s.normalise_updates(reported, WEIGHTS, rule)
    assert found.powers @ reported.sizes == pytest.approx(updates.shape[1])
    ends = np.cumsum(reported.sizes)
    for k, update in enumerate(updates):
        energy = 0.0
        for b, (end, size) in enumerate(zip(ends, reported.sizes, strict=True)):
            centred = update[end - size : end] - reported.means[k, b]
            sent = np.sqrt(found.powers[b]) * centred / found.deviations[b]
            energy += ((WEIGHTS[k] / found.effective_weights[k] * sent) ** 2).sum()
        assert energy / updates.shape[1] == pytest.approx(1.0, rel=1e-9)


def test_blocks_that_nobody_has_are_not_sent() -> None:
    rng = np.random.default_rng(1)
    updates = rng.standard_normal((3, 30))
    updates[:, 10:20] = 0.5  # constant: its mean says it all
    updates[2, 20:] = 7.0
    for rule in ("block", "loaded"):
        found = s.normalise_updates(s.report_scales(updates, [10, 10, 10]), [0.5, 0.5, 0.0], rule)
        np.testing.assert_array_equal(found.sent, [True, False, True])
        assert found.entries == 20
        assert found.symbols == 10
        assert found.powers @ np.array([10, 10, 10]) == pytest.approx(20)
        assert found.powers[1] == found.group_errors[1] == 0.0
        assert found.effective_weights[2] == 0.0


def test_nothing_to_send() -> None:
    found = s.normalise_updates(s.report_scales(np.ones((2, 6)), [4, 2]), [0.5, 0.5], "loaded")
    assert found.entries == found.symbols == 0
    np.testing.assert_array_equal(found.effective_weights, 0.0)
    np.testing.assert_array_equal(found.means, 1.0)


@given(
    arrays(np.float64, (3, 4), elements=st.floats(1e-6, 1e3)),
    arrays(np.float64, 4, elements=st.floats(0.01, 10.0)),
)
def test_loaded_minimises_the_total_error(deviations: Real, other: Real) -> None:
    sizes = np.array(SIZES)
    reported = s.Scales(sizes, np.zeros((3, 4)), deviations)
    weights = [0.2, 0.3, 0.5]
    loaded = s.normalise_updates(reported, weights, "loaded")
    block = s.normalise_updates(reported, weights, "block")
    v = loaded.deviations
    assert loaded.total_error == pytest.approx((sizes @ v) ** 2 / sizes.sum())
    assert loaded.total_error <= block.total_error * (1 + 1e-12)
    powers = other * sizes.sum() / (sizes @ other)  # any other powers of the same sum
    assert loaded.total_error <= (sizes @ (v**2 / powers)) * (1 + 1e-12)


@pytest.mark.parametrize("weights", [[0.5, 0.4], [1.5, -0.5], [1.0]])
def test_weights_must_be_a_mean(weights: list[float]) -> None:
    reported = s.Scales(np.array([4]), np.zeros((2, 1)), np.ones((2, 1)))
    with pytest.raises(ValueError, match="sum 1"):
        s.normalise_updates(reported, weights, "block")


def test_global_takes_one_block() -> None:
    reported = s.Scales(np.array([4, 4]), np.zeros((2, 2)), np.ones((2, 2)))
    with pytest.raises(ValueError, match="one group"):
        s.normalise_updates(reported, [0.5, 0.5], "global")


@given(arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e6, 1e6)))
def test_packing_round_trip(entries: Real) -> None:
    symbols = s.pack(entries)
    assert len(symbols) == -(-len(entries) // 2)
    np.testing.assert_allclose(s.unpack(symbols, len(entries)), entries, rtol=1e-15, atol=1e-300)
    # two entries of power 1 make one symbol of power 1
    assert 2 * (np.abs(symbols) ** 2).sum() == pytest.approx((entries**2).sum())


def test_packing_by_hand() -> None:
    symbols = s.pack(np.array([[1.0, -1.0, 3.0], [0.0, 2.0, 0.0]]))
    expected = np.array([[1 - 1j, 3], [2j, 0]]) / np.sqrt(2)
    np.testing.assert_allclose(symbols, expected)


@pytest.mark.parametrize("rule", ["block", "loaded", "global"])
def test_precoding_has_one_factor_a_block_and_one_client_at_its_limit(
    make_updates: Callable[..., Real], rule: s.Normalise
) -> None:
    updates = make_updates(4) * np.repeat([[1, 5, 1, 1], [3, 1, 1, 1], [1, 1, 1, 2], [1] * 4],
                                          SIZES, axis=1)  # fmt: skip
    sizes = s.group_sizes(SIZES, rule)
    found = s.precode_updates(s.report_scales(updates, sizes), WEIGHTS, rule)
    assert found.symbol_powers.max() == pytest.approx(1.0)
    # the same factor for all clients: what is sent, measured on the symbols
    block_of = np.repeat(np.arange(len(sizes)), sizes)
    sent = updates * np.sqrt(found.powers / found.deviations**2)[block_of]
    np.testing.assert_allclose((sent**2).mean(axis=1), found.symbol_powers)
    if rule == "block":  # every block is scaled alike, relative to its largest client
        top = np.array(
            [np.sqrt((updates[:, block_of == b] ** 2).mean(axis=1)).max() for b in range(4)]
        )
        np.testing.assert_allclose(found.deviations / top, (found.deviations / top)[0])


def test_loaded_powers_by_hand() -> None:
    """v = 2 and 1 over 2 and 6 entries: pi = 8 v / 10, an error of 100 / 8 in place of 14."""
    reported = s.Scales(np.array([2, 6]), np.zeros((2, 2)), np.array([[2.0, 1.0], [2.0, 1.0]]))
    loaded = s.normalise_updates(reported, [0.25, 0.75], "loaded")
    np.testing.assert_allclose(loaded.powers, [1.6, 0.8])
    np.testing.assert_allclose(loaded.group_errors, [4 / 1.6, 1 / 0.8])
    assert loaded.total_error == pytest.approx(12.5)
    np.testing.assert_allclose(loaded.effective_weights, [0.25, 0.75])  # clients are alike
    assert s.normalise_updates(reported, [0.25, 0.75], "block").total_error == pytest.approx(14.0)


@pytest.mark.parametrize("exponent", [1, 7, 7.9, 8.1, 20, 44])
def test_a_client_whose_update_vanishes_beside_the_others_stays_silent(exponent: float) -> None:
    updates = np.random.default_rng(1).standard_normal((3, 60))
    updates[1] *= 10.0**-exponent
    reports = s.report_scales(updates, [20, 40])
    common = s.normalise_updates(reports, np.full(3, 1 / 3), "block")
    share = common.effective_weights[1] / common.effective_weights.max()
    assert (share == 0) == (exponent > 8)
    if share:  # the definition, in a form of its own
        v = np.sqrt(np.mean(reports.deviations**2, axis=0))
        nu = np.sqrt(np.array([20, 40]) @ (reports.deviations[1] / v) ** 2 / 60) / 3
        assert common.effective_weights[1] == pytest.approx(nu)
    # What the symbols of the others add up to is the weighted mean of all, to single precision.
    symbols = common.symbol_factors[:, [0] * 20 + [1] * 40]
    about = updates - np.repeat(reports.means, [20, 40], axis=1)
    sent = common.effective_weights @ (symbols * about)
    decoded = np.repeat(common.means, [20, 40]) + sent * np.repeat(common.deviations, [20, 40])
    assert np.allclose(decoded, updates.mean(axis=0), rtol=0, atol=3e-8)
