"""Scale reports as bits: both ends agree, magnitudes are rounded up, changes cost half."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airtune.radio.reports import code_magnitudes, code_means

MAGNITUDES = st.lists(st.one_of(st.just(0.0), st.floats(1e-30, 1e30)), min_size=1, max_size=4)


@given(values=MAGNITUDES, bits=st.sampled_from([8, 12, 16, 32]))
def test_a_magnitude_in_full_is_rounded_up_by_less_than_a_step(
    values: list[float], bits: int
) -> None:
    given_ = np.array(values)
    coded = code_magnitudes(given_, None, bits)
    assert coded.bits == bits * len(values)
    assert np.all(coded.values >= given_)
    assert np.all((coded.values == 0) == (given_ == 0))
    step = 2.0 ** (280.0 / (2.0**bits - 2))
    assert np.all(coded.values <= given_ * step * (1 + 1e-9))


@given(values=MAGNITUDES, factor=st.floats(0.3, 3.0), bits=st.sampled_from([8, 16]))
def test_a_small_change_takes_half_of_the_bits(
    values: list[float], factor: float, bits: int
) -> None:
    last = code_magnitudes(np.array(values), None, bits).values
    now = last * factor
    coded = code_magnitudes(now, last, bits)
    assert coded.bits == bits // 2 * len(values)
    assert np.all(coded.values >= now)
    assert np.all(coded.values <= now * 2.0 ** (2.0 / (2.0 ** (bits // 2 - 1) - 1)) * (1 + 1e-9))


def test_what_a_change_cannot_say_is_said_in_full_besides() -> None:
    last = np.array([1.0, 1.0, 1.0, 0.0, 0.0])
    now = np.array([100.0, 1e-3, 0.0, 0.0, 0.5])
    coded = code_magnitudes(now, last, 16)
    assert coded.bits == 5 * 8 + 3 * 16  # up by 100, gone, and new: in full besides
    full = code_magnitudes(now, None, 16).values
    assert coded.values[[0, 2, 3, 4]].tolist() == full[[0, 2, 3, 4]].tolist()
    assert coded.values[1] == 0.25  # falls as fast as the bits can say; never below what it is


@given(
    mean=st.floats(-1e6, 1e6),
    last=st.floats(-1e6, 1e6),
    scale=st.one_of(st.just(0.0), st.floats(1, 9)),
)
def test_means_are_off_by_no_more_than_they_may_be(mean: float, last: float, scale: float) -> None:
    full = code_means(np.array([mean]), None, None, 16)
    assert abs(full.values[0] - mean) <= 0.005 * abs(mean) + 2.0**-149
    coded = code_means(np.array([mean]), np.array([last]), np.array([scale]), 16)
    if scale == 0.0:
        assert coded.bits == (8 if mean == last else 24)
        assert abs(coded.values[0] - mean) <= 0.005 * abs(mean) + 2.0**-149
    else:
        assert coded.bits == 8
        reach = 2 * scale * (1 + 1e-9)
        off = max(abs(mean - last) - 2 * scale, scale / 127)
        assert abs(coded.values[0] - last) <= reach + 1e-9 * abs(last)
        assert abs(coded.values[0] - mean) <= off * (1 + 1e-9) + 1e-9 * abs(mean)


def test_the_same_figures_twice_change_nothing() -> None:
    first = code_magnitudes(np.array([0.3, 7.0]), None, 16)
    again = code_magnitudes(first.values, first.values, 16)
    assert again.values == pytest.approx(first.values, rel=1e-12)
