"""Who takes part: the binary block of the joint plan (system model, section 8).

Leaving a client out spares the air its weakest link and its energy, and costs the bias
beta = min(1, 4 (1 - p)^2) zeta^2 of the weight 1 - p that is then missing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
EXHAUSTIVE = 6  # clients up to which all sets are tried
ROUNDING = 1e-12


def best_participants(value: Callable[[Mask], float], start: Mask) -> Mask:
    """Find the set of participants of least value.

    Up to `EXHAUSTIVE` clients all sets are tried.  Above, the best set that leaves one more client
    out, takes one more in or exchanges two is taken as long as the value falls: a local optimum, no
    worse than the start.

    Parameters
    ----------
    value : callable
        Bound of the best plan with these participants; infinity where there is none.
    start : ndarray of bool, shape (K,)
        Set to start from.

    Returns
    -------
    ndarray of bool, shape (K,)
    """
    seen: dict[bytes, float] = {}

    def cached(mask: Mask) -> float:
        key = mask.tobytes()
        if key not in seen:
            seen[key] = value(mask)
        return seen[key]

    best, least = start.copy(), cached(start)
    while True:
        before = least
        for mask in _all_sets(start.size) if start.size <= EXHAUSTIVE else _neighbours(best):
            found = cached(mask)
            if found < least * (1 - ROUNDING):
                best, least = mask, found
        if start.size <= EXHAUSTIVE or not least < before:
            return best


def _all_sets(count: int) -> Iterator[Mask]:
    for bits in itertools.product((True, False), repeat=count):
        if any(bits):
            yield np.array(bits)


def _neighbours(mask: Mask) -> list[Mask]:
    inside, outside = np.flatnonzero(mask), np.flatnonzero(~mask)
    found = []
    for leave in [None, *inside]:
        for join in [None, *outside]:
            if leave is None and join is None:
                continue
            other = mask.copy()
            if leave is not None:
                other[leave] = False
            if join is not None:
                other[join] = True
            if other.any():
                found.append(other)
    return found
