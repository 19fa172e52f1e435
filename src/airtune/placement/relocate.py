"""Moves of single antennas: score every grid point and phase as a new place, in single precision.

With interferers a moved antenna lets them in, and the other antennas' coefficients answer by
`nulling.hold_leak`. To first order that answer is linear in the leak, so it is folded into the
table: with G and V the clients' and interferers' channels at the other antennas,

    T~_k = T_k - E_k T_J,   E = G V^H (V V^H + I)^{-1},   leak left:  s^H (V V^H + I)^{-1} s.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from airtune.placement.field import entry, inner
from airtune.placement.nulling import response, see_sums
from airtune.placement.problem import Real

COS = np.cos(np.pi / 4 * np.arange(4)).astype(np.float32)
SIN = np.sin(np.pi / 4 * np.arange(4)).astype(np.float32)
TWO = np.float32(2.0)
HUGE = np.float32(1e30)
BLOCK = 256

Single = NDArray[np.float32]


class Scan(NamedTuple):
    """Single-precision table for screening, and work space.

    tr, ti : ndarray, float32, shape (M, G)
        The table.
    er, ei, ee : ndarray, float32, shape (M, G)
        The table as seen by the moving antenna, and its squared modulus.
    px, py : ndarray, float32, shape (G,)  [wavelengths]
    low : ndarray, float32, shape (8, G)
        Score of each grid point for 8 phases.
    least, leak : ndarray, float32, shape (8, BLOCK)
    crowd : ndarray, int32, shape (G,)
        Antennas closer than D to each grid point.
    """

    tr: Single
    ti: Single
    er: Single
    ei: Single
    ee: Single
    px: Single
    py: Single
    low: Single
    least: Single
    leak: Single
    crowd: NDArray[np.int32]


def prepare(table: tuple[Real, Real, Real, Real]) -> Scan:
    """Scan tables from the double-precision table (px, py, tr, ti)."""
    px, py, tr, ti = (part.astype(np.float32) for part in table)
    G = len(px)
    return Scan(
        tr,
        ti,
        tr.copy(),
        ti.copy(),
        tr * tr + ti * ti,
        px,
        py,
        np.empty((8, G), np.float32),
        np.empty((8, BLOCK), np.float32),
        np.empty((8, BLOCK), np.float32),
        np.zeros(G, np.int32),
    )


@inner
def uniform(state):  # type: ignore[no-untyped-def]
    """Next number in [0, 1) of splitmix64 (Steele, Lea and Flood 2014)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@inner
def crowd_around(scan, x, y, distance, change):  # type: ignore[no-untyped-def]
    """Add `change` to the crowd of every grid point closer than `distance` to (x, y)."""
    px, py, crowd = scan.px, scan.py, scan.crowd
    X, Y = np.float32(x), np.float32(y)
    limit = np.float32((distance - 1e-6) ** 2) if distance > 1e-6 else np.float32(-1.0)
    delta = np.int32(change)
    for q in range(len(px)):
        dx, dy = px[q] - X, py[q] - Y
        crowd[q] += delta if dx * dx + dy * dy < limit else np.int32(0)


@inner
def fence(scan, bounds, n, change):  # type: ignore[no-untyped-def]
    """Add `change` to the crowd of every grid point outside the box of antenna n."""
    px, py, crowd = scan.px, scan.py, scan.crowd
    left, right = np.float32(bounds[0, n] - 1e-6), np.float32(bounds[1, n] + 1e-6)
    low, high = np.float32(bounds[2, n] - 1e-6), np.float32(bounds[3, n] + 1e-6)
    delta = np.int32(change)
    for q in range(len(px)):
        inside = left <= px[q] and px[q] <= right and low <= py[q] and py[q] <= high
        crowd[q] += np.int32(0) if inside else delta


@inner
def sums_without(field, g, ar, ai, n, v):  # type: ignore[no-untyped-def]
    """v_m = sum over the antennas with a_i != 0 other than n of a_i g_m(r_i), v (2, M)."""
    M = field.clients + field.interferers
    v[:] = 0.0
    for i in range(field.antennas):
        if i == n or (ar[i] == 0.0 and ai[i] == 0.0):
            continue
        o = i * M
        for m in range(M):
            v[0, m] += ar[i] * g[0, o + m] - ai[i] * g[1, o + m]
            v[1, m] += ar[i] * g[1, o + m] + ai[i] * g[0, o + m]


@inner
def see_through(field, scan, first, last, g, v):  # type: ignore[no-untyped-def]
    """Fold the answer of the placed antennas to a leak into scan.er, ei, ee and into v.

    Columns of g of antennas that are not placed, or that moves, must be 0.
    """
    K, J = field.clients, field.interferers
    if J == 0:
        return
    E, W = response(field, g)
    see_sums(field, E, W, v)
    for m in range(K + J):
        er, ei, ee = scan.er[m, first:last], scan.ei[m, first:last], scan.ee[m, first:last]
        tr, ti = scan.tr[m, first:last], scan.ti[m, first:last]
        for q in range(len(er)):
            er[q], ei[q] = tr[q], ti[q]
        if m < K:
            for j in range(J):
                tr, ti = scan.tr[K + j, first:last], scan.ti[K + j, first:last]
                _subtract(er, ei, tr, ti, E[m, j].real, E[m, j].imag)
        else:
            i = m - K
            for k in range(i):
                tr, ti = scan.er[K + k, first:last], scan.ei[K + k, first:last]
                _subtract(er, ei, tr, ti, W[i, k].real, W[i, k].imag)
            scale = np.float32(1 / W[i, i].real)
            for q in range(len(er)):
                er[q] *= scale
                ei[q] *= scale
        for q in range(len(er)):
            ee[q] = er[q] * er[q] + ei[q] * ei[q]


@inner
def _subtract(er, ei, tr, ti, cr, ci):  # type: ignore[no-untyped-def]
    """e -= c t for complex c."""
    fr, fi = np.float32(cr), np.float32(ci)
    for q in range(len(er)):
        er[q] -= fr * tr[q] - fi * ti[q]
        ei[q] -= fr * ti[q] + fi * tr[q]


@entry
def score(field, scan, first, last, v, size, rest):  # type: ignore[no-untyped-def]
    """min_k |v_k + size e^{j phi} T~_kp|^2 / p at grid points first <= p < last for 8 phases.

    |v + m e^{j phi} T|^2 = |v|^2 + m^2 |T|^2 + 2 m Re(e^{j phi} conj(v) T).

    Parameters
    ----------
    field : Field
    scan : Scan
        `low` is the result.
    first, last : int
    v : ndarray, shape (2, M)
        Sums over the other antennas.
    size : float
        Modulus of the coefficient.
    rest : float
        ||a||^2, the moving antenna included.
    """
    K, M = field.clients, field.clients + field.interferers
    m1, m2 = np.float32(size), np.float32(size * size)
    e, c, s = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    for b in range(first, last, BLOCK):
        length = min(BLOCK, last - b)
        for f in range(8):
            for q in range(length):
                scan.least[f, q] = HUGE
                scan.leak[f, q] = rest
        for m in range(M):
            er, ei, ee = (
                scan.er[m, b : b + BLOCK],
                scan.ei[m, b : b + BLOCK],
                scan.ee[m, b : b + BLOCK],
            )
            vr, vi = np.float32(v[0, m]), np.float32(v[1, m])
            base, cr, ci = vr * vr + vi * vi, TWO * m1 * vr, TWO * m1 * vi
            for q in range(length):
                e[q] = base + m2 * ee[q]
                c[q] = cr * er[q] + ci * ei[q]
                s[q] = cr * ei[q] - ci * er[q]
            for f in range(4):  # phases f / 8 and its opposite, f / 8 + 1 / 2
                cos, sin = COS[f], SIN[f]
                if m < K:
                    one, other = scan.least[f], scan.least[f + 4]
                    for q in range(length):
                        part = cos * c[q] - sin * s[q]
                        one[q] = min(one[q], e[q] + part)
                        other[q] = min(other[q], e[q] - part)
                else:
                    one, other = scan.leak[f], scan.leak[f + 4]
                    for q in range(length):
                        part = cos * c[q] - sin * s[q]
                        one[q] += e[q] + part
                        other[q] += e[q] - part
        for f in range(8):
            top, bottom, low = scan.least[f], scan.leak[f], scan.low[f, b : b + BLOCK]
            for q in range(length):
                low[q] = top[q] / bottom[q]


@inner
def best_place(scan, first, last):  # type: ignore[no-untyped-def]
    """Free grid point and phase (eighths of a turn) with the highest score; -1 if none is free."""
    at, phase, top = -1, 0, np.float32(-1.0)
    crowd = scan.crowd
    for f in range(8):
        for b in range(first, last, BLOCK):
            end = min(last, b + BLOCK)
            part, busy = scan.low[f, b:end], crowd[b:end]
            peak = np.float32(-1.0)
            for q in range(len(part)):
                peak = max(peak, part[q] if busy[q] == 0 else np.float32(-1.0))
            if peak > top:
                for q in range(len(part)):
                    if part[q] == peak and busy[q] == 0:
                        at, phase, top = b + q, f, peak
                        break
    return at, phase, top
