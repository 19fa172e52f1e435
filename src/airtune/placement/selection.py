"""Antenna selection: the best N of a pool of places, greedily, then by exchange."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from airtune.kinds import Real
from airtune.placement.problem import (
    Placement,
    Problem,
    ProblemError,
)
from airtune.placement.solver import beamform


def select(problem: Problem, candidates: Real, *, seed: int = 0, sweeps: int = 3) -> Placement:
    """Antenna selection: the best N of given places, greedy and then swaps.

    Places are added one by one, then single antennas are exchanged for idle places while that
    raises the gain; every trial is judged with a beamformer of its own (few starts).

    Parameters
    ----------
    problem : Problem
        `antennas` is N.
    candidates : ndarray, shape (C, 2)
        At least N places, such as `half_wavelength(2 * N, ...)`  [wavelengths]
    seed : int
    sweeps : int
        Most sweeps of swaps.

    Returns
    -------
    Placement

    Raises
    ------
    ProblemError
        With fewer than N candidates.

    Examples
    --------
    >>> import numpy as np
    >>> from airtune.placement.examples import random_problem
    >>> select(random_problem(0, antennas=2), np.zeros((1, 2)))
    Traceback (most recent call last):
        ...
    airtune.placement.values.ProblemError: selection needs at least 2 candidates, not 1
    """
    if len(candidates) < problem.antennas:
        raise ProblemError(
            f"selection needs at least {problem.antennas} candidates, not {len(candidates)}"
        )

    def gain(chosen: list[int], starts: int = 2) -> float:
        return beamform(problem, candidates[chosen], starts=starts, seed=seed).worst_gain

    chosen: list[int] = []
    for _ in range(problem.antennas):
        idle = [c for c in range(len(candidates)) if c not in chosen]
        chosen.append(max(idle, key=lambda c: gain([*chosen, c])))
    value = gain(chosen)
    for _ in range(sweeps):
        before = value
        for place in range(problem.antennas):
            rest = chosen[:place] + chosen[place + 1 :]
            for c in range(len(candidates)):
                if c in chosen:
                    continue
                new = gain([*rest, c])
                if new > value * (1 + 1e-6):
                    value, chosen = new, [*rest[:place], c, *rest[place:]]
        if value <= before * (1 + 1e-6):
            break
    best = beamform(problem, candidates[chosen], seed=seed)
    return replace(best, method="selection")


def exchange(
    problems: Sequence[Problem],
    candidates: Real,
    starts: Sequence[Real],
    *,
    seed: int = 0,
    sweeps: int = 3,
) -> Real:
    """Return the N of given places of least mean error over problems, by exchange from the best.

    Parameters
    ----------
    problems : sequence of Problem
        Of the same antennas, such as the resource blocks of a wide band.
    candidates : ndarray, shape (C, 2)  [wavelengths]
    starts : sequence of ndarray, shape (N, 2)
        Choices of them, such as the best one of each problem; the best of these is improved.
        [wavelengths]
    seed : int
    sweeps : int
        Most sweeps of swaps.

    Returns
    -------
    ndarray, shape (N, 2)  [wavelengths]

    Examples
    --------
    >>> from airtune.placement import half_wavelength, mean_error
    >>> from airtune.placement.examples import random_problem
    >>> blocks = [random_problem(s, antennas=2, clients=2, paths=3) for s in range(2)]
    >>> pool = half_wavelength(4, blocks[0].region)
    >>> chosen = exchange(blocks, pool, [pool[:2]])
    >>> mean_error(blocks, chosen).mean <= mean_error(blocks, pool[:2]).mean
    True
    """

    def error(places: Real, limit: float = math.inf) -> float:
        total = 0.0
        for problem in problems:
            total += 1.0 / beamform(problem, places, starts=2, seed=seed).worst_gain
            if total >= limit * len(problems):
                return math.inf
        return total / len(problems)

    places = min(starts, key=error)
    value = error(places)
    for _ in range(sweeps):
        before = value
        for antenna in range(len(places)):
            for place in candidates:
                if np.any(np.all(places == place, axis=1)):
                    continue
                tried = places.copy()
                tried[antenna] = place
                new = error(tried, value)
                if new < value * (1 - 1e-6):
                    value, places = new, tried
        if value >= before * (1 - 1e-6):
            break
    return places
