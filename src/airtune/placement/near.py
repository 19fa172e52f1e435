"""Placement near the present places: within a longest travel, or where travel has a price.

With a price the longest travel itself is searched for.  Rungs of a ladder of longest travels share
the trials of one search: each gets some, the best two more, the best one the rest.  Then the travel
of the answer is changed in small steps, each followed by a climb.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from airtune.kinds import Complex, Real
from airtune.placement.aim import aim, local_method
from airtune.placement.kernels.construct import PITCH, Table
from airtune.placement.kernels.exchange import FRESH
from airtune.placement.kernels.field import pack
from airtune.placement.places import table_of
from airtune.placement.problem import FEASIBILITY, Problem, evaluate, least_distance
from airtune.placement.search import (
    FINE,
    ROUGH,
    SAME,
    Effort,
    Local,
    Pool,
    Search,
    begin,
    effort_for,
    finish,
    widen,
)
from airtune.placement.travel import TravelLimit, farthest, match
from airtune.placement.waves import fewer

LADDER = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, math.inf)
"""Longest travels that are tried where travel has a price  [wavelengths]"""
TOTAL, TRIED, MORE, LEAST = 0.7, 0.07, 0.15, 0.2
"""Trials as shares of those of a search: of all, of each limit, of the two best, of the best."""
FIRST = 3
"""The limit of the ladder that is tried after the widest."""
BEHIND_DB = 1.0
"""How far the second best of the limits may be behind to get more."""
MARGIN_DB = 0.5
"""By how much the widest rung's search may have missed its best, when others are judged by it."""
NARROW, SPARED = 0.8, 0.25
"""Within a limit below the first [wavelengths] there are few places: trials are fewer in proportion
to the limit, but no less than this share."""
ACROSS = 5
"""Places along each side of an antenna's square where the grid of the region is too coarse."""
STEPS = (0.2, 0.1, 0.05)
"""Relative changes of the longest travel that are tried at the end."""


@dataclass
class _Rung:
    """One longest travel: its search, the best that it found and what that is worth.

    It is not searchable where an antenna that is taken out could not come back.
    """

    limit: float
    run: Search
    local: Local | None
    pool: Pool
    searchable: bool
    worth: float = -math.inf

    @property
    def top(self) -> tuple[float, Real]:
        return max(self.pool, key=lambda one: one[0])


def within_travel(
    problem: Problem,
    mode: str,
    method: str,
    seed: int,
    travel: TravelLimit,
    places: Real | None = None,
) -> tuple[Real, Complex]:
    """Return positions (N, 2), antenna by antenna as they were, and a = conj(w) (N,).

    Parameters
    ----------
    problem : Problem
    mode, method, seed
        As for `solver.solve`.
    travel : TravelLimit
        Checked.
    places : ndarray, shape (G, 2), optional
        The only places that antennas can take  [wavelengths]
    """
    near = _Near(problem, mode, method, seed, travel, places)
    z = near.at_a_price() if travel.price_db > 0 else near.within(travel.longest)
    return np.ascontiguousarray(z[2:].T), z[0] + 1j * z[1]


def _settled(run: Search, steps: int, z: Real, target: float) -> float:
    """Climb with the beamformer; what then is better than the target may exchange its places."""
    value = run.climb(z, steps, ROUGH, target)
    while value > target:
        other = z.copy()
        run.sweep(other)
        new = run.climb(other, steps, ROUGH)
        if not new > value + SAME:
            break
        value, z[:] = new, other
    return value


class _Near:
    """The searches around the present places."""

    def __init__(
        self,
        problem: Problem,
        mode: str,
        method: str,
        seed: int,
        travel: TravelLimit,
        places: Real | None,
    ) -> None:
        self.problem, self.method, self.seed = problem, method, seed
        self.travel, self.places = travel, places
        self.origin = np.asarray(travel.origin, dtype=np.float64)
        self.exact, self.scale = pack(problem)
        self.field = fewer(self.exact)
        self.effort = effort_for(mode, self.field.antennas, self.field.interferers)
        # no two places are closer than the first two of a grid
        self.least = 0.0 if places is None else float(np.abs(places[1:2] - places[:1]).sum())
        self.staying = aim(problem, self.origin)

    def within(self, limit: float) -> Real:
        """Return the best z (4, N) that a whole search finds within a limit."""
        if limit == 0.0:
            return self.staying
        rung = self._rung(limit, self._bounded(self.effort, limit), (self.staying.copy(),))
        if rung.searchable:
            for size, trials in self.effort.rounds:
                rung.pool = self._widened(rung, size, trials)
        value, z = finish(rung.run, rung.pool, (self.staying,))
        return self._refined(rung.run, value, self._matched(z))

    def at_a_price(self) -> Real:
        """Return the best z (4, N) for the gain less the price of the way."""
        trials = sum(most for _, most in self.effort.rounds)
        few = replace(
            self.effort,
            starts=max(1, self.effort.starts // 4),
            climbs=max(1, self.effort.climbs // 4),
        )
        gain = evaluate(self.problem, self.origin, self.staying[0] - 1j * self.staying[1])
        first = math.log(gain / self.scale)
        best = self._worth(first, self.staying)
        rungs = self._rungs(few, trials, best)
        # a way is worth much near the present places or where the gain is greatest, seldom between
        short = max(rungs[1:], key=lambda rung: rung.worth, default=rungs[0])
        top = max(short.worth, rungs[0].worth)
        left = TOTAL - TRIED * sum(rung.searchable for rung in rungs)
        for rung in {id(rung): rung for rung in (rungs[0], short)}.values():
            if rung.worth > top - BEHIND_DB:
                self._search(rung, 3, MORE * trials)
                left -= MORE * rung.searchable
        rung = max(rungs, key=lambda rung: rung.worth)
        self._search(rung, 2, max(left, LEAST) * trials)
        value, z = finish(rung.run, rung.pool)
        z = self._matched(z)
        if self._worth(value, z) <= best:
            value, z = first, self.staying
        return self._refined(rung.run, value, z)

    def _rungs(self, few: Effort, trials: int, staying: float) -> list[_Rung]:
        """Return the searches within some of the limits: the best of them has had its neighbours.

        Not tried is a limit so wide that whatever it adds to a narrower one cannot pay for the way.
        """
        limits = [*self._ladder(), self.travel.longest]
        tried: dict[int, _Rung] = {}

        def attempt(at: int) -> None:
            given = [tried[i].top[1].copy() for i in sorted(tried) if i < at][-1:]
            tried[at] = self._rung(limits[at], few, (self.staying.copy(), *given))
            self._search(tried[at], 3, TRIED * trials)

        last = len(limits) - 1
        attempt(last)
        most, best = self._worth_of(tried[last].top[0], 0.0) + MARGIN_DB, staying

        def may_pay(at: int) -> bool:
            return at == 0 or most - self.travel.price_db * limits[at - 1] > best

        first = next((at for at in range(min(last - 1, FIRST), -1, -1) if may_pay(at)), 0)
        for at in sorted({0, first} - {last}):
            attempt(at)
        while True:
            top = max(tried, key=lambda at: tried[at].worth)
            best = max(staying, tried[top].worth)
            around = [at for at in (top - 1, top + 1) if 0 <= at < last and at not in tried]
            if not (around := [at for at in around if may_pay(at)]):
                return [tried[at] for at in sorted(tried, reverse=True)]
            attempt(around[0])

    def _ladder(self) -> list[float]:
        """Return limits below the longest: on a grid of few distances these, else some."""
        longest = self.travel.longest
        if self.places is not None and longest <= (len(LADDER) + 1) * self.least:
            steps = np.arange(math.ceil(longest / self.least) + 1) * self.least
            ways = np.unique(np.hypot(steps, steps[:, None]).round(9))
            ways = ways[(ways > 0) & (ways < longest - FEASIBILITY)]
            if len(ways) <= len(LADDER):
                return [float(way) for way in ways]
        return [limit for limit in LADDER if limit < longest]

    def _bounded(self, effort: Effort, limit: float) -> Effort:
        """Constructions know no limits, so within one they are the present places, aimed anew."""
        if limit == math.inf and not self.travel.stuck:
            return effort
        return replace(effort, starts=4, climbs=min(4, effort.climbs))

    def _rung(self, limit: float, effort: Effort, given: tuple[Real, ...]) -> _Rung:
        """Return the search within a limit with its first incumbents."""
        effort = self._bounded(effort, limit)
        if limit == math.inf and not self.travel.stuck:
            table = None if self.places is None else table_of(self.field, self.places)
            run = Search(self.field, self.seed, self.origin, table=table, exact=self.exact)
        else:
            bounds, discs = self.travel.bounds(self.problem, limit), self.travel.discs(limit)
            if self.places is not None:
                bounds = self.travel.bounds(self.problem, math.inf)
            run = Search(
                self.field,
                self.seed,
                self.origin,
                bounds,
                self._table(bounds, discs, limit),
                discs=discs if self.places is not None else None,
                movable=self.places is None,
                fresh=min(FRESH, 0.5 * limit),
                exact=self.exact,
            )
        local, effort = local_method(run, self.method, effort)
        if self.places is not None:
            local = partial(_settled, run, self.effort.steps)
        searchable = limit >= self.least if self.places is not None else 2 * limit > FRESH
        return _Rung(limit, run, local, begin(run, effort, given, local), searchable)

    def _table(self, bounds: Real, discs: Real, limit: float) -> Table | None:
        """Return the channels at what the antennas can reach; None for the region's own grid."""
        if self.places is not None:
            distance = np.linalg.norm(self.places[:, None] - discs[:2].T[None], axis=2)
            return table_of(self.field, self.places[(distance <= discs[2] + 1e-6).any(axis=1)])
        if limit >= ACROSS * PITCH / math.sqrt(2):
            return None
        part = np.linspace(0.0, 1.0, ACROSS)
        x = bounds[0] + part[:, None] * (bounds[1] - bounds[0])
        y = bounds[2] + part[:, None] * (bounds[3] - bounds[2])
        both = np.broadcast_arrays(x[:, None], y[None])
        return table_of(self.field, np.stack([axis.ravel() for axis in both], axis=1))

    def _search(self, rung: _Rung, size: int, trials: float) -> None:
        """Search around the incumbents of a rung and say what its best is worth."""
        if rung.searchable:
            if rung.limit < NARROW:
                trials *= max(SPARED, rung.limit / NARROW)
            rung.pool = self._widened(rung, size, max(1, round(trials)))
        value, z = rung.top
        rung.worth = self._worth(value, z)

    def _widened(self, rung: _Rung, size: int, trials: int) -> Pool:
        if rung.local is not None and rung.run.movable:
            # another method than SQP is some ten times slower
            size, trials = min(size, 2), 1 + trials // 20
        return widen(rung.run, rung.pool, size, trials, self.effort.steps, rung.local)

    def _matched(self, z: Real) -> Real:
        """Return z with its antennas in the order of those that go there."""
        order, _ = match(self.origin, z[2:].T, self.travel.stuck)
        return np.ascontiguousarray(z[:, order])

    def _worth(self, value: float, z: Real) -> float:
        return self._worth_of(value, farthest(self.origin, z[2:].T, self.travel.stuck))

    def _worth_of(self, value: float, way: float) -> float:
        """Gain less the price of the way  [dB]"""
        return 10 / math.log(10) * value - self.travel.price_db * way

    def _refined(self, run: Search, value: float, z: Real) -> Real:
        """Return z, its antennas in their order, after small changes of the longest travel.

        The square inside an antenna's disc becomes the rectangle towards where the antenna is, so
        that it can go on that way as far as the limit.
        """
        way = self._longest(z)
        if self.places is not None or not 0 < way < math.inf:
            return z
        best = self._worth(value, z)
        priced = self.travel.price_db > 0
        # without a price twice towards the limit, from where the climb before has ended
        for step in STEPS if priced else (0.0, 0.0):
            before = best
            for factor in (1 - step, 1 + step) if priced else (1.0,):
                reach = min(factor * way, self.travel.longest) if priced else self.travel.longest
                if reach == math.inf:
                    continue
                tried = self._climbed(run, z, reach)
                if tried is None:
                    continue
                worth = self._worth(*tried)
                if worth > best + 1e-6:
                    best, (value, z) = worth, tried
                    z = self._matched(z)
            if best > before:
                way = self._longest(z)
            elif not priced:
                break
        return z

    def _climbed(self, run: Search, z: Real, reach: float) -> tuple[float, Real] | None:
        """Climb within a reach from z drawn back to it; None where that breaks the spacing."""
        z = z.copy()
        step = z[2:] - self.origin.T
        size = np.maximum(np.hypot(*step), 1e-300)
        z[2:] = self.origin.T + step * np.minimum(1.0, reach / size)
        run.grid = run.grid._replace(bounds=self.travel.bounds(self.problem, reach, z[2:].T))
        bounds = run.grid.bounds
        z[2:] = np.clip(z[2:], bounds[[0, 2]], bounds[[1, 3]])
        if z.shape[1] > 1 and least_distance(z[2:].T) < self.problem.spacing - FEASIBILITY:
            return None
        return run.climb(z, 60, FINE), z

    def _longest(self, z: Real) -> float:
        return float(np.hypot(*(z[2:] - self.origin.T)).max())
