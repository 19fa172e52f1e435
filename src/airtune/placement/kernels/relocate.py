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

from airtune.compiled import entry, inner
from airtune.kinds import Complex, Real
from airtune.placement.kernels.arrays import clear
from airtune.placement.kernels.field import Field
from airtune.placement.kernels.lanes import SINGLES, Vector, fill, greater, lesser, load, store

COS, SIN = np.cos(np.pi / 8 * np.arange(16)), np.sin(np.pi / 8 * np.arange(16))
ROOT = np.float32(np.sqrt(0.5))
TWO = np.float32(2.0)
HUGE = np.float32(1e30)

Single = NDArray[np.float32]
Random = NDArray[np.uint64]
"""State of the random generator, shape (1,)"""


class Scan(NamedTuple):
    """Single-precision table for screening, and work space; G points, padded to P >= G + SINGLES.

    tr, ti : ndarray, float32, shape (M, P)
        The table.
    px, py : ndarray, float32, shape (G,)  [wavelengths]
    top : ndarray, float32, shape (P,)
        Score of each grid point, the best of 8 phases.
    leak : ndarray, float32, shape (2, J, SINGLES)
    obstacles : ndarray, int32, shape (G,)
        How many things close a grid point: antennas that are too near, the box of the one to move.
    """

    tr: Single
    ti: Single
    px: Single
    py: Single
    top: Single
    leak: Single
    obstacles: NDArray[np.int32]


def prepare(table: tuple[Real, Real, Real, Real], interferers: int) -> Scan:
    """Scan tables from the double-precision table (px, py, tr, ti)."""
    px, py, tr, ti = table
    rows, G = tr.shape
    wide = np.zeros((2, rows, G + SINGLES), np.float32)
    wide[0, :, :G], wide[1, :, :G] = tr, ti
    return Scan(
        wide[0],
        wide[1],
        px.astype(np.float32),
        py.astype(np.float32),
        np.zeros(G + SINGLES, np.float32),
        np.empty((2, interferers, SINGLES), np.float32),
        np.zeros(G, np.int32),
    )


@inner
def uniform(state: Random) -> float:
    """Next number in [0, 1) of splitmix64 (Steele, Lea and Flood 2014)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@inner
def close_disc(scan: Scan, x: float, y: float, distance: float, change: int) -> None:
    """Add `change` obstacles to every grid point closer than `distance` to (x, y)."""
    px, py, obstacles = scan.px, scan.py, scan.obstacles
    X, Y = np.float32(x), np.float32(y)
    reach = distance - 1e-6
    limit = np.float32(reach * reach) if reach > 0 else np.float32(-1.0)
    delta = np.int32(change)
    for q in range(len(px)):
        dx, dy = px[q] - X, py[q] - Y
        obstacles[q] += delta if dx * dx + dy * dy < limit else np.int32(0)


@inner
def close_outside(scan: Scan, bounds: Real, n: int, change: int) -> None:
    """Add `change` obstacles to every grid point outside the box of antenna n."""
    px, py, obstacles = scan.px, scan.py, scan.obstacles
    left, right = np.float32(bounds[0, n] - 1e-6), np.float32(bounds[1, n] + 1e-6)
    low, high = np.float32(bounds[2, n] - 1e-6), np.float32(bounds[3, n] + 1e-6)
    delta = np.int32(change)
    for q in range(len(px)):
        inside = left <= px[q] and px[q] <= right and low <= py[q] and py[q] <= high
        obstacles[q] += np.int32(0) if inside else delta


@inner
def sums_without(field: Field, g: Real, z: Real, n: int, v: Real) -> None:
    """v_m = sum over the antennas with a_i != 0 other than n of a_i g_m(r_i), v (2, M)."""
    ar, ai = z[0], z[1]
    M = field.clients + field.interferers
    clear(v)
    for i in range(field.antennas):
        if i == n or (ar[i] == 0.0 and ai[i] == 0.0):
            continue
        o = i * M
        for m in range(M):
            v[0, m] += ar[i] * g[0, o + m] - ai[i] * g[1, o + m]
            v[1, m] += ar[i] * g[1, o + m] + ai[i] * g[0, o + m]


@inner
def _multiply(cr: np.float32, ci: np.float32, tr: Vector, ti: Vector) -> tuple[Vector, Vector]:
    """Real and imaginary part of c t for a complex number and vectors."""
    fr, fi = fill(cr), fill(ci)
    return fr * tr - fi * ti, fr * ti + fi * tr


@inner
def _turned(
    v: Real, j: int, m: np.float32, re: Vector, im: Vector
) -> tuple[Vector, Vector, Vector]:
    """|v_j + m e^{j phi} T|^2 as e + c cos phi - s sin phi: e, c and s."""
    vr, vi = np.float32(v[0, j]), np.float32(v[1, j])
    both = TWO * m * vr, TWO * m * vi
    e = fill(vr * vr + vi * vi) + fill(m * m) * (re * re + im * im)
    c = fill(both[0]) * re + fill(both[1]) * im
    return e, c, fill(both[0]) * im - fill(both[1]) * re


@inner
def _leaks(
    field: Field, scan: Scan, b: int, W: Complex, v: Real, m: np.float32
) -> tuple[Vector, Vector, Vector]:
    """Sum over j of |v_j + m e^{j phi} s_j|^2, s = W^-1 T_J, in the form of `_turned`."""
    K, zero = field.clients, fill(np.float32(0.0))
    e, c, s = zero, zero, zero
    for j in range(field.interferers):
        re, im = load(scan.tr[K + j], b), load(scan.ti[K + j], b)
        for i in range(j):
            pr, pi = load(scan.leak[0, i], 0), load(scan.leak[1, i], 0)
            pr, pi = _multiply(np.float32(W[j, i].real), np.float32(W[j, i].imag), pr, pi)
            re -= pr
            im -= pi
        scale = fill(np.float32(1 / W[j, j].real))
        re *= scale
        im *= scale
        store(scan.leak[0, j], 0, re)
        store(scan.leak[1, j], 0, im)
        ej, cj, sj = _turned(v, K + j, m, re, im)
        e += ej
        c += cj
        s += sj
    return e, c, s


@entry
def score(
    field: Field,
    scan: Scan,
    first: int,
    last: int,
    E: Complex,
    W: Complex,
    v: Real,
    size: float,
    rest: float,
) -> None:
    """The best over 8 phases of min_k |v_k + size e^{j phi} T~_kp|^2 / p at first <= p < last.

    |v + m e^{j phi} T|^2 = |v|^2 + m^2 |T|^2 + 2 m Re(e^{j phi} conj(v) T).

    Parameters
    ----------
    field : Field
    scan : Scan
        `top` is the result; up to SINGLES entries after `last` are overwritten too.
    first, last : int
    E, W : ndarray, complex, shapes (K, J), (J, J)
        From `response` of the other antennas.
    v : ndarray, shape (2, M)
        Sums over the other antennas as `see_sums` leaves them.
    size : float
        Modulus of the coefficient.
    rest : float
        ||a||^2, the moving antenna included.
    """
    K, J = field.clients, field.interferers
    m, root, all_power = np.float32(size), fill(ROOT), fill(np.float32(rest))
    answer = np.empty((2, K, J), np.float32)
    for k in range(K):
        for j in range(J):
            answer[0, k, j], answer[1, k, j] = E[k, j].real, E[k, j].imag
    for b in range(first, last, SINGLES):
        huge = fill(HUGE)
        l0, l1, l2, l3, l4, l5, l6, l7 = huge, huge, huge, huge, huge, huge, huge, huge
        for k in range(K):
            re, im = load(scan.tr[k], b), load(scan.ti[k], b)
            for j in range(J):
                pr, pi = load(scan.tr[K + j], b), load(scan.ti[K + j], b)
                pr, pi = _multiply(answer[0, k, j], answer[1, k, j], pr, pi)
                re -= pr
                im -= pi
            e, c, s = _turned(v, k, m, re, im)
            p, q = root * (c - s), root * (c + s)
            l0, l4 = lesser(l0, e + c), lesser(l4, e - c)
            l1, l5 = lesser(l1, e + p), lesser(l5, e - p)
            l2, l6 = lesser(l2, e - s), lesser(l6, e + s)
            l3, l7 = lesser(l3, e - q), lesser(l7, e + q)
        if J == 0:
            top = greater(greater(greater(l0, l1), greater(l2, l3)), greater(l4, l5))
            top = greater(top, greater(l6, l7)) / all_power
        else:
            e, c, s = _leaks(field, scan, b, W, v, m)
            e += all_power
            p, q = root * (c - s), root * (c + s)
            top = greater(greater(l0 / (e + c), l4 / (e - c)), greater(l1 / (e + p), l5 / (e - p)))
            top = greater(top, greater(l2 / (e - s), l6 / (e + s)))
            top = greater(top, greater(l3 / (e - q), l7 / (e + q)))
        store(scan.top, b, top)


@inner
def best_place(scan: Scan, first: int, last: int) -> int:
    """Free grid point with the highest score; -1 if none is free."""
    top, closed = scan.top[first:last], scan.obstacles[first:last]
    peak = np.float32(-1.0)
    for q in range(len(top)):
        peak = max(peak, top[q] if closed[q] == 0 else np.float32(-1.0))
    if peak < 0:
        return -1
    for q in range(len(top)):
        if top[q] == peak and closed[q] == 0:
            return first + q
    return -1


@inner
def best_phase(
    field: Field, t: Real, v: Real, size: float, rest: float
) -> tuple[float, float, float]:
    """cos, sin of the best of 16 phases for the channel t (2, M), and the score with it."""
    K, M = field.clients, field.clients + field.interferers
    at, top = 0, -1.0
    for f in range(len(COS)):
        c, s = size * COS[f], size * SIN[f]
        least, p = np.inf, rest
        for m in range(M):
            ur = v[0, m] + c * t[0, m] - s * t[1, m]
            ui = v[1, m] + c * t[1, m] + s * t[0, m]
            power = ur * ur + ui * ui
            if m < K:
                least = min(least, power)
            else:
                p += power
        if least / p > top:
            at, top = f, least / p
    return COS[at], SIN[at], top
