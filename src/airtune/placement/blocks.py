"""The search of :func:`airtune.placement.solve_average`.

Starts are judged by all blocks at once.  From the best of them single antennas go where a table
promises the least mean error, then all of them slide down its gradient (BFGS).  By the envelope
theorem that gradient needs no derivative of the beamformers, each of which is its block's best.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from airtune.kinds import Mask, Real
from airtune.memory import demand
from airtune.placement.kernels.blocks import AIM, MOVE, PROMISE, SLOPE, Task, judge
from airtune.placement.kernels.construct import Table
from airtune.placement.kernels.sqp import Limits
from airtune.placement.places import grid_places, table_of
from airtune.placement.problem import FEASIBILITY, Problem, least_distance
from airtune.placement.search import ROUGH, Search, region_table
from airtune.placement.stacked import packed, stacked
from airtune.placement.travel import TravelLimit, match

STEPS = (0.3, 0.1, 0.03)
"""Steps of an antenna that are tried where it can take places of a grid only [wavelengths]."""
CLIMB = Limits(20, 1e-4, -math.inf)
"""A beamformer's climb, from one that has been good nearby or from a random one."""
DEAREST = 200.0
"""Decades of error that a way costs at most, so that products stay finite."""
SLIDE = 8
"""Places at which the gradient is taken while all antennas slide."""
FIRST, FARTHEST, SHORTEST = 0.1, 0.3, 1e-4
"""Ways of the antenna that goes farthest: in a first step, at most, and where to stop."""
SHORTER, LEAST = 0.35, 0.03
"""Factor on a step that does not lower the error, and the least share that is tried."""
GAINED = 1e-3
"""Relative fall of the error in a step with which sliding ends."""
ASIDE = 6
"""Turns in which antennas that are too near are pushed apart."""
NO_PLACES = np.empty((0, 3))


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
        # never a view, which of one antenna a contiguous array would be
        return np.array(self.z[0, 2:].T, order="C")


class Blocks:
    """Drawn blocks of the same antennas, and moves that lower their mean error.

    Every antenna has a disc of its own around its present place, so what limits and prices the way
    is its own way; starts are put in the order of the shortest.

    Parameters
    ----------
    problems : list of Problem
        Each with a client that sends.
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
        self.problem, self.origin, self.grid, self.seed = problems[0], origin, grid, seed
        self.region = np.asarray(self.problem.region)
        self.travel = TravelLimit(origin)
        if travel is not None:
            travel.check(self.problem)
            self.travel = travel
        self.radii = self.travel.discs(self.travel.longest)[2]
        self.free = self.travel.longest == math.inf and not self.travel.stuck
        self.random = np.random.default_rng(seed)
        self.seeds = self.random.integers(2**63, size=1).astype(np.uint64)
        self.fields, scales = packed(problems)
        places = None if grid == 0 else grid_places(self.problem.region, grid)
        self.tables = self._tables(places)
        self.stack, self.bench = stacked(self.fields, scales, self.tables)
        self.points = np.stack([self.tables[0].px, self.tables[0].py], axis=1)
        distance = np.linalg.norm(self.points[None] - origin[:, None], axis=2)
        self.reached = distance <= self.radii[:, None] + 1e-9
        self.slope = np.empty((2, len(origin)))

    def _tables(self, places: Real | None) -> list[Table]:
        """Return every block's channels at the places of a grid, or on the one over the region."""
        found = []
        for field in self.fields:
            found.append(region_table(field) if places is None else table_of(field, places))
            if len(found) == 1:  # the others are as large, and `stacked` has all of them in floats
                size = found[0].tr.size * len(self.fields)
                demand(
                    f"places for {len(self.fields)} blocks: channels at {len(found[0].px)} places",
                    24.0 * size,
                )
        return found

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
        states = [self.aimed(self.origin)]
        for block in range(min(starts, len(self.fields))):
            own = self._own(block)
            if own is not None:
                states.append(self.aimed(own))
        states.sort(key=lambda one: one.value)
        found = [(one.value, one.places) for one in states]
        states = states[:kept]
        for sweep in range(sweeps):
            before = states[0].value
            for at, state in enumerate(states):
                self._aim(state)
                states[at] = self._moved(self._slid(state), places)
            states.sort(key=lambda one: one.value)
            found += [(one.value, one.places) for one in states]
            if len(states) == 1 and sweep > 0 and states[0].value >= before * (1 - 1e-4):
                break
            states = states[: max(1, len(states) // 2)]
        self._aim(states[0])
        last = self._slid(states[0])
        found.append((last.value, last.places))
        found.sort(key=lambda one: one[0])
        return [one for _, one in found]

    def _own(self, block: int) -> Real | None:
        """Return good places of one block by itself, within reach."""
        field, table = self.fields[block], self.tables[block]
        bounds = self.travel.bounds(self.problem, self.travel.longest)
        run = Search(field, self.seed, self.origin, bounds, table, movable=self.grid == 0)
        run.bounded = False
        if self.free:
            value, z = run.construct(1)
            if value == -math.inf:
                return None
        else:
            z = run.scatter()
        if run.movable:
            run.climb(z, 40, ROUGH)
        places = np.ascontiguousarray(z[2:].T)
        if len(places) > 1 and least_distance(places) < self.problem.spacing - FEASIBILITY / 2:
            return None
        if not self.free or self.travel.price_db > 0:
            places = places[match(self.origin, places, self.travel.stuck)[0]]
        away = np.linalg.norm(places - self.origin, axis=1)
        return places if (away <= self.radii + FEASIBILITY).all() else None

    def _judge(
        self, task: Task, state: _State, places: Real = NO_PLACES, out: Real | None = None
    ) -> float:
        """Have the kernel do a task on a state."""
        out = self.slope if out is None else out
        z, errors = state.z, state.errors
        return judge(task, self.stack, places, z, errors, out, CLIMB, self.seeds, self.bench)

    def _price(self, places: Real) -> float:
        """Return the factor on the error that the way to places costs."""
        if self.travel.price_db == 0:
            return 1.0
        way = float(np.linalg.norm(places - self.origin, axis=1).max())
        return float(10 ** min(DEAREST, self.travel.price_db * way / 10))

    def _value(self, state: _State) -> float:
        return self._price(state.places) * float(np.mean(state.errors))

    def aimed(self, places: Real) -> _State:
        """Return what the blocks make of places, each with a beamformer climbed from anywhere."""
        count = len(self.fields)
        state = _State(np.empty((count, 4, len(places))), np.full(count, math.inf), math.inf)
        state.z[:, 2:] = places.T
        self._aim(state)
        return state

    def _aim(self, state: _State) -> None:
        """Try one more random beamformer in every block."""
        self._judge(Task(AIM, 0, math.inf), state)
        state.value = self._value(state)

    def _moved(self, state: _State, count: int) -> _State:
        """Return the state after single antennas have been tried elsewhere."""
        for n in self.random.permutation(len(self.origin)).tolist():
            if n in self.travel.stuck:
                continue
            self._try(state, n, self._promising(state, n, count))
            for step in [s for s in STEPS if s >= self.grid > 0]:
                self._try(state, n, self._beside(state, n, step))
        return state

    def _try(self, state: _State, n: int, places: Real) -> None:
        """Move an antenna to places, one after the other, where that lowers the error."""
        if len(places) == 0:
            return
        factors, changed = np.ones(len(places)), state.places
        for at, place in enumerate(places):
            changed[n] = place
            factors[at] = self._price(changed)
        most = state.value * len(state.errors) * (1 - 1e-9)
        self._judge(Task(MOVE, n, most), state, np.column_stack([places, factors]))
        state.value = self._value(state)

    def _open(self, state: _State, n: int, places: Real) -> Mask:
        """Tell which places are no nearer to the other antennas than the spacing."""
        others = np.delete(state.places, n, axis=0)
        apart = np.linalg.norm(places[:, None] - others[None], axis=2)
        free: Mask = (apart >= self.problem.spacing - FEASIBILITY / 2).all(axis=1)
        return free

    def _promising(self, state: _State, n: int, count: int) -> Real:
        """Return places of the grid of least error with the beamformers as they are."""
        total = np.zeros((1, len(self.points)))
        self._judge(Task(PROMISE, n, math.inf), state, out=total)
        total = total[0]
        if self.travel.price_db > 0:
            ways = np.linalg.norm(state.places - self.origin, axis=1)
            ways[n] = 0.0
            way = np.maximum(np.linalg.norm(self.points - self.origin[n], axis=1), ways.max())
            total *= 10 ** np.minimum(DEAREST, self.travel.price_db * way / 10)
        total[~(self.reached[n] & self._open(state, n, self.points))] = math.inf
        best = np.argsort(total, kind="stable")[:count]
        places: Real = self.points[best[np.isfinite(total[best])]]
        return places

    def _beside(self, state: _State, n: int, step: float) -> Real:
        """Return places of the grid a step away from where an antenna is now."""
        turns = self.random.uniform(0.0, 2 * np.pi) + np.arange(4) * np.pi / 2
        away = state.z[0, 2:, n] + step * np.stack([np.cos(turns), np.sin(turns)], axis=1)
        nearest = np.linalg.norm(self.points - away[:, None], axis=2).argmin(axis=1)
        places: Real = self.points[nearest[self.reached[n][nearest]]]
        free: Real = places[self._open(state, n, places)]
        return free

    def _slid(self, state: _State) -> _State:
        """Return the state after all antennas have gone down the gradient of the error."""
        if self.grid > 0:
            return state
        found = self.looked(state, state.places, math.inf)
        if found is None:
            return state
        again, slope = found
        state = again if again.value <= state.value else state
        curve: Real | None = None  # of the inverse Hessian
        looks = 1
        while looks < SLIDE:
            step = -(slope if curve is None else (curve @ slope.ravel()).reshape(-1, 2))
            far = float(np.linalg.norm(step, axis=1).max())
            if curve is None and far > 0:
                step, far = step * (FIRST / far), FIRST
            step *= min(1.0, FARTHEST / max(far, 1e-300))
            if far < SHORTEST:
                break
            share, better = 1.0, None
            while better is None and looks < SLIDE and share > LEAST:
                places = self._fit(state.places + share * step)
                if places is not None:
                    better = self.looked(state, places, state.value)
                    looks += 1
                share *= SHORTER
            if better is None:
                if curve is None:
                    break
                curve = None
                continue
            new, turned = better
            curve = _curve(curve, (new.places - state.places).ravel(), (turned - slope).ravel())
            small = new.value > state.value * (1 - GAINED)
            state, slope = new, turned
            if small:
                break
        return state

    def looked(self, state: _State, places: Real, most: float) -> tuple[_State, Real] | None:
        """Return the state at places and the gradient of log error there, shape (N, 2).

        None where the error is not below `most`.
        """
        z, price = state.z.copy(), self._price(places)
        z[:, 2:] = places.T
        new = _State(z, np.empty(len(state.errors)), math.inf)
        total = self._judge(Task(SLOPE, 0, most * len(state.errors) / price), new)
        if not total < math.inf:
            return None
        new.value = price * float(np.mean(new.errors))
        slope = self.slope.T / total
        if self.travel.price_db > 0:
            ways = places - self.origin
            sizes = np.linalg.norm(ways, axis=1)
            n = int(sizes.argmax())
            dear = min(DEAREST, self.travel.price_db) * math.log(10) / 10
            slope[n] += dear * ways[n] / max(float(sizes[n]), 1e-300)
        slope[list(self.travel.stuck)] = 0.0
        return new, slope

    def _fit(self, places: Real) -> Real | None:
        """Return places drawn into discs and region and pushed apart; None where that fails."""
        for _ in range(ASIDE):
            away = places - self.origin
            size = np.maximum(np.linalg.norm(away, axis=1), 1e-300)
            places = self.origin + away * np.minimum(1.0, self.radii / size)[:, None]
            places = np.clip(places, 0.0, self.region)
            apart = places[:, None] - places[None]
            distance = np.linalg.norm(apart, axis=2)
            np.fill_diagonal(distance, math.inf)
            near = distance < self.problem.spacing - FEASIBILITY / 2
            if not near.any():
                return places
            push = np.where(near, 0.5 * (self.problem.spacing + 1e-6 - distance), 0.0)
            places = places + (apart * (push / np.maximum(distance, 1e-9))[:, :, None]).sum(axis=1)
        return None


def _curve(curve: Real | None, step: Real, turn: Real) -> Real | None:
    """Return the inverse Hessian after a step that has turned the gradient (BFGS)."""
    both = float((step * turn).sum())
    if not both > 1e-10 * float(np.linalg.norm(step) * np.linalg.norm(turn)):
        return curve
    if curve is None:
        curve = np.eye(len(step)) * (both / float((turn * turn).sum()))
    left = np.eye(len(step)) - np.outer(step, turn) / both
    # no BLAS, whose rounding depends on where arrays lie in memory
    half = np.einsum("ij,jk->ik", left, curve)
    return np.asarray(np.einsum("ij,kj->ik", half, left) + np.outer(step, step) / both)
