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
from airtune.placement.problem import Problem, ProblemError
from airtune.placement.solver import beamform
from airtune.placement.travel import TravelLimit


@dataclass(frozen=True)
class Effort:
    """How long to search.

    Attributes
    ----------
    blocks : int
        Blocks whose own good places are starts.
    kept : int
        Best starts that are improved; half of them stay after each pass.
    sweeps : int
        Passes over all antennas at most.
    places : int
        Places of the grid that are tried for an antenna in a pass.
    """

    blocks: int
    kept: int
    sweeps: int
    places: int


EFFORTS = {
    "fast": Effort(2, 1, 2, 2),
    "default": Effort(4, 2, 2, 4),
    "exhaustive": Effort(16, 8, 6, 6),
}
MANY = 6
"""From so many antennas on, `default` improves one start at more places: as good, and sooner."""
OF_MANY = Effort(4, 1, 2, 6)


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

    Starts are the present places and good places of some of the blocks by themselves.  The best of
    them go down the gradient of the mean error by all antennas at once (BFGS), and one antenna
    after the other is tried at the places of a grid that promise most with the blocks' beamformers
    as they are; what lowers the mean is kept.  So the answer is no worse on the draws than any of
    its starts.

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
    from airtune.placement.blocks import Blocks

    origin = np.asarray(start, np.float64)
    heard = [problem for problem in problems if problem.active.any()]
    if not heard:
        return origin
    blocks = Blocks(heard, origin, travel, grid, seed)
    effort = OF_MANY if mode == "default" and len(origin) >= MANY else EFFORTS[mode]
    return blocks.best(effort.blocks, effort.kept, effort.sweeps, effort.places)
