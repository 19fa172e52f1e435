"""Large-neighbourhood search: a few antennas leave an incumbent, come back elsewhere, all climb."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from airtune.compiled import inner
from airtune.kinds import Real
from airtune.placement.kernels.arrays import blank, blank_integers
from airtune.placement.kernels.exchange import Grid, copy, exchange
from airtune.placement.kernels.field import Field, Workspace, channel
from airtune.placement.kernels.relocate import Random, uniform
from airtune.placement.kernels.sqp import Limits, climb
from airtune.placement.kernels.subproblem import subproblem

REMOVED = (1, 1, 2, 2, 3)
CLOSED = (0.0, 0.0, 0.5)


class Trials(NamedTuple):
    """What `explore` does with its incumbents.

    kicks : int
        How many in total.
    sweeps : int
        Sweeps over all antennas after a kick.
    steps, tolerance
        Limits of a climb.
    """

    kicks: int
    sweeps: int
    steps: int
    tolerance: float


@inner
def kick(field: Field, grid: Grid, sweeps: int, state: Random, work: Workspace, z: Real) -> float:
    """Take random antennas out of z (4, N) and put them elsewhere; log t, -inf if that failed."""
    N = field.antennas
    channel(field, z[2], z[3], work)
    count = min(max(1, N // 2), REMOVED[int(uniform(state) * len(REMOVED))])
    order = blank_integers(N)
    for i in range(N):
        order[i] = i
    for i in range(count):
        j = i + int(uniform(state) * (N - i))
        order[i], order[j] = order[j], order[i]
    closed = CLOSED[int(uniform(state) * len(CLOSED))]
    return exchange(field, grid, order[:count], closed, sweeps, state, work, z)


@inner
def explore(
    field: Field,
    grid: Grid,
    values: Real,
    pool: Real,
    trials: Trials,
    state: Random,
    work: Workspace,
) -> None:
    """Kick the incumbents in turn, climb, keep what is better; in place.

    Parameters
    ----------
    field : Field
    grid : Grid
    values : ndarray, shape (S,)
        log t of the incumbents.
    pool : ndarray, shape (S, 4, N)
        Incumbents.
    trials : Trials
    state : ndarray, uint64, shape (1,)
        Random generator.
    work : Workspace
    """
    z = blank(4, field.antennas)
    model, rows = subproblem(field, 4 * field.antennas)
    for trial in range(trials.kicks):
        at = trial % len(values)
        copy(pool[at], z)
        if kick(field, grid, trials.sweeps, state, work, z) == -np.inf:
            continue
        limits = Limits(trials.steps, trials.tolerance, values[at])
        value = climb(field, z, grid.bounds, limits, model, rows, work)
        if value > values[at]:
            values[at] = value
            copy(z, pool[at])
