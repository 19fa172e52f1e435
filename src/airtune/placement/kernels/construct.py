"""Starts: the table of channels on a grid, and greedy randomised construction (GRASP) on it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from airtune.compiled import entry, inner
from airtune.kinds import Complex, Real
from airtune.placement.kernels.arrays import blank, clear
from airtune.placement.kernels.field import Field, sincos
from airtune.placement.kernels.nulling import answer_leak, response, see_sums
from airtune.placement.kernels.relocate import Random, Scan, close_disc, sums_without, uniform

PITCH = 1 / 6
"""Grid pitch  [wavelengths]"""


class Table(NamedTuple):
    """T[m, p] = g_m at grid point p.

    px, py : ndarray, shape (G,)  [wavelengths]
    tr, ti : ndarray, shape (M, G)
    """

    px: Real
    py: Real
    tr: Real
    ti: Real


@entry
def tabulate(field: Field, pitch: float) -> Table:
    """Channels on a grid that includes the borders, separable: exp(j x a) exp(j y b).

    Parameters
    ----------
    field : Field
    pitch : float
        Largest distance between neighbours  [wavelengths]

    Returns
    -------
    Table
    """
    M, L = field.clients + field.interferers, field.ux.shape[0]
    nx = math.ceil(field.width / pitch - 1e-9) + 1
    ny = math.ceil(field.height / pitch - 1e-9) + 1
    hx = field.width / max(1, nx - 1)
    hy = field.height / max(1, ny - 1)
    px, py = np.empty(nx * ny), np.empty(nx * ny)
    tr, ti = np.zeros((M, nx * ny)), np.zeros((M, nx * ny))
    for i in range(nx):
        for j in range(ny):
            px[i * ny + j], py[i * ny + j] = i * hx, j * hy
    ys, yc = np.empty(ny), np.empty(ny)
    for m in range(M):
        for path in range(L):
            for j in range(ny):
                ys[j], yc[j] = sincos(field.uy[path, m] * hy * j)
            for i in range(nx):
                s, c = sincos(field.ux[path, m] * hx * i)
                er = field.ar[path, m] * c - field.ai[path, m] * s
                ei = field.ar[path, m] * s + field.ai[path, m] * c
                row, col = tr[m, i * ny : (i + 1) * ny], ti[m, i * ny : (i + 1) * ny]
                for j in range(ny):
                    row[j] += er * yc[j] - ei * ys[j]
                    col[j] += er * ys[j] + ei * yc[j]
    return Table(px, py, tr, ti)


@inner
def grasp(
    field: Field, table: Table, scan: Scan, share: float, state: Random, g: Real, z: Real
) -> bool:
    """One greedy randomised start.

    Antennas one by one: of a random `share` of the free grid points, each with 4 phases from a
    random offset, the minimiser of p sum_k 1 / (|v_k + e^{j phi} T_kp|^2 + 0.02 n).

    Parameters
    ----------
    field : Field
    table : Table
    scan : Scan
        `obstacles` is overwritten.
    share : float
    state : ndarray, uint64, shape (1,)
        Random generator.
    g : ndarray, shape (6, N M)
        Out: rows 0 and 1 hold the channel at the chosen grid points.
    z : ndarray, shape (4, N)
        Out: Re a, Im a, x, y.

    Returns
    -------
    bool
        False if the grid had no free point left for some antenna.
    """
    M = field.clients + field.interferers
    G = len(table.px)
    v = blank(2, M)
    scan.obstacles[:] = 0
    clear(g)
    clear(z)
    wanted = max(8, int(share * G))
    for n in range(field.antennas):
        sums_without(field, g, z, n, v)
        E, W = response(field, g)
        see_sums(field, E, W, v)
        best, at, br, bi = np.inf, -1, 1.0, 0.0
        for tried in range(wanted + G):
            # a random sample first; the whole grid only if that met no free point
            q = int(uniform(state) * G) if tried < wanted else tried - wanted
            if tried == wanted and at >= 0:
                break
            if scan.obstacles[q] != 0:
                continue
            cost, c, s = _cost(field, table, E, W, v, q, uniform(state), n + 1)
            if cost < best:
                best, at, br, bi = cost, q, c, s
        if at < 0:
            return False
        place(field, table, at, n, g, z)
        z[0, n], z[1, n] = br, bi
        close_disc(scan, z[2, n], z[3, n], field.spacing, 1)
        answer_leak(field, g, z)
    return True


@inner
def place(field: Field, table: Table, at: int, n: int, g: Real, z: Real) -> None:
    """Put antenna n on grid point `at`: position and channel."""
    M = field.clients + field.interferers
    z[2, n], z[3, n] = table.px[at], table.py[at]
    for m in range(M):
        g[0, n * M + m], g[1, n * M + m] = table.tr[m, at], table.ti[m, at]


@inner
def _cost(
    field: Field,
    table: Table,
    E: Complex,
    W: Complex,
    v: Real,
    q: int,
    offset: float,
    n: int,
) -> tuple[float, float, float]:
    """Least p sum_k 1 / (|u_k|^2 + 0.02 n) over 4 phases of u = v + e^{j phi} T~_q, and phase."""
    K, M = field.clients, field.clients + field.interferers
    t = blank(2, M)
    for m in range(M):
        t[0, m], t[1, m] = table.tr[m, q], table.ti[m, q]
    see_sums(field, E, W, t)
    best, bc, bs = np.inf, 1.0, 0.0
    s, c = sincos(0.25 * offset)
    for _ in range(4):
        s, c = c, -s
        total, p = 0.0, float(n)
        for k in range(K):
            ur = v[0, k] + c * t[0, k] - s * t[1, k]
            ui = v[1, k] + c * t[1, k] + s * t[0, k]
            total += 1 / (ur * ur + ui * ui + 0.02 * n)
        for j in range(K, M):
            ur = v[0, j] + c * t[0, j] - s * t[1, j]
            ui = v[1, j] + c * t[1, j] + s * t[0, j]
            p += ur * ur + ui * ui
        if p * total < best:
            best, bc, bs = p * total, c, s
    return best, bc, bs
