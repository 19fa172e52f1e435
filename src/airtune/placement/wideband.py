"""One set of places for the resource blocks of a wide band, each with a beamformer of its own.

The places minimise the mean error over the blocks (system model, section 5),

    mean over i of 1 / t_i(r),   t_i(r) = max over w of min_k |w^H g_ki(r)|^2 / (w^H R_i(r) w).

Single antennas are tried elsewhere as for many coherence blocks (:mod:`airtune.placement.average`);
then places and all beamformers climb together (:mod:`airtune.placement.joint`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from airtune.kinds import Real
from airtune.placement.average import Effort
from airtune.placement.joint import climb
from airtune.placement.problem import (
    FEASIBILITY,
    Placement,
    Problem,
    ProblemError,
    least_distance,
)
from airtune.placement.solver import beamform
from airtune.placement.travel import TravelLimit, farthest, match

EFFORTS = {
    "fast": Effort(blocks=4, kept=1, sweeps=1, places=1),
    "default": Effort(blocks=4, kept=4, sweeps=3, places=6),
    "exhaustive": Effort(blocks=16, kept=8, sweeps=6, places=6),
}
"""How long single antennas are tried elsewhere before the climbs."""

ITERATIONS = {"fast": 50, "default": 100, "exhaustive": 300}
"""Steps of a climb."""

CLIMBS = {"fast": 2, "default": 4, "exhaustive": 24}
"""Climbs, from the best places that are known by then."""

MOST_VARIABLES = 400
"""Largest climb, 2 N (I + 1) variables: its time grows with their third power."""


@dataclass(frozen=True)
class WidebandPlacement:
    """Places for all resource blocks, and what each of them reaches there.

    Attributes
    ----------
    blocks : tuple of Placement
        One for each block, all with the same positions.
    seconds : float
    """

    blocks: tuple[Placement, ...]
    seconds: float

    @property
    def positions(self) -> Real:
        """Places of the antennas, shape (N, 2)  [wavelengths]."""
        return self.blocks[0].positions

    @property
    def worst_gain(self) -> float:
        """The harmonic mean of the blocks' worst gains: one over the mean error."""
        return _harmonic([one.worst_gain for one in self.blocks])

    @property
    def upper_bound(self) -> float | None:
        """A value that `worst_gain` of no places exceeds, if one was asked for."""
        bounds = [one.upper_bound for one in self.blocks if one.upper_bound is not None]
        return _harmonic(bounds) if len(bounds) == len(self.blocks) else None

    @property
    def bound_kind(self) -> str | None:
        """How the bounds of the blocks were obtained."""
        return self.blocks[0].bound_kind

    @property
    def method(self) -> str:
        """Name of the search."""
        return "wideband"


def solve_wideband(
    problems: Sequence[Problem],
    start: Real,
    *,
    mode: str = "default",
    seed: int = 0,
    travel: TravelLimit | None = None,
    grid: float = 0.0,
) -> Real:
    """Return the places of least mean error over resource blocks that a search finds.

    Parameters
    ----------
    problems : sequence of Problem
        One for each block, of the same antennas and region.
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
    >>> from airtune.placement import half_wavelength, mean_error
    >>> from airtune.placement.examples import random_problem
    >>> blocks = [random_problem(s, antennas=2, clients=2, paths=3) for s in range(3)]
    >>> parked = half_wavelength(2, blocks[0].region)
    >>> placed = solve_wideband(blocks, parked, mode="fast")
    >>> mean_error(blocks, placed).mean < mean_error(blocks, parked).mean
    True
    """
    if not problems:
        raise ProblemError("a wide band needs at least one resource block")
    if mode not in EFFORTS:
        raise ProblemError(f"mode must be one of {', '.join(EFFORTS)}, not {mode!r}")
    effort, problems = EFFORTS[mode], list(problems)
    from airtune.placement.blocks import Blocks

    origin = np.asarray(start, np.float64)
    if not problems[0].active.any():
        return origin
    middle = np.argsort(np.abs(np.arange(len(problems)) - (len(problems) - 1) / 2), kind="stable")
    search = Blocks([problems[index] for index in middle], origin, travel, grid, seed)
    singly = search.found(effort.blocks, effort.kept, effort.sweeps, effort.places)
    few = singly[: CLIMBS[mode]]
    found = [(_value(problems, origin, places, travel, seed), places) for places in [origin, *few]]
    size = 2 * problems[0].antennas * (len(problems) + 1)
    if grid == 0 and size <= MOST_VARIABLES:
        for places in few:
            climbed = climb(problems, places, ITERATIONS[mode], _box(problems[0], travel, places))
            found.append((_value(problems, origin, climbed, travel, seed), climbed))
    return min(found, key=lambda one: one[0])[1]


def _value(
    problems: list[Problem], origin: Real, places: Real, travel: TravelLimit | None, seed: int
) -> float:
    """Return the mean error of places, times the price of the way; inf where they may not be."""
    if len(places) > 1 and least_distance(places) < problems[0].spacing - FEASIBILITY / 2:
        return math.inf
    from airtune.placement.blocks import DEAREST

    price = 1.0
    if travel is not None:
        way = farthest(origin, places, travel.stuck)
        if way > travel.longest + FEASIBILITY:
            return math.inf
        price = 10 ** (min(DEAREST, travel.price_db * way / 10) if travel.price_db else 0.0)
    gains = [beamform(one, places, starts=2, seed=seed).worst_gain for one in problems]
    return price * float(np.mean([1.0 / gain for gain in gains]))


def place_wideband(
    problems: Sequence[Problem],
    start: Real,
    *,
    mode: str = "default",
    seed: int = 0,
    certify: bool = False,
) -> WidebandPlacement:
    """Return the places of :func:`solve_wideband` with the beamformers of the blocks.

    With `certify` each block has the upper bound of its own problem: together they bound the mean
    error, since no places are better for a block than its own best ones.
    """
    began = time.perf_counter()
    positions = solve_wideband(problems, start, mode=mode, seed=seed)
    blocks = [beamform(problem, positions, seed=seed) for problem in problems]
    if certify and problems[0].active.any():
        from airtune.placement.certify import upper_bound

        for index, problem in enumerate(problems):
            bound, kind = upper_bound(problem)
            blocks[index] = replace(blocks[index], upper_bound=bound, bound_kind=kind)
    return WidebandPlacement(tuple(blocks), time.perf_counter() - began)


def _harmonic(gains: Sequence[float]) -> float:
    errors = float(np.mean([1.0 / gain for gain in gains]))
    return math.inf if errors == 0 else 1.0 / errors


def _box(problem: Problem, travel: TravelLimit | None, places: Real) -> Real | None:
    """Return least and greatest x, least and greatest y of a climb, no farther than it begins."""
    if travel is None:
        return None
    # the climb keeps the order of its start, which is that of the matching
    order, way = match(travel.origin, places, travel.stuck)
    limit = travel.longest if travel.price_db == 0 else way
    box = travel.bounds(problem, limit)
    back = np.argsort(order)
    return np.array(box[:, back])
