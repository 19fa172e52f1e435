"""Split-conformal limits: their coverage, and runs that never end."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.bound import conformal as c

SCORES = st.one_of(st.floats(-5, 5), st.just(math.inf))


@settings(deadline=None)
@given(scores=st.lists(SCORES, min_size=2, max_size=40), coverage=st.floats(0.05, 0.95))
def test_each_score_in_turn_is_below_the_limit_of_the_others(
    scores: list[float], coverage: float
) -> None:
    """Exchangeable scores: every one is as likely to be the new one, so this is the coverage."""
    held = [
        one <= c.upper_limit(scores[:i] + scores[i + 1 :], coverage) for i, one in enumerate(scores)
    ]
    assert np.mean(held) >= coverage - 1e-9


@settings(deadline=None)
@given(scores=st.lists(SCORES, min_size=1, max_size=30, unique=True))
def test_no_smaller_score_would_do(scores: list[float]) -> None:
    """Below the limit lie fewer than (n + 1) (1 - a) of the scores."""
    limit = c.upper_limit(scores, 0.9)
    assert sum(s < limit for s in scores) < (len(scores) + 1) * 0.9


def test_coverage_on_new_seeds_of_a_skewed_law() -> None:
    """Nine seeds, 90 %, runs that never end with probability 5 %."""
    rng = np.random.default_rng(5)
    held = []
    for _ in range(2000):
        scores = np.where(rng.random(10) < 0.05, np.inf, rng.exponential(size=10) ** 3)
        held.append(scores[-1] <= c.upper_limit(scores[:-1], 0.9))
    assert 0.88 <= np.mean(held) <= 0.96


def test_a_run_that_never_arrives_makes_the_limit_infinite_where_it_counts() -> None:
    assert c.score([10.0, math.inf], [10.0, 20.0]) == math.inf
    assert c.score([10.0, math.inf], [10.0, math.inf]) == 0.0  # it was foreseen
    assert c.upper_limit([0.0] * 8 + [math.inf], 0.9) == math.inf
    assert c.upper_limit([0.0] * 18 + [math.inf], 0.9) == 0.0


@pytest.mark.parametrize("n", [1, 8, 9, 19])
def test_too_few_scores_give_no_limit(n: int) -> None:
    assert math.isfinite(c.upper_limit([0.0] * n, 0.9)) == (n >= c.fewest_scores(0.9))


@pytest.mark.parametrize(("scores", "coverage"), [([math.nan], 0.9), ([0.0], 1.0), ([0.0], 0.0)])
def test_wrong_arguments_are_refused(scores: list[float], coverage: float) -> None:
    with pytest.raises(ValueError, match=r"score|coverage"):
        c.upper_limit(scores, coverage)
