"""Statistics over seeds against numpy, scipy and exact enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airtune.study import statistics


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12), st.floats(0, 1))
def test_quantile_agrees_with_numpy(values: list[float], share: float) -> None:
    assert statistics.quantile(values, share) == pytest.approx(
        np.quantile(values, share), rel=1e-9, abs=1e-6
    )


def test_median_interval_covers_the_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    for n in (5, 9):
        samples = rng.exponential(size=(3000, n))
        found = [statistics.median_interval(row.tolist()) for row in samples]
        hits = np.mean([low <= math.log(2) <= high for low, high, _ in found])
        # binomial standard error at 3000 samples: 0.0045
        assert hits == pytest.approx(found[0][2], abs=0.02)
        assert found[0][2] >= (0.95 if n > 5 else 0.93)


@pytest.mark.parametrize("n", [6, 7, 12, 31])
def test_median_interval_is_that_of_scipy_where_it_has_one(n: int) -> None:
    from scipy.stats import quantile_test

    differences = np.random.default_rng(n).normal(size=n).tolist()
    low, high, _ = statistics.median_interval(differences)
    interval = quantile_test(differences, q=0, p=0.5).confidence_interval(statistics.COVERAGE)
    assert (low, high) == (interval.low, interval.high)


def test_sign_and_rank_tests_agree_with_enumeration() -> None:
    differences = [0.3, -0.1, 0.5, 0.7, 1.1]
    signs = list(itertools.product((-1, 1), repeat=5))
    above = sum(x > 0 for x in differences)
    sign = np.mean(
        [abs(sum(s > 0 for s in pattern) - 2.5) >= abs(above - 2.5) for pattern in signs]
    )
    ranks = np.argsort(np.argsort(np.abs(differences))) + 1
    observed = abs(np.sum(ranks * np.sign(differences)))
    rank = np.mean([abs(np.sum(ranks * pattern)) >= observed for pattern in signs])
    found = statistics.paired(differences)
    assert found["sign_test_p"] == pytest.approx(sign)
    assert found["wilcoxon_p"] == pytest.approx(rank)
    assert found["median"] == 0.5


def test_no_difference_has_no_test() -> None:
    found = statistics.paired([0.0, 0.0])
    assert found["sign_test_p"] is found["wilcoxon_p"] is None
    assert found["median"] == 0.0


def test_a_target_never_reached_is_the_greatest_difference() -> None:
    assert statistics.difference(None, 3.0) == math.inf
    assert statistics.difference(2.0, None) == -math.inf
    assert statistics.difference(None, None) == 0.0
    found = statistics.paired([1.0, math.inf, 2.0])
    assert found["differences"] == [1.0, None, 2.0]
    assert found["median"] == 2.0
    assert found["p90"] is None
    assert found["wilcoxon_p"] == statistics.paired([1.0, 50.0, 2.0])["wilcoxon_p"]


def entry(loss: float, seconds: float | None = None) -> dict[str, float | None]:
    return dict.fromkeys(statistics.PAIRED_FIGURES) | {
        "final_loss": loss,
        "time_to_target_s": seconds,
    }


def test_schemes_are_paired_seed_by_seed() -> None:
    figures = {
        "movable": {0: entry(1.0, 2.0), 1: entry(2.0, 3.0)},
        "fixed": {0: entry(1.5, 4.0), 1: entry(2.25), 2: entry(9.0)},
    }
    found = statistics.paired_figures(figures, "movable")
    assert found is not None
    fixed = found["schemes"]["fixed"]
    assert fixed["final_loss"]["differences"] == [0.5, 0.25]
    assert fixed["time_to_target_s"]["differences"] == [2.0, None]
    assert "exact_match" not in fixed
    assert set(found["schemes"]) == {"fixed"}


def test_one_seed_has_no_pairs() -> None:
    figures = {"movable": {0: entry(1.0)}, "fixed": {0: entry(2.0)}}
    assert statistics.paired_figures(figures, "movable") is None
