"""Robust rules against oracles (repeated values, scipy, a minimiser), and what they withstand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.optimize import minimize
from scipy.stats import trim_mean

from airtune.radio import robust

FINITE = st.floats(-1e3, 1e3, width=32)


@st.composite
def estimates(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Values, shape (n, d), and whole-number weights, shape (n,)."""
    count, columns = draw(st.integers(1, 7)), draw(st.integers(1, 4))
    values = draw(arrays.arrays(np.float64, (count, columns), elements=FINITE))
    weights = draw(arrays.arrays(np.int64, count, elements=st.integers(1, 5)))
    return values, weights


@settings(max_examples=50)
@given(estimates())
def test_a_weight_counts_as_so_many_values_in_the_median(given_: tuple) -> None:
    values, weights = given_
    repeated = np.repeat(values, weights, axis=0)
    found = robust.merged(values, weights, "median")
    assert np.allclose(found, np.median(repeated, axis=0), rtol=1e-12, atol=1e-12)


@settings(max_examples=50)
@given(estimates(), st.data())
def test_a_weight_counts_as_so_many_values_in_the_trimmed_mean(given_: tuple, data) -> None:
    values, weights = given_
    repeated = np.repeat(values, weights, axis=0)
    cut = data.draw(st.integers(0, (len(repeated) - 1) // 2))
    found = robust.merged(values, weights, "trimmed-mean", cut / len(repeated))
    # scipy cuts int(share * n) values: half a value more keeps rounding away from the border
    wanted = trim_mean(repeated, (cut + 0.5) / len(repeated), axis=0)
    if 2 * cut + 1 < len(repeated):
        assert np.allclose(found, wanted, rtol=1e-9, atol=1e-9)
    else:
        assert np.allclose(found, np.median(repeated, axis=0), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("outlier", [0.0, 1e3, 1e9])
def test_the_geometric_median_has_the_least_sum_of_distances(outlier: float) -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        values, weights = rng.standard_normal((6, 3)), rng.uniform(0.5, 1.5, 6)
        values[0] += outlier
        weights /= weights.sum()

        def total(point: np.ndarray, values=values, weights=weights) -> float:
            return float(weights @ np.linalg.norm(values - point, axis=1))

        found = robust.merged(values, weights, "geometric-median")
        start = np.median(values, axis=0)
        best = minimize(total, start, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
        assert total(found) <= best.fun + 1e-6
        assert np.allclose(found, best.x, atol=1e-3)


def test_a_point_with_most_of_the_weight_is_the_geometric_median() -> None:
    values = np.array([[1.0, 2.0], [1.0, 2.0], [5.0, -7.0]])
    assert robust.merged(values, np.ones(3), "geometric-median").tolist() == [1.0, 2.0]
    assert robust.merged(values[:1], np.ones(1), "geometric-median").tolist() == [1.0, 2.0]


@settings(max_examples=40)
@given(
    rule=st.sampled_from(["median", "trimmed-mean"]),
    good=arrays.arrays(np.float64, (4, 3), elements=FINITE),
    bad=arrays.arrays(np.float64, (3, 3), elements=st.floats(-1e30, 1e30)),
    weights=arrays.arrays(np.float64, 7, elements=st.floats(0.1, 10)),
    trim=st.floats(0.05, 0.49),
)
def test_outliers_below_the_breakdown_point_leave_it_within_the_range_of_the_others(
    rule: str, good: np.ndarray, bad: np.ndarray, weights: np.ndarray, trim: float
) -> None:
    most = 0.499 if rule == "median" else trim
    shares = weights.copy()
    shares[:4] *= (1 - most) / shares[:4].sum()
    shares[4:] *= most / shares[4:].sum()
    found = robust.merged(np.concatenate([good, bad]), shares, rule, trim)  # type: ignore[arg-type]
    room = 1e-9 * (1 + np.abs(good).max())
    assert (found >= good.min(axis=0) - room).all()
    assert (found <= good.max(axis=0) + room).all()


@settings(max_examples=40)
@given(
    good=arrays.arrays(np.float64, (4, 3), elements=st.floats(-1, 1)),
    bad=arrays.arrays(np.float64, (2, 3), elements=st.floats(-1e6, 1e6)),
)
def test_the_geometric_median_stays_near_the_majority(good: np.ndarray, bad: np.ndarray) -> None:
    """At most 2 (1 - a) / (1 - 2 a) of the majority's radius, a the weight of the outliers."""
    found = robust.merged(np.concatenate([good, bad]), np.full(6, 1 / 6), "geometric-median")
    assert np.linalg.norm(found) <= 4 * np.linalg.norm(good, axis=1).max() + 1e-5


def test_half_of_the_weight_moves_the_median_anywhere() -> None:
    values = np.array([[0.0], [1e6]])
    assert robust.merged(values, np.ones(2), "median")[0] == pytest.approx(5e5)
    assert robust.merged(np.array([[0.0], [1.0], [1e9]]), np.ones(3), "none")[0] > 1e8


def test_many_columns_are_merged_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).standard_normal((5, 101)).astype(np.float32)
    whole = robust.merged(values, np.ones(5), "trimmed-mean", 0.2)
    monkeypatch.setattr(robust, "COLUMNS", 7)
    assert np.array_equal(robust.merged(values, np.ones(5), "trimmed-mean", 0.2), whole)


def test_a_trim_of_half_is_refused() -> None:
    with pytest.raises(ValueError, match="trim must be"):
        robust.trimmed_mean(np.ones((2, 1)), np.full(2, 0.5), 0.5)


def test_expected_errors_meet_what_is_known_of_medians() -> None:
    """The sample median of five normal values has variance 0.28683 (Harter, 1961)."""
    fifth, ones, zeros = np.full(5, 0.2), np.ones(5), np.zeros(5)
    mse, bias = robust.expected_errors(fifth, ones, zeros, zeros, "median")
    assert mse == bias == pytest.approx(0.28683 - 0.2, rel=0.1)
    noisy, lasting = robust.expected_errors(fifth, zeros, ones, zeros, "median")
    assert lasting == 0.0
    assert noisy == pytest.approx(0.28683, rel=0.1)
    weights = np.array([0.5, 0.3, 0.2])
    found = robust.expected_errors(weights, np.ones(3), np.full(3, 2.0), np.full(3, 1.0), "none")
    assert found == (pytest.approx(2 * 0.38), pytest.approx(0.38))
