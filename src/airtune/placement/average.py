"""Places for many blocks: the least mean error over draws of the channel (sample average).

Antennas that move rarely stand where they are for many coherence blocks, so what counts is the
expected error ``E[1 / t]`` over the channel's law, each block with its own best beamformer.  The
expectation is replaced by the mean over drawn blocks [1]_, the same ones for every place that is
tried; how good the places are must be told by other draws (:func:`mean_error`).

References
----------
.. [1] A. Shapiro, D. Dentcheva, A. Ruszczynski, "Lectures on Stochastic Programming", chapter 5,
   SIAM 2009: sample average approximation, and its out-of-sample estimate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from airtune.kinds import Real
from airtune.placement.problem import FEASIBILITY, Problem, ProblemError, least_distance
from airtune.placement.solver import beamform, solve
from airtune.placement.travel import TravelLimit, match

STEPS = (0.1, 0.3)
"""Steps of an antenna that are tried besides places anywhere [wavelengths]."""


@dataclass(frozen=True)
class Effort:
    """How long to search.

    Attributes
    ----------
    blocks : int
        Blocks whose own best places are starts.
    kept : int
        Best starts that are improved.
    sweeps : int
        Passes over all antennas.
    places : int
        Places that are tried for an antenna in a pass, besides eight small steps.
    """

    blocks: int
    kept: int
    sweeps: int
    places: int


EFFORTS = {
    "fast": Effort(2, 1, 1, 4),
    "default": Effort(4, 2, 2, 8),
    "exhaustive": Effort(16, 4, 6, 24),
}


@dataclass(frozen=True)
class Estimate:
    """An expected error as a sample tells it.

    Attributes
    ----------
    mean : float
    low, high : float
        95 % interval of Student's t; the law of errors has a long upper tail, of which a small
        sample may not know.
    count : int
        Size of the sample.
    """

    mean: float
    low: float
    high: float
    count: int


def estimate(errors: Real) -> Estimate:
    """Return the mean of a sample with its interval.

    Parameters
    ----------
    errors : ndarray, float, shape (S,)

    Examples
    --------
    >>> one = estimate(np.array([1.0, 2.0, 3.0]))
    >>> one.mean, round(one.high - one.mean, 3), one.low  # 4.303 / sqrt(3) on both sides, cut at 0
    (2.0, 2.484, 0.0)
    """
    from scipy.special import stdtrit

    count, mean = len(errors), float(np.mean(errors))
    if count < 2:
        return Estimate(mean, 0.0, math.inf, count)
    half = float(stdtrit(count - 1, 0.975) * np.std(errors, ddof=1) / math.sqrt(count))
    return Estimate(mean, max(0.0, mean - half), mean + half, count)


def mean_error(problems: Sequence[Problem], positions: Real, *, seed: int = 0) -> Estimate:
    """Return the expected error 1 / t at given places, each block with its best beamformer.

    Parameters
    ----------
    problems : sequence of Problem
        Drawn blocks; others than those for which the places were chosen.
    positions : ndarray, float, shape (N, 2)  [wavelengths]
    seed : int
    """
    errors = [1.0 / beamform(p, positions, starts=8, seed=seed).worst_gain for p in problems]
    return estimate(np.array(errors))


def solve_average(
    problems: Sequence[Problem],
    start: Real,
    *,
    mode: str = "default",
    seed: int = 0,
    travel: TravelLimit | None = None,
    grid: float = 0.0,
) -> Real:
    """Return the places of least mean error over drawn blocks that a search finds.

    Starts are the present places and the best places of some of the blocks by themselves; then one
    antenna after the other is tried nearby and anywhere, as long as the mean falls.  So the answer
    is no worse on the draws than any of its starts.

    Parameters
    ----------
    problems : sequence of Problem
        Drawn blocks of the same antennas and region.
    start : ndarray, float, shape (N, 2)
        Present places, feasible  [wavelengths]
    mode : {"fast", "default", "exhaustive"}
    seed : int
    travel : TravelLimit, optional
        Limit or price of the way from the present places, in dB of the mean error.
    grid : float
        Distance of the places that antennas can take; 0: any place  [wavelengths]

    Returns
    -------
    ndarray, float, shape (N, 2)  [wavelengths]

    Raises
    ------
    ProblemError
        There is no block, or an unknown mode.

    Examples
    --------
    >>> from airtune.placement import half_wavelength
    >>> from airtune.placement.examples import random_problem
    >>> blocks = [random_problem(s, antennas=2, clients=2, paths=3) for s in range(3)]
    >>> parked = half_wavelength(2, blocks[0].region)
    >>> placed = solve_average(blocks, parked, mode="fast")
    >>> mean_error(blocks, placed).mean < mean_error(blocks, parked).mean
    True
    """
    if not problems:
        raise ProblemError("an average needs at least one block")
    if mode not in EFFORTS:
        raise ProblemError(f"mode must be one of {', '.join(EFFORTS)}, not {mode!r}")
    effort = EFFORTS[mode]
    search = Average(list(problems), np.asarray(start, np.float64), travel, grid, seed)
    found = [(search.value(search.origin, math.inf), 0, search.origin)]
    for index, problem in enumerate(problems[: effort.blocks]):
        own = solve(problem, mode="fast", seed=seed, travel=travel, grid=grid).positions
        found.append((search.value(own, math.inf), index + 1, own))
    found.sort(key=lambda one: one[:2])
    ends = [search.improve(value, places, effort) for value, _, places in found[: effort.kept]]
    return min(ends, key=lambda one: one[0])[1]


class Average:
    """The mean error of places over the blocks, and single steps that lower it."""

    def __init__(
        self,
        problems: list[Problem],
        origin: Real,
        travel: TravelLimit | None,
        grid: float,
        seed: int,
    ) -> None:
        self.problems, self.origin, self.travel = problems, origin, travel
        self.grid, self.seed = grid, seed
        self.random = np.random.default_rng(seed)
        self.places: Real | None = None
        if grid > 0:
            from airtune.placement.places import grid_places

            self.places = grid_places(problems[0].region, grid)

    def value(self, places: Real, limit: float) -> float:
        """Return the mean error, times the price of the way; given up above the limit."""
        price = 1.0
        if self.travel is not None:
            way = match(self.origin, places, self.travel.stuck)[1]
            if way > self.travel.longest + FEASIBILITY:
                return math.inf
            price = 10 ** (self.travel.price_db * way / 10)
        total, most = 0.0, limit * len(self.problems) / price
        for problem in self.problems:
            total += 1.0 / beamform(problem, places, starts=2, seed=self.seed).worst_gain
            if total >= most:
                return math.inf
        return price * total / len(self.problems)

    def improve(self, value: float, places: Real, effort: Effort) -> tuple[float, Real]:
        """Return value and places after single antennas have been tried elsewhere."""
        stuck = () if self.travel is None else self.travel.stuck
        for _ in range(effort.sweeps):
            before = value
            for n in self.random.permutation(len(places)):
                if n in stuck:
                    continue
                for tried in self._candidates(places[n], effort.places):
                    other = places.copy()
                    other[n] = tried
                    if not self.fits(other):
                        continue
                    new = self.value(other, value)
                    if new < value * (1 - 1e-9):
                        value, places = new, other
            if value >= before:
                break
        return value, places

    def _candidates(self, now: Real, count: int) -> Real:
        """Return places for an antenna, small steps first, shape (8 + count, 2)."""
        region = np.asarray(self.problems[0].region)
        turn = self.random.uniform(0.0, 2 * np.pi) + np.arange(4) * np.pi / 2
        around = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
        near = np.concatenate([now + max(step, self.grid) * around for step in STEPS])
        wide = self.random.uniform(0.0, 1.0, (count, 2)) * region
        both = np.asarray(np.clip(np.concatenate([near, wide]), 0.0, region))
        if self.places is None:
            return both
        nearest = np.linalg.norm(both[:, None] - self.places[None], axis=2).argmin(axis=1)
        return np.asarray(self.places[nearest])

    def fits(self, places: Real) -> bool:
        """Return whether places keep the spacing."""
        least = least_distance(places) if len(places) > 1 else math.inf
        return bool(least >= self.problems[0].spacing - FEASIBILITY / 2)
