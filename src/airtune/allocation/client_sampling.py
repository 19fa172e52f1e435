"""Client sampling: rounds in which some of the participants transmit, on average.

The plan knows of a policy how many clients it takes, not whom: every set of M participants is
taken to be as likely as another.  The bound of a round holds given its set (docs/theory.md, "Sets
that change"), so the means of its terms over the sets are the terms of the plan.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from airtune.kinds import Real
from airtune.streams import generator

ENUMERATED = 5000
"""Sets up to which all are looked at."""

DRAWN = 4000
"""Sets that are drawn where there are more; fewer for very many clients."""

_CHUNK, _MOST = 2_000_000, 10_000_000


@dataclass(frozen=True)
class SamplingMeans:
    """Means over who transmits in a round; arrays have shape (E,) for the E participants.

    Attributes
    ----------
    squared_weights : ndarray, float, shape (E,)
        Mean of the client's squared weight in a round, 0 where it is silent.
    share : ndarray, float, shape (E,)
        Share of the rounds that it transmits in.
    bias : float
        Mean of min(1, 4 (1 - p)^2), p the weight of those that transmit; times zeta^2 it is beta.
    variance : float
        Variance of the weighted mean over the draws, at most this times zeta^2.
    """

    squared_weights: Real
    share: Real
    bias: float
    variance: float = 0.0


def sampled_without_replacement(weights: Real, transmitting: int) -> SamplingMeans:
    """Return the means over the sets of `transmitting` participants, all equally likely.

    The weights of those that transmit are renormalised to sum 1.  Exact for equal weights and for
    up to :data:`ENUMERATED` sets; else random ones stand for all, the same every time.

    Parameters
    ----------
    weights : ndarray, float, shape (E,)
        omega0 of the participants; less than 1 in sum where clients are left out.
    transmitting : int
        M, how many transmit in a round.

    Returns
    -------
    SamplingMeans

    Examples
    --------
    Two of four clients of equal weight transmit: each in half of the rounds, with weight 1/2.

    >>> import numpy as np
    >>> means = sampled_without_replacement(np.full(4, 0.25), 2)
    >>> means.squared_weights.tolist(), means.share.tolist(), means.bias
    ([0.125, 0.125, 0.125, 0.125], [0.5, 0.5, 0.5, 0.5], 1.0)
    """
    given = tuple(np.asarray(weights, float).tolist())
    return _without_replacement(given, min(transmitting, len(weights)))


@lru_cache(maxsize=512)
def _without_replacement(given: tuple[float, ...], transmitting: int) -> SamplingMeans:
    weights = np.array(given)
    count = len(weights)
    share = np.full(count, transmitting / count)
    if np.ptp(weights) <= 1e-12 * weights.max():
        present = np.array([transmitting * weights.mean()])
        return SamplingMeans(np.full(count, 1 / (count * transmitting)), share, _bias(present))
    if math.comb(count, transmitting) <= ENUMERATED:
        sets = np.array(list(itertools.combinations(range(count), transmitting)))
        present = weights[sets].sum(axis=1)
        squares = np.zeros(count)
        np.add.at(squares, sets, (weights[sets] / present[:, None]) ** 2)
        return SamplingMeans(squares / len(sets), share, _bias(present))
    squares, present = _over_random_sets(weights, transmitting)
    return SamplingMeans(squares * share, share, _bias(present))


def _over_random_sets(weights: Real, transmitting: int) -> tuple[Real, Real]:
    """Mean square of each client's weight in sets that hold it, and the weights of the sets.

    A set without the client becomes one with it when its last member makes room: given that the
    client is in, the others are as likely as before.
    """
    random = generator(0, "planning", "turns")
    count = len(weights)
    wanted = min(DRAWN, max(500, _MOST // count))
    sums, present = np.zeros(count), []
    rows = max(1, _CHUNK // count)
    for start in range(0, wanted, rows):
        size = min(rows, wanted - start)
        keys = random.random((size, count))
        sets = np.argpartition(keys, transmitting - 1, axis=1)[:, :transmitting]
        whole = weights[sets].sum(axis=1)
        others = np.repeat((whole - weights[sets[:, -1]])[:, None], count, axis=1) + weights
        np.put_along_axis(others, sets, whole[:, None], axis=1)
        sums += np.sum((weights / others) ** 2, axis=0)
        present.append(whole)
    return sums / wanted, np.concatenate(present)


def sampled_with_replacement(weights: Real, draws: int) -> SamplingMeans:
    """Return the means over `draws` draws with replacement, with odds as the weights.

    The mean over the draws is the mean over the participants on average; its variance is at most
    ``zeta^2 / draws``.  A client that is drawn twice sends its one update with twice the weight.

    Parameters
    ----------
    weights : ndarray, float, shape (E,)
        omega0 of the participants.
    draws : int
        M.

    Returns
    -------
    SamplingMeans

    Examples
    --------
    Two draws among four clients of equal weight; each is absent from both with probability 9/16:

    >>> import numpy as np
    >>> means = sampled_with_replacement(np.full(4, 0.25), 2)
    >>> means.squared_weights.tolist(), means.share.tolist()
    ([0.15625, 0.15625, 0.15625, 0.15625], [0.4375, 0.4375, 0.4375, 0.4375])
    >>> means.bias, means.variance
    (0.0, 0.5)
    """
    total = float(weights.sum())
    odds = weights / total
    squares = odds**2 + odds * (1 - odds) / draws
    absent = max(0.0, 1.0 - total) if total < 1 - 1e-12 else 0.0
    return SamplingMeans(squares, 1 - (1 - odds) ** draws, min(1.0, 4 * absent**2), 1 / draws)


def _bias(present: Real) -> float:
    """Mean of min(1, 4 (1 - p)^2) over the weights p of the sets (docs/theory.md, (2))."""
    absent = np.where(present < 1 - 1e-12, 1 - present, 0.0)
    return float(np.mean(np.minimum(1.0, 4 * absent**2)))
