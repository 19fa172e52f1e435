"""Loops of SCA-PDD: penalty dual decomposition with successive convex approximation of positions.

Augmented Lagrangian, with u_k free copies of a^T g_k(r) that carry |u_k| >= 1:

    A = p(a, r) + 1/(2 rho) sum_k |u_k - a^T g_k(r) + rho lam_k|^2,    p = a^H Rbar a

Every step below, in u, a or one r_n, is a descent step of A, so A never rises within an outer step.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from airtune.compiled import entry, inner
from airtune.kinds import Real
from airtune.placement.kernels.field import Field, Workspace, channel, combine, sincos
from airtune.placement.kernels.nulling import factor, leak_solve

TAU = 2 * math.pi
OUTER, INNER = 200, 30
SHRINK = 0.8
FEASIBLE = 1e-4
SETTLED = 1e-4


class Duals(NamedTuple):
    """Variables of the decomposition beside a and r, Re and Im, all of shape (2, K).

    lam : ndarray
        Multipliers lam_k.
    copy : ndarray
        Copies u_k.
    target : ndarray
        u_k + rho lam_k, what the sums a^T g_k should become.
    """

    lam: Real
    copy: Real
    target: Real


class Trial(NamedTuple):
    """Arrays for the step of one antenna: its channel now and at a trial, (6, M), and half-planes.

    lines : ndarray, shape (N + 4, 3)
        Rows (a, b, c): a x + b y >= c.
    """

    column: Real
    fresh: Real
    lines: Real


@inner
def duals(field: Field) -> Duals:
    """Arrays for the decomposition of a problem, multipliers 0."""
    K = field.clients
    return Duals(np.zeros((2, K)), np.empty((2, K)), np.empty((2, K)))


@inner
def trial_arrays(field: Field) -> Trial:
    """Arrays for the steps of the antennas."""
    N, M = field.antennas, field.clients + field.interferers
    return Trial(np.empty((6, M)), np.empty((6, M)), np.empty((N + 4, 3)))


@inner
def _column(field: Field, x: float, y: float, column: Real) -> None:
    """g_m, dg_m/dx and dg_m/dy of one antenna at (x, y): column (6, M)."""
    M = field.clients + field.interferers
    column[:] = 0.0
    for path in range(field.ux.shape[0]):
        for m in range(M):
            ux, uy = field.ux[path, m], field.uy[path, m]
            s, c = sincos(ux * x + uy * y)
            er = field.ar[path, m] * c - field.ai[path, m] * s
            ei = field.ar[path, m] * s + field.ai[path, m] * c
            column[0, m] += er
            column[1, m] += ei
            column[2, m] -= TAU * ux * ei
            column[3, m] += TAU * ux * er
            column[4, m] -= TAU * uy * ei
            column[5, m] += TAU * uy * er


@inner
def misfit(field: Field, u: Real, t: Real, rho: float, size: float) -> float:
    """A for sums u (2, M), targets t = u_k + rho lam_k (2, K) and size = ||a||^2."""
    total = size
    for m in range(field.clients, field.clients + field.interferers):
        total += u[0, m] ** 2 + u[1, m] ** 2
    for k in range(field.clients):
        total += ((t[0, k] - u[0, k]) ** 2 + (t[1, k] - u[1, k]) ** 2) / (2 * rho)
    return total


@inner
def _copies(field: Field, u: Real, lam: Real, rho: float, copy: Real) -> None:
    """u step: v = a^T g_k - rho lam_k; u_k = v if |v| >= 1 else v / |v|."""
    for k in range(field.clients):
        vr, vi = u[0, k] - rho * lam[0, k], u[1, k] - rho * lam[1, k]
        size = math.sqrt(vr * vr + vi * vi)
        if size < 1e-12:
            vr, vi, size = 1.0, 0.0, 1.0
        stretch = max(1.0, 1.0 / size)
        copy[0, k], copy[1, k] = stretch * vr, stretch * vi


@inner
def beamformer_step(field: Field, g: Real, t: Real, rho: float, z: Real) -> None:
    """a step: (2 rho Rbar + conj(g) g^T) a = conj(g) t."""
    N, K = field.antennas, field.clients
    M = K + field.interferers
    A, b = np.zeros((N, N), np.complex128), np.zeros(N, np.complex128)
    for i in range(N):
        for m in range(M):
            gi = complex(g[0, i * M + m], -g[1, i * M + m])
            weight = 1.0 if m < K else 2 * rho
            for j in range(i + 1):
                A[i, j] += weight * gi * complex(g[0, j * M + m], g[1, j * M + m])
            if m < K:
                b[i] += gi * complex(t[0, m], t[1, m])
        A[i, i] += 2 * rho
    factor(A)
    leak_solve(A, b)
    for i in range(N):
        z[0, i], z[1, i] = b[i].real, b[i].imag


@entry
def project(
    field: Field, z: Real, n: int, px: float, py: float, lines: Real
) -> tuple[float, float]:
    """Nearest point to (px, py) in the box and the linearised spacing half-planes of antenna n.

    2 D_ni . (s - r_n) >= D^2 - |D_ni|^2 with D_ni = r_n - r_i: an inner approximation. In the
    plane the nearest point is the point itself, its foot on one line, or a corner of two; the
    present place is always feasible and stays if rounding leaves no other.
    """
    N, count = field.antennas, 4
    x, y = z[2], z[3]
    for side in range(4):  # rows (a, b, c): a px + b py >= c
        lines[side, :] = 0.0
    lines[0, 0] = lines[1, 1] = 1.0
    lines[2, 0] = lines[3, 1] = -1.0
    lines[2, 2], lines[3, 2] = -field.width, -field.height
    for i in range(N):
        if i == n or field.spacing == 0:
            continue
        dx, dy = x[n] - x[i], y[n] - y[i]
        gap = dx * dx + dy * dy
        size = math.sqrt(gap)
        a, b = dx / size, dy / size
        lines[count, 0], lines[count, 1] = a, b
        lines[count, 2] = a * x[n] + b * y[n] + (field.spacing**2 - gap) / (2 * size)
        count += 1
    best, bx, by = np.inf, x[n], y[n]
    for i in range(-1, count):
        for j in range(-1, i + 1 if i >= 0 else 0):
            qx, qy = px, py
            if i >= 0 and (j < 0 or j == i):
                short = lines[i, 2] - lines[i, 0] * px - lines[i, 1] * py
                qx, qy = px + short * lines[i, 0], py + short * lines[i, 1]
            elif i >= 0:
                det = lines[i, 0] * lines[j, 1] - lines[i, 1] * lines[j, 0]
                if abs(det) < 1e-9:
                    continue
                qx = (lines[i, 2] * lines[j, 1] - lines[i, 1] * lines[j, 2]) / det
                qy = (lines[i, 0] * lines[j, 2] - lines[i, 2] * lines[j, 0]) / det
            away = (qx - px) ** 2 + (qy - py) ** 2
            if away >= best:
                continue
            inside = True
            for k in range(count):
                inside = inside and lines[k, 0] * qx + lines[k, 1] * qy >= lines[k, 2] - 1e-12
            if inside:
                best, bx, by = away, qx, qy
        if i == -1 and best == 0.0:
            break
    return min(field.width, max(0.0, bx)), min(field.height, max(0.0, by))


@inner
def move(field: Field, z: Real, n: int, t: Real, rho: float, work: Workspace, trial: Trial) -> None:
    """r_n step: majorise A in r_n by a quadratic of isotropic curvature c, minimise, project.

    c starts at the Gauss-Newton part and doubles until the quadratic lies above A at the new
    point; p and the residual both depend on r_n, so both are in A.
    """
    g, u, column, fresh = work.g, work.u, trial.column, trial.fresh
    K, M = field.clients, field.clients + field.interferers
    ar, ai, x, y = z[0, n], z[1, n], z[2, n], z[3, n]
    size = 0.0
    for i in range(field.antennas):
        size += z[0, i] ** 2 + z[1, i] ** 2
    _column(field, x, y, column)
    now = misfit(field, u, t, rho, size)
    sx = sy = curvature = 0.0
    for m in range(M):
        dxr = ar * column[2, m] - ai * column[3, m]
        dxi = ar * column[3, m] + ai * column[2, m]
        dyr = ar * column[4, m] - ai * column[5, m]
        dyi = ar * column[5, m] + ai * column[4, m]
        weight, er, ei = 2.0, u[0, m], u[1, m]
        if m < K:
            weight, er, ei = 1 / rho, u[0, m] - t[0, m], u[1, m] - t[1, m]
        sx += weight * (er * dxr + ei * dxi)
        sy += weight * (er * dyr + ei * dyi)
        curvature += weight * (dxr * dxr + dxi * dxi + dyr * dyr + dyi * dyi)
    c = curvature + 1e-12
    for _ in range(40):
        qx, qy = project(field, z, n, x - sx / c, y - sy / c, trial.lines)
        dx, dy = qx - x, qy - y
        _column(field, qx, qy, fresh)
        for m in range(M):
            gr, gi = fresh[0, m] - column[0, m], fresh[1, m] - column[1, m]
            fresh[2, m] = u[0, m] + ar * gr - ai * gi
            fresh[3, m] = u[1, m] + ar * gi + ai * gr
        new = misfit(field, fresh[2:4], t, rho, size)
        model = now + sx * dx + sy * dy + 0.5 * c * (dx * dx + dy * dy)
        if new <= model + 1e-13 * abs(now) and new <= now:
            z[2, n], z[3, n] = qx, qy
            for m in range(M):
                q = n * M + m
                g[0, q], g[1, q] = fresh[0, m], fresh[1, m]
                u[0, m], u[1, m] = fresh[2, m], fresh[3, m]
            return
        c *= 2


@inner
def primal_steps(
    field: Field,
    z: Real,
    rho: float,
    moving: bool,
    dual: Duals,
    work: Workspace,
    trial: Trial,
) -> float:
    """The a step and, if `moving`, the step of every antenna, for given copies; returns A."""
    lam, copy, t, u = dual.lam, dual.copy, dual.target, work.u
    for k in range(field.clients):
        t[0, k], t[1, k] = copy[0, k] + rho * lam[0, k], copy[1, k] + rho * lam[1, k]
    beamformer_step(field, work.g, t, rho, z)
    combine(field, z, work)
    size = 0.0
    for n in range(field.antennas):
        if moving:
            move(field, z, n, t, rho, work, trial)
        size += z[0, n] ** 2 + z[1, n] ** 2
    return misfit(field, u, t, rho, size)


@inner
def violation(field: Field, dual: Duals, u: Real) -> float:
    """max_k |u_k - a^T g_k|."""
    copy, h = dual.copy, 0.0
    for k in range(field.clients):
        h = max(h, math.hypot(copy[0, k] - u[0, k], copy[1, k] - u[1, k]))
    return h


@inner
def raise_multipliers(field: Field, dual: Duals, u: Real, rho: float) -> None:
    """lam_k += (u_k - a^T g_k) / rho."""
    lam, copy = dual.lam, dual.copy
    for k in range(field.clients):
        lam[0, k] += (copy[0, k] - u[0, k]) / rho
        lam[1, k] += (copy[1, k] - u[1, k]) / rho


@entry
def descend(field: Field, z: Real, rho: float, work: Workspace, trace: Real) -> int:
    """PDD from z = (Re a, Im a, x, y) (4, N) in place.

    Parameters
    ----------
    field : Field
    z : ndarray, shape (4, N)
    rho : float
        First penalty parameter: 1 after a construction, 10 from random starts.
    work : Workspace
    trace : ndarray, shape (T, 2)
        Out: outer step and A after every pass, as many as fit; rows not used stay as they are.

    Returns
    -------
    int
        Number of outer steps.
    """
    N, K, u = field.antennas, field.clients, work.u
    dual, trial = duals(field), trial_arrays(field)
    channel(field, z[2], z[3], work)
    combine(field, z, work)
    least = np.inf
    for k in range(K):
        least = min(least, u[0, k] ** 2 + u[1, k] ** 2)
    scale = 1 / math.sqrt(max(least, 1e-6))
    for i in range(N):
        z[0, i] *= scale
        z[1, i] *= scale
    eta, passes = np.inf, 0
    for outer in range(OUTER):
        before = np.inf
        for _ in range(INNER):
            combine(field, z, work)
            _copies(field, u, dual.lam, rho, dual.copy)
            now = primal_steps(field, z, rho, True, dual, work, trial)
            if passes < len(trace):
                trace[passes, 0], trace[passes, 1] = outer, now
            passes += 1
            if before - now < SETTLED * abs(now):
                break
            before = now
        h = violation(field, dual, u)
        if h < FEASIBLE:
            return outer + 1
        if h <= eta:
            raise_multipliers(field, dual, u, rho)
        else:
            rho *= SHRINK
        eta = 0.9 * h
    return OUTER
