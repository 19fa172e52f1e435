"""Sharing out work: every item once, nobody has much more to do, whoever computes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airtune.engines.shares import PartDone, PartOf, shares

COSTS = st.lists(st.floats(0, 1e6), max_size=30)


@given(COSTS, st.integers(1, 8))
def test_every_item_is_in_one_share_and_the_loads_are_even(costs, count) -> None:
    parts = shares(costs, count)
    assert sorted(item for part in parts for item in part) == list(range(len(costs)))
    assert len(parts) == count
    loads = [sum(costs[i] for i in part) for part in parts]
    # Graham's bound for the longest first.
    best = max([sum(costs) / count, *costs])
    assert max(loads) <= (4 / 3) * best + max(costs, default=0) / 3 + 1e-6


@given(COSTS, st.integers(1, 5))
def test_shares_computed_apart_are_the_list_computed_in_one_place(costs, parts) -> None:
    def here(function, items, cost=None):
        return [function(item) for item in items]

    def share(part: int) -> dict[int, float]:
        try:
            PartOf(here, part, parts).map(lambda x: 2 * x, costs, abs)
        except PartDone as done:
            return done.results
        raise AssertionError("not its own share only")

    others = [share(part) for part in range(1, parts)]
    whole = PartOf(here, 0, parts, lambda: others).map(lambda x: 2 * x, costs, abs)
    assert whole == [2 * x for x in costs]
