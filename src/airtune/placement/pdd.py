"""SCA-PDD: penalty dual decomposition with successive convex approximation of the positions.

Augmented Lagrangian, with u_k free copies of a^T g_k(r) that carry |u_k| >= 1:

    A = p(a, r) + 1/(2 rho) sum_k |u_k - a^T g_k(r) + rho lam_k|^2,    p = a^H Rbar a

Every block step below is a descent step of A, so A never rises within an outer step.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from airtune.placement.kernels.field import channel, combine, entry, inner, sincos
from airtune.placement.kernels.nulling import factor, leak_solve
from airtune.placement.problem import Real

if TYPE_CHECKING:
    from airtune.placement.search import Search

TAU = 2 * math.pi
OUTER, INNER = 200, 30
SHRINK = 0.8
FEASIBLE = 1e-4
SETTLED = 1e-4


@inner
def _column(field, x, y, column):  # type: ignore[no-untyped-def]
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
def _misfit(field, u, t, rho, size):  # type: ignore[no-untyped-def]
    """A for sums u (2, M), targets t = u_k + rho lam_k (2, K) and size = ||a||^2."""
    total = size
    for m in range(field.clients, field.clients + field.interferers):
        total += u[0, m] ** 2 + u[1, m] ** 2
    for k in range(field.clients):
        total += ((t[0, k] - u[0, k]) ** 2 + (t[1, k] - u[1, k]) ** 2) / (2 * rho)
    return total


@inner
def _copies(field, u, lam, rho, copy):  # type: ignore[no-untyped-def]
    """u step: v = a^T g_k - rho lam_k; u_k = v if |v| >= 1 else v / |v|."""
    for k in range(field.clients):
        vr, vi = u[0, k] - rho * lam[0, k], u[1, k] - rho * lam[1, k]
        size = math.sqrt(vr * vr + vi * vi)
        if size < 1e-12:
            vr, vi, size = 1.0, 0.0, 1.0
        stretch = max(1.0, 1.0 / size)
        copy[0, k], copy[1, k] = stretch * vr, stretch * vi


@inner
def _beamformer(field, g, t, rho, z):  # type: ignore[no-untyped-def]
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
def project(field, z, n, px, py, lines):  # type: ignore[no-untyped-def]
    """Nearest point to (px, py) in the box and the linearised spacing half-planes of antenna n.

    2 D_ni . (s - r_n) >= D^2 - |D_ni|^2 with D_ni = r_n - r_i: an inner approximation. In the
    plane the nearest point is the point itself, its foot on one line, or a corner of two; the
    present place is always feasible and is kept if rounding leaves no other.
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
def _move(field, z, n, t, rho, g, u, column, fresh, lines):  # type: ignore[no-untyped-def]
    """r_n step: majorise A in r_n by a quadratic of isotropic curvature c, minimise, project.

    c starts at the Gauss-Newton part and doubles until the quadratic lies above A at the new
    point; p and the residual both depend on r_n, so both are in A.
    """
    K, M = field.clients, field.clients + field.interferers
    ar, ai, x, y = z[0, n], z[1, n], z[2, n], z[3, n]
    size = 0.0
    for i in range(field.antennas):
        size += z[0, i] ** 2 + z[1, i] ** 2
    _column(field, x, y, column)
    now = _misfit(field, u, t, rho, size)
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
        qx, qy = project(field, z, n, x - sx / c, y - sy / c, lines)
        dx, dy = qx - x, qy - y
        _column(field, qx, qy, fresh)
        for m in range(M):
            gr, gi = fresh[0, m] - column[0, m], fresh[1, m] - column[1, m]
            fresh[2, m] = u[0, m] + ar * gr - ai * gi
            fresh[3, m] = u[1, m] + ar * gi + ai * gr
        new = _misfit(field, fresh[2:4], t, rho, size)
        model = now + sx * dx + sy * dy + 0.5 * c * (dx * dx + dy * dy)
        if new <= model + 1e-13 * abs(now) and new <= now:
            z[2, n], z[3, n] = qx, qy
            for m in range(M):
                q = n * M + m
                g[0, q], g[1, q] = fresh[0, m], fresh[1, m]
                u[0, m], u[1, m] = fresh[2, m], fresh[3, m]
            return
        c *= 2


@entry
def descend(field, z, rho, g, rays, u, trace):  # type: ignore[no-untyped-def]
    """PDD from z = (Re a, Im a, x, y) (4, N) in place.

    Parameters
    ----------
    field : Field
    z : ndarray, shape (4, N)
    rho : float
        First penalty parameter: 1 after a construction, 10 from random starts.
    g, rays, u : ndarray
        Work space from `workspace`.
    trace : ndarray, shape (T, 2)
        Out: outer step and A after every pass, as many as fit; rows not used stay as they are.

    Returns
    -------
    int
        Number of outer steps.
    """
    N, K = field.antennas, field.clients
    M = K + field.interferers
    lam, copy, t = np.zeros((2, K)), np.empty((2, K)), np.empty((2, K))
    column, fresh, lines = np.empty((6, M)), np.empty((6, M)), np.empty((N + 4, 3))
    channel(field, z[2], z[3], g, rays)
    combine(field, z[0], z[1], g, u)
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
            combine(field, z[0], z[1], g, u)
            _copies(field, u, lam, rho, copy)
            for k in range(K):
                t[0, k], t[1, k] = copy[0, k] + rho * lam[0, k], copy[1, k] + rho * lam[1, k]
            _beamformer(field, g, t, rho, z)
            combine(field, z[0], z[1], g, u)
            size = 0.0
            for n in range(N):
                _move(field, z, n, t, rho, g, u, column, fresh, lines)
                size += z[0, n] ** 2 + z[1, n] ** 2
            now = _misfit(field, u, t, rho, size)
            if passes < len(trace):
                trace[passes, 0], trace[passes, 1] = outer, now
            passes += 1
            if before - now < SETTLED * abs(now):
                break
            before = now
        h = 0.0
        for k in range(K):
            h = max(h, math.hypot(copy[0, k] - u[0, k], copy[1, k] - u[1, k]))
        if h < FEASIBLE:
            return outer + 1
        if h <= eta:
            for k in range(K):
                lam[0, k] += (copy[0, k] - u[0, k]) / rho
                lam[1, k] += (copy[1, k] - u[1, k]) / rho
        else:
            rho *= SHRINK
        eta = 0.9 * h
    return OUTER


class Pdd:
    """PDD as the local method of a search."""

    def __init__(self, run: Search, rho: float = 1.0) -> None:
        self.run = run
        self.rho = rho
        self.trace = np.empty((0, 2))

    def improve(self, z: Real, target: float) -> float:
        """Descend from z (4, N) in place; log t. Ignores the target."""
        run, field = self.run, self.run.field
        descend(field, z, self.rho, run.g, run.rays, run.u, self.trace)
        channel(field, z[2], z[3], run.g, run.rays)
        p = combine(field, z[0], z[1], run.g, run.u)
        weakest = (run.u[:, : field.clients] ** 2).sum(axis=0).min()
        return math.log((weakest + 1e-300) / p)
