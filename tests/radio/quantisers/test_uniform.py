from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from airtune.kinds import Real
from airtune.radio.quantisers import Uniform, encode
from airtune.radio.quantisers import uniform as dg

SIZES = (30, 10)
UPDATES = arrays(np.float32, 40, elements=st.floats(-1e3, 1e3, width=32))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_rounding_is_unbiased(bits: int) -> None:
    rng = np.random.default_rng(1)
    update = np.concatenate([rng.standard_normal(30), 1e-3 * rng.standard_normal(10)])
    draws = np.stack([dg.quantise_unbiased(update, SIZES, bits, rng).values for _ in range(4000)])
    for span in (slice(0, 30), slice(30, 40)):
        step = 2 * np.abs(update[span]).max() / (2**bits - 1)
        # deviation of one draw is at most half a step; five standard errors of 4000
        bias = np.abs(draws[:, span].mean(axis=0) - update[span])
        assert bias.max() < 5 * step / 2 / np.sqrt(4000)
        assert np.abs(draws[:, span] - update[span]).max() <= step * (1 + 1e-6)


@given(UPDATES, st.integers(1, 16), st.integers(0, 2**32))
@example(np.float32([-2.05e-43, *np.zeros(39)]), 10, 0)
def test_values_lie_on_the_grid(update: Real, bits: int, seed: int) -> None:
    found = dg.quantise_unbiased(update, SIZES, bits, np.random.default_rng(seed)).values
    for span in (slice(0, 30), slice(30, 40)):
        top = np.abs(update[span]).max()
        if top == 0:
            assert not found[span].any()
            continue
        step = 2.0 * float(top) / (2**bits - 1)
        index = (found[span] + float(top)) / step
        assert np.abs(index - np.round(index)).max() < 1e-6
        assert index.min() > -1e-6
        assert index.max() < 2**bits - 1 + 1e-6


@pytest.mark.filterwarnings("error")
def test_the_largest_range_of_single_precision_is_kept() -> None:
    update = np.repeat(np.float32([3e38, 1e38, -2e38]), [10, 15, 15])
    found = dg.quantise_unbiased(update, SIZES, 4, np.random.default_rng(0)).values
    assert np.abs(found - update).max() <= 2 * 3e38 / 15


@pytest.mark.parametrize(("bits", "expected"), [(1, 40 + 64), (8, 320 + 64), (16, 640 + 64)])
def test_bit_count(bits: int, expected: int) -> None:
    update = np.random.default_rng(1).standard_normal(40)
    assert dg.quantise_contractive(update, SIZES, bits).bits == expected
    assert dg.quantise_unbiased(update, SIZES, bits, np.random.default_rng(1)).bits == expected


def test_blocks_of_zeros_cost_their_scale_only() -> None:
    update = np.zeros(40)
    update[:30] = 1.0
    assert Uniform(8).quantise(update, SIZES).bits == 30 * 8 + 2 * 32
    assert Uniform(8).quantise(np.zeros(40), SIZES).bits == 2 * 32


@given(UPDATES, st.integers(1, 16))
def test_contractive_error_is_never_above_the_block(update: Real, bits: int) -> None:
    found = dg.quantise_contractive(update, SIZES, bits).values
    for span in (slice(0, 30), slice(30, 40)):
        block = update[span].astype(np.float64)
        assert np.sum((block - found[span]) ** 2) <= np.sum(block**2) * (1 + 1e-9)


def test_one_bit_is_the_scaled_sign() -> None:
    update = np.random.default_rng(2).standard_normal(40)
    found = dg.quantise_contractive(update, SIZES, 1).values
    for span in (slice(0, 30), slice(30, 40)):
        expected = np.abs(update[span]).mean() * np.sign(update[span])
        np.testing.assert_allclose(found[span], expected, rtol=1e-6)


def test_fine_grids_are_accurate() -> None:
    update = np.random.default_rng(3).standard_normal(40)
    for bits in (8, 12, 16):
        step = 2 * np.abs(update).max() / (2**bits - 1)
        found = dg.quantise_contractive(update, (40,), bits).values
        assert np.abs(found - update).max() < 0.6 * step


@pytest.mark.parametrize("bits", [1, 2, 8])
def test_error_feedback_delivers_everything_in_the_end(bits: int) -> None:
    rng = np.random.default_rng(4)
    memory, sent, wanted, sizes = None, np.zeros(40), np.zeros(40), []
    for _ in range(300):
        update = (1.0 + rng.standard_normal(40)).astype(np.float32)
        decoded, memory = encode(Uniform(bits), update, memory, SIZES)
        sent += decoded.values
        wanted += update
        sizes.append(np.linalg.norm(memory))
    # what is missing is the memory, no more, and the memory stays bounded
    np.testing.assert_allclose(sent + memory, wanted, rtol=1e-9, atol=1e-9)
    assert np.mean(sizes[200:]) < 1.5 * np.mean(sizes[50:150]) + 1e-9
    assert np.linalg.norm(sent - wanted) < 0.15 * np.linalg.norm(wanted)


def test_without_error_feedback_nothing_is_remembered() -> None:
    update = np.random.default_rng(5).standard_normal(40)
    rng = np.random.default_rng(6)
    decoded, memory = encode(Uniform(4), update, np.ones(40), SIZES, feedback=False, rng=rng)
    expected = dg.quantise_unbiased(update, SIZES, 4, np.random.default_rng(6))
    np.testing.assert_array_equal(decoded.values, expected.values)
    assert memory is None


def test_blocks_must_add_up() -> None:
    with pytest.raises(ValueError, match="40 entries for an update of 41"):
        dg.quantise_contractive(np.ones(41), SIZES, 4)
