"""The field of all transmitters at the antennas, in the scale and layout of the compiled solver.

Rows m = 0..K-1 are the clients' g_k, rows K..K+J-1 the interferers' v_j. Gains are divided so
that the mean path power of the weaker half of the clients is 1, and the noise part of
p(a, r) = w^H R w / sigma^2 is ||a||^2, with a = conj(w).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from airtune.placement.problem import Problem, Real

# Strict arithmetic: with any licence to reorder or fuse operations the last bits depend on how a
# kernel was inlined, and kept machine code can then differ from the code that was just compiled.
FAST = False
QUARTER = math.pi / 2

# Entry points are called from Python and kept on disk; inner kernels only ever end up inside
# them, so the wrappers that Python would need are not compiled.
inner = njit(fastmath=FAST, nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def _sources() -> tuple[tuple[str, int, int], ...]:
    """Name, time and size of every file of this package."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return tuple((f.name, f.stat().st_mtime_ns, f.stat().st_size) for f in files)


SOURCES = _sources()


def entry(function: Callable[..., Any]) -> Any:
    """Compile at the first call and keep the machine code on disk.

    Numba takes kept code for valid while the function's own file is unchanged; the code also
    contains the inner kernels of the other files here, so they are made part of the stamp.
    """
    kernel = njit(cache=True, fastmath=FAST, nogil=True)(function)
    with suppress(AttributeError):  # not a public part of numba
        kept = kernel._cache._cache_file
        kept._source_stamp = (kept._source_stamp, SOURCES)
    return kernel


class Field(NamedTuple):
    """One problem as the kernels read it.

    ux, uy, ar, ai : ndarray, shape (L, R M)
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


def pack(problem: Problem, antennas: int | None = None) -> tuple[Field, float]:
    """Scale and lay out a problem, for its own number of antennas or another one.

    Returns
    -------
    field : Field
    scale : float
        Multiply a gain in the solver's scale by this to get the problem's  [1]
    """
    alpha = problem.effective_gains()
    heard = problem.interferer_powers > 0
    amplitude = np.sqrt(problem.interferer_powers[heard] / problem.noise)
    beta = amplitude[:, None] * problem.interferer_gains[heard]
    power = np.sort((np.abs(alpha) ** 2).sum(axis=1))
    weak = float(power[: max(1, (len(power) + 1) // 2)].mean())
    gains = _stack(alpha / math.sqrt(weak), beta)
    u = _stack(problem.directions[problem.active], problem.interferer_directions[heard])
    n, rows = antennas or problem.antennas, len(gains)
    group = next(r for r in range(1, n + 1) if n % r == 0 and (r * rows >= 64 or r == n))

    def spread(values: Real) -> Real:
        return np.ascontiguousarray(np.tile(values.T, (1, group)))

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
def sincos(turns):  # type: ignore[no-untyped-def]
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


@entry
def channel(field, x, y, g, rays):  # type: ignore[no-untyped-def]
    """g_m(r_n) = sum_l a_ml exp(j 2 pi u_ml . r_n) and its gradient, all rows and antennas.

    Parameters
    ----------
    field : Field
    x, y : ndarray, shape (N,)  [wavelengths]
    g : ndarray, shape (6, N M)
        Out: Re, Im of g, of dg/dx / 2 pi and of dg/dy / 2 pi; entry n M + m.
    rays : ndarray, shape (2, L N M)
        Out: Re, Im of the single terms, for `bending`.
    """
    M = field.clients + field.interferers
    R, L = field.group, field.ux.shape[0]
    W = R * M
    xs, ys = np.empty(W), np.empty(W)
    gr, gi, xr, xi, yr, yi = g[0], g[1], g[2], g[3], g[4], g[5]
    er, ei = rays[0], rays[1]
    g[:] = 0.0
    for part in range(field.antennas // R):
        _spread(x, y, part * R, R, M, xs, ys)
        o = part * W
        for path in range(L):
            ux, uy, ar, ai = field.ux[path], field.uy[path], field.ar[path], field.ai[path]
            q = (part * L + path) * W
            for i in range(W):
                s, c = sincos(ux[i] * xs[i] + uy[i] * ys[i])
                re = ar[i] * c - ai[i] * s
                im = ar[i] * s + ai[i] * c
                er[q + i] = re
                ei[q + i] = im
                gr[o + i] += re
                gi[o + i] += im
                xr[o + i] -= ux[i] * im
                xi[o + i] += ux[i] * re
                yr[o + i] -= uy[i] * im
                yi[o + i] += uy[i] * re


@inner
def _spread(x, y, first, R, M, xs, ys):  # type: ignore[no-untyped-def]
    """Coordinates of R antennas, each repeated for its M rows."""
    for r in range(R):
        for m in range(M):
            xs[r * M + m] = x[first + r]
            ys[r * M + m] = y[first + r]


@inner
def bending(field, rays, cr, ci, bend):  # type: ignore[no-untyped-def]
    """Re sum_m c_nm (d2g/dx2, d2g/dxdy, d2g/dy2) / (2 pi)^2 of every antenna.

    Parameters
    ----------
    field : Field
    rays : ndarray, shape (2, L N M)
        From `channel`.
    cr, ci : ndarray, shape (N M,)
        Coefficients c, entry n M + m.
    bend : ndarray, shape (3, N)
        Out.
    """
    M = field.clients + field.interferers
    R, L = field.group, field.ux.shape[0]
    W = R * M
    er, ei = rays[0], rays[1]
    xx, xy, yy = np.empty(W), np.empty(W), np.empty(W)
    for part in range(field.antennas // R):
        xx[:] = 0.0
        xy[:] = 0.0
        yy[:] = 0.0
        o = part * W
        for path in range(L):
            ux, uy = field.ux[path], field.uy[path]
            q = (part * L + path) * W
            for i in range(W):
                value = cr[o + i] * er[q + i] - ci[o + i] * ei[q + i]
                along = ux[i] * value
                xx[i] -= ux[i] * along
                xy[i] -= uy[i] * along
                yy[i] -= uy[i] * uy[i] * value
        for r in range(R):
            bx = bz = by = 0.0
            for m in range(M):
                bx += xx[r * M + m]
                bz += xy[r * M + m]
                by += yy[r * M + m]
            n = part * R + r
            bend[0, n], bend[1, n], bend[2, n] = bx, bz, by


@entry
def combine(field, ar, ai, g, u):  # type: ignore[no-untyped-def]
    """u_m = sum_n a_n g_m(r_n); u has shape (2, M): Re, Im. Returns p = ||a||^2 + sum_j |u_j|^2."""
    M = field.clients + field.interferers
    u[:] = 0.0
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
def worst(field, p, u):  # type: ignore[no-untyped-def]
    """log t = min_k log |u_k|^2 - log p."""
    least = np.inf
    for k in range(field.clients):
        least = min(least, u[0, k] * u[0, k] + u[1, k] * u[1, k])
    return math.log((least + 1e-300) / p)


def workspace(field: Field) -> tuple[Real, Real, Real]:
    """Arrays for `channel` and `combine`: g (6, N M), rays (2, L N M) and u (2, M)."""
    rows = field.clients + field.interferers
    size = field.antennas * rows
    return np.empty((6, size)), np.empty((2, field.ux.shape[0] * size)), np.empty((2, rows))
