"""Starts: the table of channels on a grid, and greedy randomised construction (GRASP) on it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from airtune.placement.field import FAST, sincos
from airtune.placement.problem import Real

PITCH = 0.125
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


@njit(cache=True, nogil=True)
def seeded(seed):  # type: ignore[no-untyped-def]
    """State of a splitmix64 generator."""
    state = np.empty(1, np.uint64)
    state[0] = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x1234567)
    return state


@njit(cache=True, nogil=True)
def uniform(state):  # type: ignore[no-untyped-def]
    """Next number in [0, 1) of splitmix64 (Steele, Lea and Flood 2014)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@njit(cache=True, fastmath=FAST, nogil=True)
def tabulate(field, pitch):  # type: ignore[no-untyped-def]
    """Channels on a grid that includes the borders, separable: exp(j x a) exp(j y b).

    Parameters
    ----------
    field : Field
    pitch : float
        Largest distance between neighbours  [wavelengths]

    Returns
    -------
    px, py : ndarray, shape (G,)  [wavelengths]
    tr, ti : ndarray, shape (M, G)
    """
    M, L = field.clients + field.interferers, field.ux.shape[0]
    nx = int(math.ceil(field.width / pitch - 1e-9)) + 1
    ny = int(math.ceil(field.height / pitch - 1e-9)) + 1
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


@njit(cache=True, fastmath=FAST, nogil=True)
def grasp(field, table, share, state, ar, ai, x, y):  # type: ignore[no-untyped-def]
    """One greedy randomised start.

    Antennas one by one: of a random `share` of the free grid points, each with 4 phases from a
    random offset, the minimiser of p sum_k 1 / (|v_k + e^{j phi} T_kp|^2 + 0.02 n).

    Parameters
    ----------
    field : Field
    table : Table
    share : float
    state : ndarray, uint64, shape (1,)
        Random generator.
    ar, ai, x, y : ndarray, shape (N,)
        Out.

    Returns
    -------
    bool
        False if the grid had no free point left for some antenna.
    """
    K = field.clients
    M = K + field.interferers
    G = len(table.px)
    free = np.ones(G, np.bool_)
    v = np.zeros((2, M))
    D2 = (field.spacing - 1e-12) ** 2 if field.spacing > 0 else -1.0
    for n in range(field.antennas):
        best, at, br, bi = np.inf, -1, 1.0, 0.0
        wanted = max(8.0, share * G)
        for attempt in range(2):
            for q in range(G):
                if not free[q] or (attempt == 0 and uniform(state) * G > wanted):
                    continue
                s, c = sincos(0.25 * uniform(state))
                for _ in range(4):
                    s, c = c, -s
                    cost = _cost(field, table, v, q, c, s, n + 1)
                    if cost < best:
                        best, at, br, bi = cost, q, c, s
            if at >= 0:
                break
        if at < 0:
            return False
        ar[n], ai[n], x[n], y[n] = br, bi, table.px[at], table.py[at]
        for m in range(M):
            v[0, m] += br * table.tr[m, at] - bi * table.ti[m, at]
            v[1, m] += br * table.ti[m, at] + bi * table.tr[m, at]
        for q in range(G):
            dx, dy = table.px[q] - x[n], table.py[q] - y[n]
            if dx * dx + dy * dy < D2:
                free[q] = False
    return True


@njit(cache=True, fastmath=FAST, nogil=True, inline="always")
def _cost(field, table, v, q, c, s, n):  # type: ignore[no-untyped-def]
    """p sum_k 1 / (|u_k|^2 + 0.02 n) with u = v + e^{j phi} T_q and n unit coefficients."""
    total, p = 0.0, float(n)
    for m in range(field.clients + field.interferers):
        tr, ti = table.tr[m, q], table.ti[m, q]
        ur = v[0, m] + c * tr - s * ti
        ui = v[1, m] + c * ti + s * tr
        power = ur * ur + ui * ui
        if m < field.clients:
            total += 1 / (power + 0.02 * n)
        else:
            p += power
    return p * total
