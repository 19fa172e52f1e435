"""The participation turn: who takes part (system model, section 8).

Leaving a client out spares the air its weakest link and its energy, and costs the bias
beta = min(1, 4 (1 - p)^2) zeta^2 of the weight 1 - p that is then missing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from airtune.kinds import Mask

SWEEPS = 1000
"""Times at most that all neighbours of a set are tried; each lowers the bound."""
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

    Examples
    --------
    The third client has the worst air, and its absence costs less than its presence:

    >>> import numpy as np
    >>> weight, error = np.array([0.4, 0.4, 0.2]), np.array([0.1, 0.2, 3.0])
    >>> def bound(mask):
    ...     return error[mask].max() + min(1, 4 * weight[~mask].sum() ** 2)
    >>> best_participants(bound, np.ones(3, dtype=bool)).tolist()
    [True, True, False]
    """
    seen: dict[bytes, float] = {}

    def cached(mask: Mask) -> float:
        key = mask.tobytes()
        if key not in seen:
            seen[key] = value(mask)
        return seen[key]

    best, least = start.copy(), cached(start)
    for _ in range(SWEEPS):
        before = least
        for mask in _all_sets(start.size) if start.size <= EXHAUSTIVE else _neighbours(best):
            tried = cached(mask)
            if tried < least * (1 - ROUNDING):
                best, least = mask, tried
        if start.size <= EXHAUSTIVE or not least < before:
            break
    return best


def _all_sets(count: int) -> Iterator[Mask]:
    for bits in itertools.product((True, False), repeat=count):
        if any(bits):
            yield np.array(bits)


def _neighbours(mask: Mask) -> list[Mask]:
    inside, outside = np.flatnonzero(mask), np.flatnonzero(~mask)
    masks = []
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
                masks.append(other)
    return masks
