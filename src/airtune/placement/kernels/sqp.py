"""SQP on the epigraph form: maximise t s.t. t <= f_k(z), box, spacing; z = (Re a, Im a, x, y).

f_k = log|u_k|^2 - log p. Each step solves max s - d'H d/2 s.t. s <= f_k - min f + J_k d and the
linearised spacing within a trust region; linearising |r_i - r_j|^2 is an inner approximation, so
every iterate is feasible and min f alone decides on a step.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from airtune.compiled import inner
from airtune.kinds import Complex, Real
from airtune.placement.kernels.arrays import blank
from airtune.placement.kernels.field import Field, Workspace, channel, combine, worst
from airtune.placement.kernels.lagrangian import derivatives, hessian
from airtune.placement.kernels.lanes import WIDTH, fill, load, store, total
from airtune.placement.kernels.nulling import hold_leak
from airtune.placement.kernels.qp import cholesky, solve_dual
from airtune.placement.kernels.subproblem import Model, Rows

TRUST = 0.15
REACH = 2.0
"""Clients this much stronger than the weakest are left out of a step  [nat]"""
MOST_SHIFT = 1e30
"""Added to the diagonal of H, this makes any matrix of numbers positive definite."""
OPTIMISM = 2.0
"""What a climb gains in total, as a multiple of what its model predicts for the next step."""


class Limits(NamedTuple):
    """When a climb ends.

    steps : int
        At most so many steps.
    tolerance : float
        Stop when the model predicts less  [nat]
    target : float
        Give up when even OPTIMISM times the predicted gain stays below this log t  [nat]
    """

    steps: int
    tolerance: float
    target: float


class Leak(NamedTuple):
    """Interferers' sums u_j, all (J,): now, their first-order change along a step, and wanted."""

    now: Complex
    change: Complex
    wanted: Complex


@inner
def _add_clients(field: Field, model: Model, value: float, n: int, rows: Rows) -> int:
    """Append s <= f_k - value + J_k d of all clients in REACH: B = U'^-1 J', Q = B' B.

    Sums run over the rows of B, so that vectors hold neighbouring clients; returns their number.
    """
    f, B, U, dual = model.f, rows.B, model.U, rows.dual
    count = 0
    for k in range(field.clients):
        if f[k] - value < REACH:
            rows.owner[count], dual.h[count], dual.e[count] = k, f[k] - value, 1.0
            slope = model.J[k]
            for i in range(n):
                B[i, count] = slope[i]
            count += 1
    for i in range(n):
        line = B[i]
        scale = fill(1 / U[i, i])
        for b in range(0, count, WIDTH):
            acc = load(line, b)
            for k in range(i):
                acc -= fill(U[k, i]) * load(B[k], b)
            store(line, b, acc * scale)
    for r in range(count):
        for b in range(0, count, WIDTH):
            acc = fill(0.0)
            for i in range(n):
                line = B[i]
                acc += fill(line[r]) * load(line, b)
            store(dual.Q[r], b, acc)
    return count


@inner
def _add_row(U: Real, start: int, n: int, h: float, rows: Rows, at: int) -> None:
    """Append the row 0 <= h + c'd, c = 0 before `start`: b = U'^-1 c, its products with all b."""
    B, Q, c = rows.B, rows.dual.Q, rows.c
    for i in range(start):
        B[i, at] = 0.0
    line = Q[at]
    for b in range(0, at + 1, WIDTH):
        store(line, b, fill(0.0))
    for i in range(start, n):
        row, value = U[i], c[i] / U[i, i]
        B[i, at] = value
        factor = fill(value)
        for b in range(i - i % WIDTH, n, WIDTH):
            store(c, b, load(c, b) - factor * load(row, b))
        for b in range(0, at + 1, WIDTH):
            store(line, b, load(line, b) + factor * load(B[i], b))
    for r in range(at):
        Q[r, at] = line[r]
    rows.dual.h[at], rows.dual.e[at] = h, 0.0


@inner
def _step(model: Model, rows: Rows, count: int) -> None:
    """d = U^-1 sum_i nu_i b_i over the active rows."""
    U, B, d, n = model.U, rows.B, model.d, model.H.shape[0]
    active, nu = rows.dual.active, rows.dual.nu
    for i in range(n - 1, -1, -1):
        line, row, value = B[i], U[i], 0.0
        for r in range(count):
            value += nu[r] * line[active[r]]
        first = i - i % WIDTH
        if first + WIDTH < n:
            acc = fill(0.0)
            for b in range(first + WIDTH, n, WIDTH):
                acc += load(row, b) * load(d, b)
            value -= total(acc)
        for k in range(i + 1, min(n, first + WIDTH)):
            value -= row[k] * d[k]
        d[i] = value / row[i]


@inner
def _violated(
    field: Field, z: Real, bounds: Real, trust: float, d: Real, rows: Rows
) -> tuple[float, int]:
    """Most violated row of box, trust region and spacing at step d.

    Returns (h, key): the row is 0 <= h + c'd with c filled in; key < 0 if none.
    """
    x, y, N, c, taken = z[2], z[3], field.antennas, rows.c, rows.taken
    most, h_best, key = 1e-9, 0.0, -1
    for i in range(N):
        for axis in range(2):
            at = x[i] if axis == 0 else y[i]
            step = d[(2 + axis) * N + i]
            low = max(-trust, bounds[2 * axis, i] - at)
            high = min(trust, bounds[2 * axis + 1, i] - at)
            if low - step > most and not taken[4 * i + 2 * axis]:
                most, h_best, key = low - step, -low, 4 * i + 2 * axis
            if step - high > most and not taken[4 * i + 2 * axis + 1]:
                most, h_best, key = step - high, high, 4 * i + 2 * axis + 1
    D = field.spacing
    reach = D + 3 * trust
    for i in range(N):
        for j in range(i):
            dx, dy = x[i] - x[j], y[i] - y[j]
            gap = dx * dx + dy * dy
            if gap > reach * reach:
                continue
            sx = d[2 * N + i] - d[2 * N + j]
            sy = d[3 * N + i] - d[3 * N + j]
            short = D * D - gap - 2 * (dx * sx + dy * sy)
            if short > most and not taken[4 * N + i * N + j]:
                most, h_best, key = short, gap - D * D, 4 * N + i * N + j
    if key >= 0:
        c[:] = 0.0
        if key < 4 * N:
            i, axis, upper = key // 4, (key // 2) % 2, key % 2
            c[(2 + axis) * N + i] = -1.0 if upper else 1.0
        else:
            i, j = (key - 4 * N) // N, (key - 4 * N) % N
            dx, dy = x[i] - x[j], y[i] - y[j]
            c[2 * N + i], c[2 * N + j] = 2 * dx, -2 * dx
            c[3 * N + i], c[3 * N + j] = 2 * dy, -2 * dy
    return h_best, key


@inner
def _unit(field: Field, z: Real) -> float:
    """Scale a to ||a|| = 1; returns the factor."""
    size = 0.0
    for i in range(field.antennas):
        size += z[0, i] * z[0, i] + z[1, i] * z[1, i]
    scale = 1 / math.sqrt(size)
    for i in range(field.antennas):
        z[0, i] *= scale
        z[1, i] *= scale
    return scale


@inner
def _least(field: Field, f: Real) -> float:
    value = np.inf
    for k in range(field.clients):
        value = min(value, f[k])
    return value


@inner
def _first_multipliers(field: Field, f: Real, value: float, lam: Real) -> None:
    """lam_k proportional to exp(-10 f_k) before there are any from a subproblem."""
    total = 0.0
    for k in range(field.clients):
        lam[k] = math.exp(-10 * (f[k] - value))
        total += lam[k]
    for k in range(field.clients):
        lam[k] /= total


@inner
def _direction(
    field: Field,
    z: Real,
    bounds: Real,
    value: float,
    trust: float,
    warm: bool,
    model: Model,
    rows: Rows,
) -> float:
    """Solve the subproblem into model.d and model.lam; returns the predicted gain s.

    Only clients within REACH of the weakest are in; box, trust region and spacing enter one by
    one, as they are violated. With `warm` the clients with a multiplier are the first guess.
    """
    N, K, n = field.antennas, field.clients, model.H.shape[0]
    f, lam, active = model.f, model.lam, rows.dual.active
    filled = clients = _add_clients(field, model, value, n, rows)
    count = 0
    for r in range(clients):
        k = rows.owner[r]
        if (warm and lam[k] > 0) or f[k] <= value:
            active[count] = r
            count += 1
    for i in range(len(rows.taken)):
        rows.taken[i] = False
    s, known = 0.0, False
    while True:
        count, s = solve_dual(rows.dual, filled, count, known)
        known = True
        _step(model, rows, count)
        if n == 2 * N or filled >= len(rows.dual.h) - 1:
            break
        level, key = _violated(field, z, bounds, trust, model.d, rows)
        if key < 0:
            break
        rows.taken[key] = True
        _add_row(model.U, 2 * N, n, level, rows, filled)
        filled += 1
    for k in range(K):
        lam[k] = 0.0
    for i in range(count):
        if active[i] < clients:
            lam[rows.owner[active[i]]] = max(0.0, rows.dual.nu[i])
    return s


@inner
def _linear_leak(field: Field, u: Real, model: Model, leak: Leak) -> None:
    """Write the leak u_j now and its first-order change along the step d."""
    K, n, Z, d = field.clients, model.H.shape[0], model.Z, model.d
    for j in range(field.interferers):
        leak.now[j] = complex(u[0, K + j], u[1, K + j])
        change = complex(0.0, 0.0)
        for i in range(n):
            change += complex(Z[2 * (K + j), i], Z[2 * (K + j) + 1, i]) * d[i]
        leak.change[j] = change


@inner
def _try_step(
    field: Field,
    z: Real,
    model: Model,
    step: float,
    bounds: Real,
    leak: Leak,
    trial: Real,
    work: Workspace,
) -> float:
    """trial = z + step d with the leak held on its linear path; returns p, fills `work`."""
    d, movable = model.d, model.H.shape[0] > 2 * field.antennas
    N = field.antennas
    for i in range(N):
        trial[0, i] = z[0, i] + step * d[i]
        trial[1, i] = z[1, i] + step * d[N + i]
        trial[2, i], trial[3, i] = z[2, i], z[3, i]
        if movable:
            x, y = z[2, i] + step * d[2 * N + i], z[3, i] + step * d[3 * N + i]
            trial[2, i] = min(bounds[1, i], max(bounds[0, i], x))
            trial[3, i] = min(bounds[3, i], max(bounds[2, i], y))
    if movable:
        channel(field, trial[2], trial[3], work)
        if field.interferers:
            for j in range(field.interferers):
                leak.wanted[j] = leak.now[j] + step * leak.change[j]
            hold_leak(field, work.g, leak.wanted, trial)
    return combine(field, trial, work)


@inner
def climb(
    field: Field,
    z: Real,
    bounds: Real,
    limits: Limits,
    model: Model,
    rows: Rows,
    work: Workspace,
) -> float:
    """Climb from (a, r) in place; returns log t.

    Parameters
    ----------
    field : Field
    z : ndarray, shape (4, N)
        Re a, Im a, x, y. In: a start with feasible positions. Out: the end, ||a|| = 1.
    bounds : ndarray, shape (4, N)
        Least and greatest x, least and greatest y of every antenna  [wavelengths]
    limits : Limits
    model : Model
    rows : Rows
        From `subproblem`; with those for 2 N variables the positions stay.
    work : Workspace
    """
    N, J = field.antennas, field.interferers
    M, u = field.clients + J, work.u
    trial = blank(4, N)
    leak = Leak(
        np.empty(J, np.complex128),
        np.empty(J, np.complex128),
        np.empty(J, np.complex128),
    )
    trust, shift, value = TRUST, 0.0, -np.inf
    _unit(field, z)
    channel(field, z[2], z[3], work)
    p = combine(field, z, work)
    for iteration in range(limits.steps):
        derivatives(field, z, work, p, model)
        value = _least(field, model.f)
        if iteration == 0:
            _first_multipliers(field, model.f, value, model.lam)
        hessian(field, z, work, p, model)
        shift = shift / 4 if shift > 1e-3 else 0.0
        while not cholesky(model.H, shift, model.U):
            shift = max(0.05, 2.5 * shift)
            if not shift < MOST_SHIFT:  # H holds no numbers: no step is to be had
                return value
        s = _direction(field, z, bounds, value, trust, iteration > 0, model, rows)
        if s < limits.tolerance or value + OPTIMISM * s < limits.target:
            break
        _linear_leak(field, u, model, leak)
        step, gained = 1.0, -np.inf
        for _ in range(10):
            p = _try_step(field, z, model, step, bounds, leak, trial, work)
            gained = worst(field, p, u) - value
            if gained > 1e-3 * step * s:
                break
            step *= 0.5
        if not gained > 0:
            break
        for i in range(N):
            for row in range(4):
                z[row, i] = trial[row, i]
        scale = _unit(field, z)
        for m in range(M):
            u[0, m] *= scale
            u[1, m] *= scale
        p *= scale * scale
        value += gained
        if step == 1.0:
            trust = min(0.3, 1.5 * trust)
        elif step < 0.4:
            trust = max(0.01, 0.5 * trust)
    return value
