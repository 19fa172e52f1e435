"""The search: construct, exchange, climb, then a large-neighbourhood search around the best.

Local optima, not the local method, cost the decibels: starts are cheap and only the promising
ones are climbed; the rest of the time goes into taking a few antennas out of the incumbent and
putting them back where the table says, each trial given up as soon as it cannot win.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np

from airtune.placement.construct import PITCH, grasp, tabulate
from airtune.placement.exchange import exchange
from airtune.placement.field import Field, channel, workspace
from airtune.placement.problem import Real
from airtune.placement.relocate import prepare
from airtune.placement.sqp import ascend

NOBODY = np.empty(0, np.int64)


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
    kicks : int
        Trials of the large-neighbourhood search.
    pool : int
        Local optima the search goes on from, in turn.
    steps : int
        SQP steps of one climb.
    """

    starts: int
    sweeps: int
    climbs: int
    kicks: int
    pool: int
    steps: int


class Search:
    """Work space and operators of one search; everything random comes from `seed`."""

    def __init__(self, field: Field, seed: int, fallback: Real) -> None:
        self.field = field
        self.fallback = fallback
        self.g, self.rays, self.u = workspace(field)
        self.table = tabulate(field, PITCH)
        self.scan = prepare(self.table)
        self.random = random.Random(seed)  # noqa: S311 - no secret, and quick for single draws
        self.state = np.array([self.random.getrandbits(63)], np.uint64)

    def construct(self, sweeps: int) -> tuple[float, Real]:
        """One GRASP start after exchange: log t and z (4, N)."""
        z = np.empty((4, self.field.antennas))
        if not grasp(self.field, self.table, self.scan, 0.1, self.state, self.g, z):
            z[0], z[1] = 1.0, 0.0
            z[2], z[3] = self.fallback.T
            return -math.inf, z
        value = exchange(self.field, self.table, self.scan, NOBODY, sweeps, self.g, self.u, z)
        return value, z

    def climb(self, z: Real, steps: int, tolerance: float, target: float = -math.inf) -> float:
        """SQP from z in place; log t."""
        value: float = ascend(
            self.field, z, steps, True, tolerance, target, self.g, self.rays, self.u
        )
        return value

    def kick(self, z: Real, removed: int, sweeps: int = 0) -> tuple[float, Real]:
        """Take random antennas out of z and put them elsewhere: log t and the new z."""
        out = np.array(self.random.sample(range(self.field.antennas), removed), np.int64)
        z = z.copy()
        channel(self.field, z[2], z[3], self.g, self.rays)
        value = exchange(self.field, self.table, self.scan, out, sweeps, self.g, self.u, z)
        return value, z


def search(field: Field, seed: int, effort: Effort, fallback: Real) -> tuple[float, Real]:
    """Best placement found with the given effort.

    Parameters
    ----------
    field : Field
    seed : int
    effort : Effort
    fallback : ndarray, shape (N, 2)
        Feasible positions for when the grid is too coarse to hold N antennas  [wavelengths]

    Returns
    -------
    value : float
        log t in the solver's scale.
    z : ndarray, shape (4, N)
        Re a, Im a, x, y.
    """
    run = Search(field, seed, fallback)
    starts = [run.construct(effort.sweeps) for _ in range(effort.starts)]
    starts.sort(key=lambda start: -start[0])
    pool: list[tuple[float, Real]] = []
    for _, z in starts[: effort.climbs]:
        bar = pool[-1][0] if len(pool) == effort.pool else -math.inf
        value = run.climb(z, effort.steps, 1e-3, bar)
        if value > bar and all(abs(value - other) > 1e-4 for other, _ in pool):
            pool = sorted([*pool, (value, z)], key=lambda one: -one[0])[: effort.pool]
    for trial in range(effort.kicks):
        at = trial % len(pool)
        bar, z = pool[at]
        start, z = run.kick(z, 1 + run.random.randrange(min(field.antennas, 3)))
        if start == -math.inf:
            continue
        value = run.climb(z, effort.steps, 1e-3, bar)
        if value > bar:
            pool[at] = (value, z)
    _, z = max(pool, key=lambda one: one[0])
    return run.climb(z, 60, 1e-7), z
