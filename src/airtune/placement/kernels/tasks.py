"""The one door from Python to the kernels of the search.

An entry is compiled with a copy of every kernel that it contains. Constructions, climbs and the
search of a neighbourhood contain nearly the same ones: as tasks of one entry these are compiled
once, which halves the time of the first placement on a machine.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from airtune.compiled import entry
from airtune.kinds import Real
from airtune.placement.kernels.arrays import blank_integers
from airtune.placement.kernels.construct import Table, grasp
from airtune.placement.kernels.exchange import FRESH, Grid, exchange
from airtune.placement.kernels.field import Field, Workspace, channel
from airtune.placement.kernels.neighbourhood import Trials, explore, kick
from airtune.placement.kernels.relocate import Random, prepare
from airtune.placement.kernels.sqp import Limits, climb
from airtune.placement.kernels.subproblem import subproblem

CONSTRUCT, SWEEP, CLIMB, KICK, EXPLORE = range(5)
SAMPLE = 0.1
"""Share of the grid that a construction tries for each antenna"""
NO_VALUES = np.empty(0)
NO_STATE = np.zeros(1, np.uint64)


class Task(NamedTuple):
    """What `perform` is to do.

    kind : int
        CONSTRUCT: one greedy start and an exchange; SWEEP: an exchange; CLIMB: SQP of each
        incumbent; KICK: `neighbourhood.kick`; EXPLORE: `neighbourhood.explore`.
    movable : bool
        Whether the antennas move in a climb, or the beamformer alone changes.
    target : float
        Limit of a climb  [nat]
    """

    kind: int
    movable: bool
    target: float


@entry
def perform(
    task: Task,
    field: Field,
    grid: Grid,
    values: Real,
    pool: Real,
    trials: Trials,
    state: Random,
    work: Workspace,
) -> float:
    """Do one task, in place.

    Parameters
    ----------
    task : Task
    field : Field
    grid : Grid
    values : ndarray, shape (S,)
        log t of the incumbents, for EXPLORE and, after it, of CLIMB.
    pool : ndarray, shape (S, 4, N)
        Incumbents; all other tasks work on the first.
    trials : Trials
        Of it only what a task needs: an exchange the sweeps, a climb its limits.
    state : ndarray, uint64, shape (1,)
        Random generator.
    work : Workspace

    Returns
    -------
    float
        log t of the first incumbent after the task; -inf if a construction or a kick found no
        place for an antenna, and after CLIMB and EXPLORE.
    """
    z = pool[0]
    if task.kind == CONSTRUCT or task.kind == SWEEP:
        if task.kind == SWEEP:
            channel(field, z[2], z[3], work)
        elif not grasp(field, grid.table, grid.scan, SAMPLE, state, work.g, z):
            return -np.inf
        nobody = blank_integers(0)
        return exchange(field, grid, nobody, 0.0, trials.sweeps, state, work, z)
    if task.kind == CLIMB:
        model, rows = subproblem(field, (4 if task.movable else 2) * field.antennas)
        limits = Limits(trials.steps, trials.tolerance, task.target)
        for at in range(len(pool)):
            values[at] = climb(field, pool[at], grid.bounds, limits, model, rows, work)
    elif task.kind == KICK:
        return kick(field, grid, trials.sweeps, state, work, z)
    else:
        explore(field, grid, values, pool, trials, state, work)
    return -np.inf


def ascend(
    field: Field, z: Real, grid: Grid, limits: Limits, movable: bool, work: Workspace
) -> float:
    """Climb from z (4, N) in place, the positions too if `movable`; returns log t."""
    return float(ascend_all(field, z[None], grid, limits, movable, work)[0])


def ascend_all(
    field: Field, pool: Real, grid: Grid, limits: Limits, movable: bool, work: Workspace
) -> Real:
    """Climb from each z of a pool (S, 4, N) in place, as `ascend`; returns log t, (S,)."""
    values = np.empty(len(pool))
    task, trials = Task(CLIMB, movable, limits.target), Trials(0, 0, limits.steps, limits.tolerance)
    perform(task, field, grid, values, pool, trials, NO_STATE, work)
    return values


def no_grid(field: Field) -> Grid:
    """A grid without places, for climbs of the beamformer alone."""
    empty = np.empty((field.clients + field.interferers, 0))
    table = Table(np.empty(0), np.empty(0), empty, empty)
    bounds, discs = np.empty((4, field.antennas)), np.empty((3, field.antennas))
    return Grid(table, prepare(table, field.interferers), bounds, discs, FRESH)
