"""Places judged for many blocks at once, each with its own beamformer."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from airtune.compiled import entry, inner
from airtune.kinds import Integer, Real
from airtune.placement.kernels.arrays import blank
from airtune.placement.kernels.exchange import copy
from airtune.placement.kernels.field import Field, Workspace, channel, sincos
from airtune.placement.kernels.lagrangian import derivatives
from airtune.placement.kernels.nulling import answer_leak, response, see_sums
from airtune.placement.kernels.relocate import Random, Scan, Single, score, sums_without, uniform
from airtune.placement.kernels.sqp import Limits, climb
from airtune.placement.kernels.subproblem import Model, Rows, subproblem

AIM, MOVE, SLOPE, PROMISE = range(4)


class Stack(NamedTuple):
    """Blocks of one shape, each as in `Field`, with their channels on a grid as in `Scan`.

    ux, uy, ar, ai : ndarray, shape (S, L, R M)
    tr, ti : ndarray, float32, shape (S, M, P)
    px, py : ndarray, float32, shape (G,)  [wavelengths]
    scales : ndarray, shape (S,)
        Gain of a block's problem over that of the solver's scale.
    clients, interferers, antennas, group : int
    width, height, spacing : float  [wavelengths]
    """

    ux: Real
    uy: Real
    ar: Real
    ai: Real
    tr: Single
    ti: Single
    px: Single
    py: Single
    scales: Real
    clients: int
    interferers: int
    antennas: int
    group: int
    width: float
    height: float
    spacing: float


class Bench(NamedTuple):
    """Work space of `judge`.

    work : Workspace
    top, leak, obstacles
        As in `Scan`.
    """

    work: Workspace
    top: Single
    leak: Single
    obstacles: NDArray[np.int32]


class Task(NamedTuple):
    """What `judge` is to do.

    kind : int
        AIM: a random beamformer is tried in every block; MOVE: antenna `antenna` is tried at
        places; SLOPE: errors where the antennas are now, with their gradient; PROMISE: the grid
        for antenna `antenna`.
    antenna : int
    most : float
        Sum of errors, times its price, that must not be reached.
    """

    kind: int
    antenna: int
    most: float


@inner
def _block(stack: Stack, s: int) -> Field:
    return Field(
        stack.ux[s],
        stack.uy[s],
        stack.ar[s],
        stack.ai[s],
        stack.clients,
        stack.interferers,
        stack.antennas,
        stack.group,
        stack.width,
        stack.height,
        stack.spacing,
    )


@inner
def _climbed(
    stack: Stack, s: int, z: Real, limits: Limits, model: Model, rows: Rows, work: Workspace
) -> float:
    """Climb with a block's beamformer alone, in place, from one that lets no interferer in."""
    field = _block(stack, s)
    if field.interferers:
        channel(field, z[2], z[3], work)
        answer_leak(field, work.g, z)
    value = climb(field, z, z, limits, model, rows, work)
    return math.exp(-value) / float(stack.scales[s])


@inner
def _aim(
    stack: Stack,
    z: Real,
    errors: Real,
    limits: Limits,
    state: Random,
    model: Model,
    rows: Rows,
    work: Workspace,
) -> float:
    """Try a random beamformer in every block; returns the sum of errors."""
    trial = blank(4, stack.antennas)
    total = 0.0
    for s in range(len(errors)):
        copy(z[s], trial)
        for i in range(stack.antennas):
            trial[1, i], trial[0, i] = sincos(uniform(state))
        error = _climbed(stack, s, trial, limits, model, rows, work)
        if error < errors[s]:
            errors[s] = error
            copy(trial, z[s])
        total += errors[s]
    return total


@inner
def _sort(errors: Real, order: Integer) -> None:
    """Blocks by falling errors."""
    for s in range(len(errors)):
        at = s
        while at > 0 and errors[order[at - 1]] < errors[s]:
            order[at] = order[at - 1]
            at -= 1
        order[at] = s


@inner
def _move(
    stack: Stack,
    task: Task,
    places: Real,
    z: Real,
    errors: Real,
    limits: Limits,
    model: Model,
    rows: Rows,
    work: Workspace,
) -> float:
    """Try an antenna at places, one after the other; what lowers the mean error is kept."""
    S, n = len(errors), task.antenna
    order, trial, new = np.empty(S, np.int64), np.empty((S, 4, stack.antennas)), np.empty(S)
    most = task.most
    _sort(errors, order)
    for c in range(len(places)):
        price, total, before = places[c, 2], 0.0, 0.0
        kept = True
        for seen in range(S):
            s = order[seen]
            copy(z[s], trial[s])
            trial[s, 2, n], trial[s, 3, n] = places[c, 0], places[c, 1]
            new[s] = _climbed(stack, s, trial[s], limits, model, rows, work)
            total += new[s]
            before += errors[s]
            if not price * total < most or total > before:
                kept = False
                break
        if kept:
            most = price * total * (1 - 1e-9)
            for s in range(S):
                errors[s] = new[s]
                copy(trial[s], z[s])
            _sort(errors, order)
    return most


@inner
def _slope(
    stack: Stack,
    most: float,
    z: Real,
    errors: Real,
    slope: Real,
    limits: Limits,
    model: Model,
    rows: Rows,
    work: Workspace,
) -> float:
    """Climb in all blocks; the gradient of the sum of errors by the places (2, N).

    By the envelope theorem the beamformers' own changes do not count, and a block's weakest
    clients count with their multipliers.  Returns the sum; infinity once it is not below `most`.
    """
    N = stack.antennas
    whole, _ = subproblem(_block(stack, 0), 4 * N)
    slope[:] = 0.0
    total = 0.0
    for s in range(len(errors)):
        field = _block(stack, s)
        errors[s] = _climbed(stack, s, z[s], limits, model, rows, work)
        total += errors[s]
        if not total < most:
            return math.inf
        power = 0.0
        for i in range(N):
            power += z[s, 0, i] * z[s, 0, i] + z[s, 1, i] * z[s, 1, i]
        for m in range(field.clients, field.clients + field.interferers):
            power += work.u[0, m] * work.u[0, m] + work.u[1, m] * work.u[1, m]
        derivatives(field, z[s], work, power, whole)
        for k in range(field.clients):
            share = errors[s] * model.lam[k]
            if share > 0:
                for i in range(N):
                    slope[0, i] -= share * whole.J[k, 2 * N + i]
                    slope[1, i] -= share * whole.J[k, 3 * N + i]
    return total


@inner
def _promise(stack: Stack, n: int, z: Real, bench: Bench, total: Real) -> None:
    """Add the blocks' errors with antenna n at each grid point, at its best of eight phases.

    The other antennas hold down what it lets in (`relocate.score`); the beamformers stay otherwise.
    """
    work, M, N = bench.work, stack.clients + stack.interferers, stack.antennas
    g, G = work.g, len(total)
    v = blank(2, M)
    for s in range(z.shape[0]):
        field, a = _block(stack, s), z[s]
        scan = Scan(
            stack.tr[s], stack.ti[s], stack.px, stack.py, bench.top, bench.leak, bench.obstacles
        )
        channel(field, a[2], a[3], work)
        for m in range(M):
            g[0, n * M + m] = g[1, n * M + m] = 0.0
        sums_without(field, g, a, n, v)
        E, W = response(field, g)
        see_sums(field, E, W, v)
        power = 0.0
        for i in range(N):
            power += a[0, i] * a[0, i] + a[1, i] * a[1, i]
        size = math.sqrt(max(a[0, n] * a[0, n] + a[1, n] * a[1, n], 0.25 * power / N))
        rest = power - a[0, n] * a[0, n] - a[1, n] * a[1, n] + size * size
        score(field, scan, 0, G, E, W, v, size, rest)
        for q in range(G):
            total[q] += 1.0 / (stack.scales[s] * max(float(scan.top[q]), 1e-30))


@entry
def judge(
    task: Task,
    stack: Stack,
    places: Real,
    z: Real,
    errors: Real,
    out: Real,
    limits: Limits,
    state: Random,
    bench: Bench,
) -> float:
    """Do one task, in place.

    Parameters
    ----------
    task : Task
    stack : Stack
    places : ndarray, shape (C, 3)
        For MOVE: x, y [wavelengths] and the factor on the error that the way there costs.
    z : ndarray, shape (S, 4, N)
        Re a, Im a, x, y of each block.
    errors : ndarray, shape (S,)
        Error 1 / t of each block at z.
    out : ndarray, shape (2, N) or (1, G)
        Gradient of the sum of errors, for SLOPE; the sum of errors to which PROMISE adds.
    limits : Limits
        Of a climb.
    state : ndarray, uint64, shape (1,)
        Random generator.
    bench : Bench

    Returns
    -------
    float
        The sum of errors, times the factor of the way where a move was kept; for MOVE `most`
        where none was, for SLOPE infinity where it is not below `most`, for PROMISE 0.
    """
    if task.kind == PROMISE:
        _promise(stack, task.antenna, z, bench, out[0])
        return 0.0
    model, rows = subproblem(_block(stack, 0), 2 * stack.antennas)
    work = bench.work
    if task.kind == AIM:
        return _aim(stack, z, errors, limits, state, model, rows, work)
    if task.kind == MOVE:
        return _move(stack, task, places, z, errors, limits, model, rows, work)
    return _slope(stack, task.most, z, errors, out, limits, model, rows, work)
