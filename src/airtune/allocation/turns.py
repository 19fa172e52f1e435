"""Rounds in which some of the participants transmit: means over who is chosen.

The plan knows of a policy how many clients it takes, not whom: every set of M participants is
taken to be as likely as another.  The bound of a round holds given its set (docs/theory.md), so
the means of its terms over the sets are the terms of the plan.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from airtune.costs import FloatArray
from airtune.streams import generator

ENUMERATED = 5000
"""Sets up to which all are looked at."""

DRAWN = 4000
"""Sets that are drawn where there are more; fewer for very many clients."""

_CHUNK, _MOST = 2_000_000, 10_000_000


@dataclass(frozen=True)
class Turns:
    """Who transmits in a round, on average; arrays of shape (E,) for the E participants.

    Attributes
    ----------
    squares : ndarray
        Mean of the client's squared weight in a round, 0 where it is silent.
    share : ndarray
        Share of the rounds that it transmits in.
    bias : float
        Mean of min(1, 4 (1 - p)^2), p the weight of those that transmit.
    spread : float
        Variance of the weighted mean over the draws, at most this times zeta^2.
    """

    squares: FloatArray
    share: FloatArray
    bias: float
    spread: float = 0.0


def take_turns(weights: FloatArray, together: int) -> Turns:
    """Return the means over the sets of `together` participants, all equally likely.

    The weights of those that transmit are renormalised to sum 1.  Exact for equal weights and for
    up to :data:`ENUMERATED` sets; else random ones stand for all, the same every time.

    Parameters
    ----------
    weights : ndarray, shape (E,)
        omega0 of the participants; less than 1 in sum where clients are left out.
    together : int
        M, how many transmit in a round.
    """
    return _take_turns(tuple(np.asarray(weights, float).tolist()), min(together, len(weights)))


@lru_cache(maxsize=512)
def _take_turns(given: tuple[float, ...], together: int) -> Turns:
    weights = np.array(given)
    count = len(weights)
    share = np.full(count, together / count)
    if np.ptp(weights) <= 1e-12 * weights.max():
        present = np.array([together * weights.mean()])
        return Turns(np.full(count, 1 / (count * together)), share, _bias(present))
    if math.comb(count, together) <= ENUMERATED:
        sets = np.array(list(itertools.combinations(range(count), together)))
        present = weights[sets].sum(axis=1)
        squares = np.zeros(count)
        np.add.at(squares, sets, (weights[sets] / present[:, None]) ** 2)
        return Turns(squares / len(sets), share, _bias(present))
    squares, present = _drawn(weights, together)
    return Turns(squares * share, share, _bias(present))


def _drawn(weights: FloatArray, together: int) -> tuple[FloatArray, FloatArray]:
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
        sets = np.argpartition(keys, together - 1, axis=1)[:, :together]
        whole = weights[sets].sum(axis=1)
        others = np.repeat((whole - weights[sets[:, -1]])[:, None], count, axis=1) + weights
        np.put_along_axis(others, sets, whole[:, None], axis=1)
        sums += np.sum((weights / others) ** 2, axis=0)
        present.append(whole)
    return sums / wanted, np.concatenate(present)


def drawn_evenly(weights: FloatArray, draws: int) -> Turns:
    """Return the means over `draws` draws with replacement, with odds as the weights.

    The mean over the draws is the mean over the participants on average; its variance is at most
    ``zeta^2 / draws``.  A client that is drawn twice sends its one update with twice the weight.

    Parameters
    ----------
    weights : ndarray, shape (E,)
        omega0 of the participants.
    draws : int
        M.
    """
    total = float(weights.sum())
    odds = weights / total
    squares = odds**2 + odds * (1 - odds) / draws
    absent = max(0.0, 1.0 - total) if total < 1 - 1e-12 else 0.0
    return Turns(squares, 1 - (1 - odds) ** draws, min(1.0, 4 * absent**2), 1 / draws)


def _bias(present: NDArray[np.float64]) -> float:
    absent = np.where(present < 1 - 1e-12, 1 - present, 0.0)
    return float(np.mean(np.minimum(1.0, 4 * absent**2)))
