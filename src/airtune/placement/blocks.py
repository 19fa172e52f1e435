"""The search of :func:`airtune.placement.solve_average`: single antennas, moved for all blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from airtune.kinds import Real
from airtune.placement.kernels.blocks import add_errors
from airtune.placement.kernels.field import pack
from airtune.placement.kernels.sqp import Limits
from airtune.placement.kernels.tasks import ascend
from airtune.placement.places import grid_places, table_of
from airtune.placement.problem import FEASIBILITY, Problem, least_distance
from airtune.placement.search import ROUGH, Search
from airtune.placement.travel import TravelLimit, farthest

STEPS = (0.3, 0.1, 0.03)
"""Steps of an antenna that are tried besides places of the grid [wavelengths]."""
AIMS = 3
"""Random beamformers from which a block's own is climbed at places of which nothing is known."""
CLIMB = Limits(20, 1e-4, -math.inf)
"""A beamformer's climb, from one that has been good nearby or from a random one."""
DEAREST = 200.0
"""Decades of error that a way costs at most, so that products stay finite."""
RACE = 3
"""Blocks of the largest errors that a move must better before the others are looked at."""


@dataclass
class _State:
    """Places with what is known of each block there.

    z : ndarray, shape (S, 4, N)
        Re a, Im a, x, y of each block.
    errors : ndarray, shape (S,)
    value : float
        Mean error, times the price of the way.
    """

    z: Real
    errors: Real
    value: float

    @property
    def places(self) -> Real:
        return np.ascontiguousarray(self.z[0, 2:].T)


class Blocks:
    """Drawn blocks of the same antennas, and single moves that lower their mean error.

    Parameters
    ----------
    problems : list of Problem
    origin : ndarray, shape (N, 2)
        Present places  [wavelengths]
    travel : TravelLimit or None
    grid : float
        Distance of the places that antennas can take; 0: any place  [wavelengths]
    seed : int
    """

    def __init__(
        self,
        problems: list[Problem],
        origin: Real,
        travel: TravelLimit | None,
        grid: float,
        seed: int,
    ) -> None:
        self.problem, self.origin, self.grid = problems[0], origin, grid
        self.travel = TravelLimit(origin)
        if travel is not None:
            travel.check(self.problem)
            self.travel = travel
        self.random = np.random.default_rng(seed)
        packed = [pack(problem) for problem in problems]
        self.scales = [scale for _, scale in packed]
        places = None if grid == 0 else grid_places(self.problem.region, grid)
        bounds = self.travel.bounds(self.problem, self.travel.longest)
        self.runs = [
            Search(field, seed, origin, bounds, None if places is None else table_of(field, places))
            for field, _ in packed
        ]
        table = self.runs[0].grid.table
        self.points = np.stack([table.px, table.py], axis=1)
        distance = np.linalg.norm(self.points[None] - origin[:, None], axis=2)
        self.reached = distance <= self.travel.discs(self.travel.longest)[2][:, None] + 1e-9

    def best(self, starts: int, kept: int, sweeps: int, places: int) -> Real:
        """Return the places of least mean error that are found, shape (N, 2)  [wavelengths]

        Parameters
        ----------
        starts, kept, sweeps, places : int
            `blocks` and the others of :class:`airtune.placement.average.Effort`.
        """
        return self.found(starts, kept, sweeps, places)[0]

    def found(self, starts: int, kept: int, sweeps: int, places: int) -> list[Real]:
        """Return all places that are found, of :meth:`best` and its starts, the best first."""
        found = [self._aimed(self.origin)]
        for run in self.runs[:starts]:
            own = self._own(run)
            if own is not None and self._allowed(own):
                found.append(self._aimed(own))
        found.sort(key=lambda one: one.value)
        found += [self._improved(one, sweeps, places) for one in found[:kept]]
        found.sort(key=lambda one: one.value)
        return [one.places for one in found]

    def _own(self, run: Search) -> Real | None:
        """Return good places of one block by itself, in reach or for a region without limits."""
        free = not self.travel.stuck and self.travel.longest == math.inf
        run.bounded = False
        if free:
            value, z = run.construct(1)
            if value == -math.inf:
                return None
        else:
            z = run.scatter()
        if run.movable:
            run.climb(z, 40, ROUGH)
        return np.ascontiguousarray(z[2:].T)

    def _allowed(self, places: Real) -> bool:
        """Tell whether places keep the spacing and the limit of the way."""
        if len(places) > 1 and least_distance(places) < self.problem.spacing - FEASIBILITY / 2:
            return False
        longest = self.travel.longest + FEASIBILITY
        return longest == math.inf or self._way(places) <= longest

    def _way(self, places: Real) -> float:
        return farthest(self.origin, places, self.travel.stuck)

    def _price(self, places: Real) -> float:
        if self.travel.price_db == 0:
            return 1.0
        return float(10 ** min(DEAREST, self.travel.price_db * self._way(places) / 10))

    def _climbed(self, index: int, z: Real) -> float:
        """Climb with a block's beamformer alone, in place, and return its error."""
        run = self.runs[index]
        value = ascend(run.field, z, run.grid, CLIMB, False, run.work)
        return math.exp(-value) / self.scales[index]

    def _aimed(self, places: Real) -> _State:
        """Return what the blocks make of places, each with its best beamformer of a few climbs."""
        state = _State(
            np.empty((len(self.runs), 4, len(places))), np.full(len(self.runs), math.inf), math.inf
        )
        state.z[:, 2:] = places.T
        for _ in range(AIMS):
            self._aim_anew(state)
        return state

    def _aim_anew(self, state: _State) -> None:
        """Try one more random beamformer in every block."""
        for index, run in enumerate(self.runs):
            z = run.scatter()
            z[2:] = state.z[index, 2:]
            error = self._climbed(index, z)
            if error < state.errors[index]:
                state.errors[index], state.z[index] = error, z
        state.value = self._price(state.places) * float(np.mean(state.errors))

    def _moved(self, state: _State, n: int, place: Real) -> _State | None:
        """Return the state with an antenna elsewhere; None where the mean does not fall."""
        places = state.places
        places[n] = place
        if not self._allowed(places):
            return None
        price = self._price(places)
        most = state.value * (1 - 1e-9) * len(self.runs) / price
        z, errors, total, before = state.z.copy(), np.empty(len(self.runs)), 0.0, 0.0
        z[:, 2:, n] = place
        for seen, index in enumerate(np.argsort(-state.errors, kind="stable"), 1):
            errors[index] = self._climbed(int(index), z[index])
            total += errors[index]
            before += state.errors[index]
            if not total < most or (seen >= RACE and total > before):
                return None
        return _State(z, errors, price * float(np.mean(errors)))

    def _improved(self, state: _State, sweeps: int, places: int) -> _State:
        """Return the state after single antennas have been tried elsewhere."""
        for sweep in range(sweeps):
            before = state.value
            if sweep > 0:
                self._aim_anew(state)
            for n in self.random.permutation(state.z.shape[2]).tolist():
                if n in self.travel.stuck:
                    continue
                for place in self._promising(state, n, places):
                    state = self._moved(state, n, place) or state
                for step in STEPS if self.grid == 0 else [s for s in STEPS if s >= self.grid]:
                    start = self.random.uniform(0.0, 2 * np.pi)
                    for turn in range(4):
                        place = self._beside(state, n, step, start + turn * np.pi / 2)
                        state = self._moved(state, n, place) or state
            if state.value >= before * (1 - 1e-4):
                break
        return state

    def _promising(self, state: _State, n: int, count: int) -> Real:
        """Return places of the grid of least error with the beamformers as they are."""
        total = np.zeros(len(self.points))
        for run, scale, z in zip(self.runs, self.scales, state.z, strict=True):
            add_errors(run.field, run.grid, z, n, scale, run.work, total)
        if self.travel.price_db > 0:
            ways = np.linalg.norm(state.places - self.origin, axis=1)
            ways[n] = 0.0
            way = np.maximum(np.linalg.norm(self.points - self.origin[n], axis=1), ways.max())
            total *= 10 ** np.minimum(DEAREST, self.travel.price_db * way / 10)
        open_ = self.reached[n].copy()
        for i, other in enumerate(state.places):
            if i != n:
                far = np.linalg.norm(self.points - other, axis=1)
                open_ &= far >= self.problem.spacing - FEASIBILITY / 2
        total[~open_] = math.inf
        best = np.argsort(total, kind="stable")[:count]
        return self.points[best[np.isfinite(total[best])]]

    def _beside(self, state: _State, n: int, step: float, angle: float) -> Real:
        """Return the place a step away from where an antenna is now."""
        away = step * np.array([np.cos(angle), np.sin(angle)])
        place = np.clip(state.z[0, 2:, n] + away, 0.0, np.asarray(self.problem.region))
        if self.grid == 0:
            return place
        return np.asarray(self.points[np.linalg.norm(self.points - place, axis=1).argmin()])
