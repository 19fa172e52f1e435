"""Crossings of a target, between two evaluations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airtune.record.documents import MetricsLine
from airtune.study.targets import NEVER, crossing, target_losses


def lines(losses: list[float | None], every: int = 1) -> list[MetricsLine]:
    """Rounds of 2 s and 5 J; evaluated every so many."""
    return [
        MetricsLine(
            round=i,
            time_s=2.0 * i,
            energy_j=5.0 * i,
            evaluated=i % every == 0,
            loss=losses[i // every] if i % every == 0 else None,
        )
        for i in range((len(losses) - 1) * every + 1)
    ]


def test_targets_are_shares_of_the_improvement() -> None:
    found = target_losses([5.0, 2.0, 1.0])
    assert found == {"90": pytest.approx(1.4), "98": pytest.approx(1.08)}
    assert target_losses([5.0, 5.0]) == {"90": None, "98": None}


def test_a_crossing_by_hand() -> None:
    # between rounds 3 (loss 4) and 6 (loss 2) of an evaluation every three: a = (4 - 3.5) / 2
    found = crossing(lines([5.0, 4.0, 2.0, 1.0], every=3), 3.5)
    assert found == {"rounds": 3.75, "time_s": 7.5, "energy_j": 18.75}


def test_the_first_crossing_counts_and_diverged_rounds_are_no_start() -> None:
    assert crossing(lines([5.0, 2.0, 4.0, 1.0]), 3.5)["rounds"] == 0.5
    assert crossing(lines([5.0, None, 1.0]), 3.5)["rounds"] == 2.0
    assert crossing(lines([5.0, 4.0]), 3.5) == NEVER
    assert crossing(lines([5.0, 4.0]), None) == NEVER
    assert crossing(lines([3.0, 2.0]), 3.5)["rounds"] == 0.0


@given(losses=st.lists(st.floats(0, 10), min_size=2, max_size=8), target=st.floats(0, 10))
def test_a_crossing_lies_in_the_round_that_ends_at_or_below_the_target(
    losses: list[float], target: float
) -> None:
    found = crossing(lines(list(losses)), target)
    reached = next((i for i, loss in enumerate(losses) if loss <= target), None)
    if reached is None:
        assert found == NEVER
    else:
        assert max(0, reached - 1) <= found["rounds"] <= reached
        assert found["time_s"] == pytest.approx(2.0 * found["rounds"])
