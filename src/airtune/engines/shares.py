"""Work shared out among processes, with results that do not depend on how."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Map = Callable[..., list[Any]]
"""``map`` of :class:`airtune.learning.workers.Workers`."""


def shares(costs: Sequence[float], count: int) -> list[list[int]]:
    """Share out items so that no share costs much more than another: the dearest first.

    Parameters
    ----------
    costs : sequence of float
        Of each item.
    count : int
        Shares, at least 1; some are empty where there are fewer items.

    Returns
    -------
    list of list of int
        Indices of the items of each share, ascending.  The same costs give the same shares.

    References
    ----------
    R. L. Graham: Bounds on multiprocessing timing anomalies, SIAM J. Appl. Math. 17(2), 1969 (the
    longest item to the least loaded: at most 4/3 of the best).

    Examples
    --------
    >>> shares([5, 1, 1, 3, 2], 2)
    [[0, 1], [2, 3, 4]]
    """
    filled: list[list[int]] = [[] for _ in range(count)]
    loads = [(0.0, share) for share in range(count)]
    for item in sorted(range(len(costs)), key=lambda i: (-costs[i], i)):
        load, share = heapq.heappop(loads)
        filled[share].append(item)
        heapq.heappush(loads, (load + costs[item], share))
    return [sorted(share) for share in filled]


class PartDone(Exception):  # noqa: N818 - no error: it ends an evaluation of which a part is asked
    """A process has computed its part of a list.

    Attributes
    ----------
    results : dict of int to object
        Results of its items, by their place in the list.
    """

    def __init__(self, results: Mapping[int, Any]) -> None:
        super().__init__()
        self.results = dict(results)


class PartOf:
    """Computes one share of a list here; stands in for ``learning.workers.Workers``.

    Parameters
    ----------
    inner : callable
        ``Workers.map`` of this process.
    part, parts : int
        Which share of how many.
    others : callable, optional
        Returns the results of the other shares, by their places; :meth:`map` then returns them
        all.  Without it :meth:`map` raises :class:`PartDone`.

    Examples
    --------
    >>> def here(function, items, cost=None):
    ...     return [function(item) for item in items]
    >>> try:
    ...     PartOf(here, 1, 2).map(abs, [-4, -3, -2], abs)
    ... except PartDone as done:
    ...     other = done.results
    >>> other
    {1: 3, 2: 2}
    >>> PartOf(here, 0, 2, lambda: [other]).map(abs, [-4, -3, -2], abs)
    [4, 3, 2]
    """

    def __init__(
        self,
        inner: Map,
        part: int,
        parts: int,
        others: Callable[[], Sequence[Mapping[int, Any]]] | None = None,
    ) -> None:
        self._inner, self._part, self._parts, self._others = inner, part, parts, others

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        cost: Callable[[Item], float] | None = None,
    ) -> list[Result]:
        """Return the results in the order of `items`, those of other processes among them."""
        costs = [1.0 if cost is None else cost(item) for item in items]
        own = shares(costs, self._parts)[self._part]
        done = dict(zip(own, self._inner(function, [items[i] for i in own], cost), strict=True))
        if self._others is None:
            raise PartDone(done)
        for other in self._others():
            done |= other
        return [done[i] for i in range(len(items))]
