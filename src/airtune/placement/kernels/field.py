"""The field of all transmitters at the antennas, in the scale and layout of the compiled solver.

Rows m = 0..K-1 are the clients' g_k, rows K..K+J-1 the interferers' v_j. Gains are divided so
that the mean path power of the weaker half of the clients is 1, and the noise part of
p(a, r) = w^H R w / sigma^2 is ||a||^2, with a = conj(w).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from airtune.compiled import entry, inner
from airtune.kinds import Real
from airtune.placement.kernels.arrays import clear
from airtune.placement.kernels.lanes import WIDTH, Vector, fill, load, store
from airtune.placement.problem import Problem

QUARTER = math.pi / 2
ROUND = 1.5 * 2.0**52
"""Adding and taking away this number rounds to an integer"""


class Field(NamedTuple):
    """One problem as the kernels read it.

    ux, uy, ar, ai : ndarray, shape (L, R M), zeros up to WIDTH if that is more
        Directions (turns per wavelength) and scaled gains of path l of row m, repeated for the R
        antennas of a group so that one pass over contiguous memory serves R M channels.
    clients, interferers, antennas : int
        K (active ones), J, N.
    group : int
        R, a divisor of N.
    width, height, spacing : float  [wavelengths]
    """

    ux: Real
    uy: Real
    ar: Real
    ai: Real
    clients: int
    interferers: int
    antennas: int
    group: int
    width: float
    height: float
    spacing: float


class Workspace(NamedTuple):
    """What the antennas receive, written by `channel` and `combine`; with spare entries at the end.

    g : ndarray, shape (6, >= N M)
        Re, Im of the channel g_m(r_n), of its derivative along x / 2 pi and along y / 2 pi; entry
        n M + m.
    rays : ndarray, shape (2, >= L N M)
        Re, Im of the single terms of g.
    u : ndarray, shape (2, M)
        Re, Im of the sums u_m = sum_n a_n g_m(r_n).
    """

    g: Real
    rays: Real
    u: Real


def pack(problem: Problem, antennas: int | None = None) -> tuple[Field, float]:
    """Scale and lay out a problem, for its own number of antennas or another one.

    Returns
    -------
    field : Field
    scale : float
        Multiply a gain in the solver's scale by this to get the problem's  [1]
    """
    alpha = problem.effective_gains()
    sending = problem.interferer_powers > 0
    amplitude = np.sqrt(problem.interferer_powers[sending] / problem.noise)
    beta = amplitude[:, None] * problem.interferer_gains[sending]
    power = np.sort((np.abs(alpha) ** 2).sum(axis=1))
    weak = float(power[: max(1, (len(power) + 1) // 2)].mean())
    gains = _stack(alpha / math.sqrt(weak), beta)
    u = _stack(problem.directions[problem.active], problem.interferer_directions[sending])
    n, rows = antennas or problem.antennas, len(gains)
    group = next(r for r in range(1, n + 1) if n % r == 0 and (r * rows >= 64 or r == n))

    def spread(values: Real) -> Real:
        out = np.zeros((values.shape[1], max(WIDTH, group * rows)))
        for copy in range(group):
            out[:, copy * rows : (copy + 1) * rows] = values.T
        return out

    field = Field(
        spread(u[..., 0]),
        spread(u[..., 1]),
        spread(gains.real),
        spread(gains.imag),
        len(alpha),
        len(beta),
        n,
        group,
        float(problem.region[0]),
        float(problem.region[1]),
        problem.spacing,
    )
    return field, weak / problem.noise


def _stack(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    """Clients over interferers, the shorter path list padded with zeros."""
    length = max(first.shape[1], second.shape[1] if len(second) else 0)

    def padded(x: NDArray[Any]) -> NDArray[Any]:
        out = np.zeros((len(x), length, *x.shape[2:]), x.dtype)
        out[:, : x.shape[1]] = x[:, :length]
        return out

    return np.concatenate([padded(first), padded(second)])


@inner
def sincos(turns: float) -> tuple[float, float]:
    """sin and cos of 2 pi turns to 1e-10: quarter angle by Taylor, doubled twice, no branch."""
    h = (turns - math.floor(turns + 0.5)) * QUARTER
    z = h * h
    s = h * (1 + z * (-1 / 6 + z * (1 / 120 + z * (-1 / 5040 + z * (1 / 362880 - z / 39916800)))))
    c = 1 + z * (
        -1 / 2
        + z * (1 / 24 + z * (-1 / 720 + z * (1 / 40320 + z * (-1 / 3628800 + z / 479001600))))
    )
    s, c = 2 * s * c, 1 - 2 * s * s
    return 2 * s * c, 1 - 2 * s * s


@inner
def _sincos(turns: Vector) -> tuple[Vector, Vector]:
    """`sincos` of a vector; |turns| < 2^51."""
    far, one, two = fill(ROUND), fill(1.0), fill(2.0)
    h = (turns - ((turns + far) - far)) * fill(QUARTER)
    z = h * h
    s = fill(1 / 362880) - z * fill(1 / 39916800)
    s = h * (one + z * (fill(-1 / 6) + z * (fill(1 / 120) + z * (fill(-1 / 5040) + z * s))))
    c = fill(-1 / 3628800) + z * fill(1 / 479001600)
    c = fill(1 / 24) + z * (fill(-1 / 720) + z * (fill(1 / 40320) + z * c))
    c = one + z * (fill(-1 / 2) + z * c)
    s, c = two * s * c, one - two * s * s
    return two * s * c, one - two * s * s


@entry
def channel(field: Field, x: Real, y: Real, work: Workspace) -> None:
    """g_m(r_n) = sum_l a_ml exp(j 2 pi u_ml . r_n) and its gradient, all rows and antennas.

    Parameters
    ----------
    field : Field
    x, y : ndarray, shape (N,)  [wavelengths]
    work : Workspace
        Out: `g` and `rays`.
    """
    g, rays = work.g, work.rays
    M = field.clients + field.interferers
    R, L = field.group, field.ux.shape[0]
    W = R * M
    xs, ys = np.zeros(W + WIDTH), np.zeros(W + WIDTH)
    er, ei = rays[0], rays[1]
    for part in range(field.antennas // R):
        _spread(x, y, part * R, R, M, xs, ys)
        for start in range(0, W, WIDTH):
            i = max(0, min(start, W - WIDTH))  # the last one overlaps the one before
            o = part * W + i
            px, py, zero = load(xs, i), load(ys, i), fill(0.0)
            gr, gi, xr, xi, yr, yi = zero, zero, zero, zero, zero, zero
            for path in range(L):
                ux, uy = load(field.ux[path], i), load(field.uy[path], i)
                ar, ai = load(field.ar[path], i), load(field.ai[path], i)
                s, c = _sincos(ux * px + uy * py)
                re = ar * c - ai * s
                im = ar * s + ai * c
                q = (part * L + path) * W + i
                store(er, q, re)
                store(ei, q, im)
                gr += re
                gi += im
                xr -= ux * im
                xi += ux * re
                yr -= uy * im
                yi += uy * re
            store(g[0], o, gr)
            store(g[1], o, gi)
            store(g[2], o, xr)
            store(g[3], o, xi)
            store(g[4], o, yr)
            store(g[5], o, yi)


@inner
def _spread(x: Real, y: Real, first: int, R: int, M: int, xs: Real, ys: Real) -> None:
    """Coordinates of R antennas, each repeated for its M rows."""
    for r in range(R):
        for m in range(M):
            xs[r * M + m] = x[first + r]
            ys[r * M + m] = y[first + r]


@inner
def bending(field: Field, rays: Real, cr: Real, ci: Real, bend: Real) -> None:
    """Re sum_m c_nm (d2g/dx2, d2g/dxdy, d2g/dy2) / (2 pi)^2 of every antenna.

    Parameters
    ----------
    field : Field
    rays : ndarray, shape (2, L N M)
        From `channel`.
    cr, ci : ndarray, shape (>= N M,), and at least WIDTH
        Coefficients c, entry n M + m.
    bend : ndarray, shape (3, N)
        Out.
    """
    M = field.clients + field.interferers
    R, L = field.group, field.ux.shape[0]
    W = R * M
    er, ei = rays[0], rays[1]
    xx, xy, yy = np.empty(W + WIDTH), np.empty(W + WIDTH), np.empty(W + WIDTH)
    for part in range(field.antennas // R):
        for start in range(0, W, WIDTH):
            i = max(0, min(start, W - WIDTH))
            kr, ki, zero = load(cr, part * W + i), load(ci, part * W + i), fill(0.0)
            bxx, bxy, byy = zero, zero, zero
            for path in range(L):
                ux, uy = load(field.ux[path], i), load(field.uy[path], i)
                q = (part * L + path) * W + i
                value = kr * load(er, q) - ki * load(ei, q)
                along = ux * value
                bxx -= ux * along
                bxy -= uy * along
                byy -= uy * (uy * value)
            store(xx, i, bxx)
            store(xy, i, bxy)
            store(yy, i, byy)
        for r in range(R):
            bx = bz = by = 0.0
            for m in range(r * M, r * M + M):
                bx += xx[m]
                bz += xy[m]
                by += yy[m]
            n = part * R + r
            bend[0, n], bend[1, n], bend[2, n] = bx, bz, by


@entry
def combine(field: Field, z: Real, work: Workspace) -> float:
    """Write u_m = sum_n a_n g_m(r_n) with a in the first two rows of z, (>= 2, N).

    Returns
    -------
    float
        p = ||a||^2 + sum_j |u_j|^2.
    """
    ar, ai, g, u = z[0], z[1], work.g, work.u
    M = field.clients + field.interferers
    clear(u)
    ur, ui, gr, gi = u[0], u[1], g[0], g[1]
    p = 0.0
    for n in range(field.antennas):
        br, bi = ar[n], ai[n]
        p += br * br + bi * bi
        o = n * M
        for m in range(M):
            ur[m] += br * gr[o + m] - bi * gi[o + m]
            ui[m] += br * gi[o + m] + bi * gr[o + m]
    for j in range(field.clients, M):
        p += ur[j] * ur[j] + ui[j] * ui[j]
    return p


@inner
def worst(field: Field, p: float, u: Real) -> float:
    """log t = min_k log |u_k|^2 - log p."""
    least = np.inf
    for k in range(field.clients):
        least = min(least, u[0, k] * u[0, k] + u[1, k] * u[1, k])
    return math.log((least + 1e-300) / p)


def workspace(field: Field) -> Workspace:
    """Arrays for `channel` and `combine`."""
    rows = field.clients + field.interferers
    size, paths = field.antennas * rows, field.ux.shape[0]
    g, rays = np.empty((6, size + WIDTH)), np.empty((2, paths * size + WIDTH))
    return Workspace(g, rays, np.empty((2, rows)))
