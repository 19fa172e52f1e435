"""The search: construct, exchange, climb, then a large-neighbourhood search around the best.

Local optima, not the local method, cost the decibels: starts are cheap and only the promising
ones are climbed; the rest of the time goes into taking a few antennas out of an incumbent and
putting them back where the table says, each trial given up as soon as it cannot win. Several
incumbents stay at first, and fewer and fewer of them as the search goes on.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from airtune.kinds import Real
from airtune.memory import demand
from airtune.placement.kernels.construct import PITCH, Table, tabulate
from airtune.placement.kernels.exchange import FRESH, Grid
from airtune.placement.kernels.field import Field, workspace
from airtune.placement.kernels.neighbourhood import Trials
from airtune.placement.kernels.relocate import prepare
from airtune.placement.kernels.sqp import Limits
from airtune.placement.kernels.tasks import (
    CONSTRUCT,
    EXPLORE,
    KICK,
    NO_VALUES,
    SWEEP,
    Task,
    ascend,
    perform,
)
from airtune.placement.problem import ProblemError

MOST_ENTRIES = 100_000_000
"""Grid points times transmitters of a table of the finest pitch at most"""
QUICK_ENTRIES, COARSER = 10_000_000, 1.1
"""Entries of a table at most, and the steps in which a pitch grows until it has no more"""
ROUGH, FINE = 1e-3, 1e-7
SAME = 1e-4

Local = Callable[[Real, float], float]
"""A local method: improves z in place, may give up below a target, returns log t."""

Pool = list[tuple[float, Real]]
"""Incumbents: log t and z (4, N) of each."""


@dataclass(frozen=True)
class Effort:
    """How much to do.

    Attributes
    ----------
    starts : int
        GRASP constructions.
    sweeps : int
        Exchange sweeps on each.
    climbs : int
        Constructions that are climbed, the best by their value.
    rounds : tuple of (int, int)
        Large-neighbourhood search: incumbents and trials, round after round.
    steps : int
        SQP steps of one climb.
    """

    starts: int
    sweeps: int
    climbs: int
    rounds: tuple[tuple[int, int], ...]
    steps: int


EFFORTS = {
    "fast": Effort(10, 1, 4, ((3, 30), (2, 25), (1, 25)), 20),
    "default": Effort(20, 1, 12, ((6, 170), (3, 170), (2, 170)), 40),
    "exhaustive": Effort(200, 1, 60, ((30, 1500), (15, 1500), (5, 1000)), 60),
}

SMALL = 4
"""Up to this many antennas trials are cheap and the landscape is rugged: more incumbents"""
FEW = {
    "fast": Effort(20, 1, 6, ((4, 54), (2, 20)), 20),
    "default": Effort(60, 1, 30, ((24, 480), (10, 240)), 40),
    "exhaustive": Effort(300, 1, 150, ((80, 3000), (30, 2000), (5, 500)), 60),
}

LEAKY = {
    **EFFORTS,
    "fast": Effort(6, 1, 3, ((3, 54), (1, 56)), 20),
    "default": Effort(20, 1, 12, ((6, 225), (3, 220), (2, 220)), 40),
}
"""With interferers kicks go without a sweep, so trials are cheap against constructions"""
WIDE = 16
"""From this many antennas on constructions are worth their time with interferers too"""

# From last round's positions: a few fresh starts as insurance, then the neighbourhood.
WARM = {
    "fast": Effort(1, 1, 1, ((1, 10),), 20),
    "default": Effort(6, 1, 4, ((3, 80), (1, 40)), 40),
    "exhaustive": Effort(50, 1, 20, ((10, 400), (3, 400)), 60),
}


def effort_for(mode: str, antennas: int, interferers: int) -> Effort:
    """How much a mode does for N antennas and J interferers."""
    if antennas <= SMALL:
        return FEW[mode]
    return (LEAKY if interferers and antennas < WIDE else EFFORTS)[mode]


class Search:
    """Work space and operators of one search; everything random comes from `seed`.

    Parameters
    ----------
    field : Field
    seed : int
    fallback : ndarray, shape (N, 2)
        Feasible positions for when the grid is too coarse to hold N antennas  [wavelengths]
    bounds : ndarray, shape (4, N), optional
        Least and greatest x, least and greatest y of every antenna  [wavelengths]
    table : Table, optional
        Channels at the places where antennas are tried; by default a grid over the region.
    discs : ndarray, shape (3, N), optional
        Centre and radius of the disc of every antenna in which it is tried  [wavelengths]
    movable : bool, optional
        Whether antennas may leave these places in a climb; by default not where a table is given.
    fresh : float
        How near an antenna that was taken out comes back to its place  [wavelengths]
    exact : Field, optional
        What `field` is an approximation of: the last climb is on this one.
    """

    def __init__(
        self,
        field: Field,
        seed: int,
        fallback: Real,
        bounds: Real | None = None,
        table: Table | None = None,
        *,
        discs: Real | None = None,
        movable: bool | None = None,
        fresh: float = FRESH,
        exact: Field | None = None,
    ) -> None:
        self.field, self.exact = field, field if exact is None else exact
        self.fallback = fallback
        self.bounded = bounds is not None
        if bounds is None:
            bounds = np.zeros((4, field.antennas))
            bounds[1], bounds[3] = field.width, field.height
        _check_size(field, table)
        self.work = workspace(field)
        self.movable = table is None if movable is None else movable
        table = region_table(field) if table is None else table
        if discs is None:
            discs = np.full((3, field.antennas), math.inf)
        self.grid = Grid(table, prepare(table, field.interferers), bounds, discs, fresh)
        # after a kick a sweep over all antennas doubles the share of trials that improve; where
        # interferers have to be held down it is dear, and pays for small arrays only
        self.sweeps = int(field.interferers == 0 or field.antennas <= SMALL)
        self.random = random.Random(seed)  # noqa: S311 (no secrets; cheap single draws)
        self.state = np.array([self.random.getrandbits(63)], np.uint64)

    def construct(self, sweeps: int) -> tuple[float, Real]:
        """One GRASP start after exchange: log t and z (4, N)."""
        z = np.empty((4, self.field.antennas))
        value = -math.inf if self.bounded else self._perform(CONSTRUCT, NO_VALUES, z[None], sweeps)
        return (value, self.scatter()) if value == -math.inf else (value, z)

    def scatter(self) -> Real:
        """The fallback positions with a random beamformer, z (4, N)."""
        turn = [2 * math.pi * self.random.random() for _ in range(self.field.antennas)]
        return np.stack([np.cos(turn), np.sin(turn), *self.fallback.T])

    def leave_approximation(self) -> bool:
        """Climb on the exact field from now on; tells whether there was another before."""
        if self.field is self.exact:
            return False
        self.field, self.work = self.exact, workspace(self.exact)
        return True

    def climb(self, z: Real, steps: int, tolerance: float, target: float = -math.inf) -> float:
        """SQP from z in place, of the beamformer alone where places are given; log t."""
        limits = Limits(steps, tolerance, target)
        return ascend(self.field, z, self.grid, limits, self.movable, self.work)

    def sweep(self, z: Real) -> float:
        """Move each antenna to the best place of the grid where that helps, in place; log t."""
        return self._perform(SWEEP, NO_VALUES, z[None], 1)

    def kick(self, z: Real) -> tuple[float, Real]:
        """Take random antennas out of z and put them elsewhere: log t and the new z."""
        z = z.copy()
        return self._perform(KICK, NO_VALUES, z[None], self.sweeps), z

    def explore(self, values: Real, pool: Real, trials: int, steps: int) -> None:
        """`neighbourhood.explore` with SQP as the local method."""
        self._perform(EXPLORE, values, pool, self.sweeps, trials, steps)

    def _perform(
        self, kind: int, values: Real, pool: Real, sweeps: int, kicks: int = 0, steps: int = 0
    ) -> float:
        task, trials = Task(kind, self.movable, -math.inf), Trials(kicks, sweeps, steps, ROUGH)
        return perform(task, self.field, self.grid, values, pool, trials, self.state, self.work)


def region_table(field: Field) -> Table:
    """Return the channels on the grid over the region that starts are on."""
    _check_size(field, None)
    return tabulate(field, _pitch(field))


def _points(field: Field, pitch: float) -> int:
    return (math.ceil(field.width / pitch) + 1) * (math.ceil(field.height / pitch) + 1)


def _pitch(field: Field) -> float:
    """Return the pitch of the grid that starts are on: coarser where a scan would take seconds."""
    pitch, rows = PITCH, field.clients + field.interferers
    while _points(field, pitch) * rows > QUICK_ENTRIES and pitch < max(field.width, field.height):
        pitch *= COARSER
    return pitch


def _check_size(field: Field, table: Table | None) -> None:
    """Refuse a region whose table of channels, or antennas whose models, would not fit.

    Raises
    ------
    ProblemError
    """
    rows, paths = field.clients + field.interferers, field.ux.shape[0]
    points = _points(field, PITCH)
    if table is None and points * rows > MOST_ENTRIES:
        raise ProblemError(
            f"region {field.width:g} x {field.height:g} wavelengths: makes {points:.3g} grid "
            f"points for each of {rows} transmitters, together at most {MOST_ENTRIES:g} fit"
        )
    n = 4 * field.antennas
    limits = field.clients + 6 * field.antennas + 8
    numbers = 2 * n * n + 2 * limits**2 + n * limits + 2 * paths * field.antennas * rows
    demand(f"{field.antennas} antennas for {rows} transmitters", 8.0 * numbers)


def begin(
    run: Search, effort: Effort, given: Sequence[Real] = (), local: Local | None = None
) -> Pool:
    """Return the first incumbents: what was given and the best constructions, climbed.

    Parameters
    ----------
    run : Search
    effort : Effort
    given : sequence of ndarray, shape (4, N)
        Re a, Im a, x, y to start from besides the constructions; overwritten.
    local : callable, optional
        Local method in place of SQP.
    """

    def improve(z: Real, target: float) -> float:
        if local is not None:
            return local(z, target)
        return run.climb(z, effort.steps, ROUGH, target)

    # an exchange would take a single antenna from every start to the same point of the grid
    sweeps = effort.sweeps if run.field.antennas > 1 else 0
    starts = [run.construct(sweeps) for _ in range(effort.starts)]
    starts.sort(key=lambda one: -one[0])
    pool: Pool = [(improve(z, -math.inf), z) for z in given]
    size = effort.rounds[0][0]
    for _, z in starts[: effort.climbs]:
        bar = pool[-1][0] if len(pool) == size else -math.inf
        value = improve(z, bar)
        if value > bar and all(abs(value - other) > SAME for other, _ in pool):
            pool = sorted([*pool, (value, z)], key=lambda one: -one[0])[:size]
    return pool


def widen(
    run: Search, pool: Pool, size: int, most: int, steps: int, local: Local | None = None
) -> Pool:
    """Return incumbents after a large-neighbourhood search around the best of a pool.

    Parameters
    ----------
    run : Search
    pool : list of (float, ndarray)
    size, most : int
        Incumbents that stay, and trials (fewer for many antennas, or with sweeps).
    steps : int
        SQP steps of one climb.
    local : callable, optional
        Local method in place of SQP.
    """
    # a sweep makes a trial dearer and better; beyond 16 antennas its cost grows with N^3, and fewer
    # trials keep the whole at N^2
    share = (0.6 if run.sweeps else 1.0) * min(1.0, 16 / run.field.antennas)
    trials = max(1, round(share * most))
    pool = sorted(pool, key=lambda one: -one[0])[:size]
    values, places = np.array([one[0] for one in pool]), np.stack([one[1] for one in pool])
    if local is None:
        run.explore(values, places, trials, steps)
    else:
        _explore(run, local, values, places, trials)
    return list(zip(values, places, strict=True))


def finish(run: Search, pool: Pool, given: Sequence[Real] = ()) -> tuple[float, Real]:
    """Return the best of a pool, climbed to the end: log t and z (4, N).

    After a search on an approximation, what was given to it is climbed as well, so that the answer
    is no worse than that.
    """
    _, z = max(pool, key=lambda one: one[0])
    approximate = run.leave_approximation()
    value = run.climb(z, 60, FINE)
    for other in given if approximate else ():
        again = other.copy()
        if (new := run.climb(again, 60, FINE)) > value:
            value, z = new, again
    return value, z


def search(
    run: Search, effort: Effort, start: Real | None = None, local: Local | None = None
) -> tuple[float, Real]:
    """Best placement found with the given effort.

    Parameters
    ----------
    run : Search
    effort : Effort
    start : ndarray, shape (4, N), optional
        Re a, Im a, x, y to start from besides the constructions.
    local : callable, optional
        Local method in place of SQP; SQP finishes in any case.

    Returns
    -------
    value : float
        log t in the solver's scale.
    z : ndarray, shape (4, N)
    """
    given = () if start is None else (start,)
    pool = begin(run, effort, [one.copy() for one in given], local)
    for size, most in effort.rounds:
        pool = widen(run, pool, size, most, effort.steps, local)
    return finish(run, pool, given)


def _explore(run: Search, local: Local, values: Real, pool: Real, trials: int) -> None:
    """`neighbourhood.explore` with another local method."""
    for trial in range(trials):
        at = trial % len(values)
        begun, z = run.kick(pool[at])
        value = local(z, values[at]) if begun > -math.inf else begun
        if value > values[at]:
            values[at], pool[at] = value, z
