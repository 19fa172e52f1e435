"""How the scenario's threads are used: inside torch's operations, or side by side.

Two threads inside one operation wait for each other, more than they compute when the matrices are
small, and many times so on a busy machine.  Two Python threads with an operation each do not wait,
and their results do not depend on how many there are.  They need the memory of two computations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

# Weights from which on memory is dearer: threads then share each operation.
LARGE = 500_000_000

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers:
    """Python threads that compute side by side, with one torch thread each.

    Parameters
    ----------
    threads : int
        Processor threads to use, at least 1.
    weights : int
        Weights of the model.  For a large one there is one worker and torch uses all threads.
    """

    def __init__(self, threads: int, weights: int) -> None:
        self.count = 1 if weights >= LARGE else threads
        self.inside = threads if weights >= LARGE else 1
        torch.set_num_threads(self.inside)
        self._pool = ThreadPoolExecutor(self.count) if self.count > 1 else None

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        cost: Callable[[Item], float] | None = None,
    ) -> list[Result]:
        """Return the results in the order of `items`; the dearest by `cost` are begun first."""
        if self._pool is None:
            return [function(item) for item in items]
        if cost is None:
            return list(self._pool.map(function, items))
        order = sorted(range(len(items)), key=lambda i: -cost(items[i]))
        ordered = self._pool.map(function, [items[i] for i in order])
        results = dict(zip(order, ordered, strict=True))
        return [results[i] for i in range(len(items))]
