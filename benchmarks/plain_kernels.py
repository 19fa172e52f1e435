"""The loops of the placement solver that use explicit vectors, written as plain numba loops.

Every operation and its order are those of `airtune.placement.kernels`, so the answers are the same
to the last bit; the innermost loops run over contiguous memory with few arrays each, as LLVM's own
vectorisation wants them. `placement_vectors.py` measures what that costs.
"""

from __future__ import annotations

import math

import numpy as np

from airtune.compiled import entry, inner
from airtune.kinds import Complex, Real
from airtune.placement.kernels.field import QUARTER, ROUND, Field, Workspace
from airtune.placement.kernels.relocate import HUGE, ROOT, TWO, Scan
from airtune.placement.kernels.subproblem import Model, Rows

WIDTH = 8
REACH = 2.0


@inner
def _sincos(turns):
    h = (turns - ((turns + ROUND) - ROUND)) * QUARTER
    z = h * h
    s = (1 / 362880) - z * (1 / 39916800)
    s = h * (1.0 + z * ((-1 / 6) + z * ((1 / 120) + z * ((-1 / 5040) + z * s))))
    c = (-1 / 3628800) + z * (1 / 479001600)
    c = (1 / 24) + z * ((-1 / 720) + z * ((1 / 40320) + z * c))
    c = 1.0 + z * ((-1 / 2) + z * c)
    s, c = 2.0 * s * c, 1.0 - 2.0 * s * s
    return 2.0 * s * c, 1.0 - 2.0 * s * s


@inner
def _spread(x: Real, y: Real, first: int, R: int, M: int, xs: Real, ys: Real) -> None:
    """Coordinates of R antennas, each repeated for its M rows."""
    for r in range(R):
        for m in range(M):
            xs[r * M + m] = x[first + r]
            ys[r * M + m] = y[first + r]


@entry
def channel(field: Field, x: Real, y: Real, work: Workspace) -> None:
    """g_m(r_n) = sum_l a_ml exp(j 2 pi u_ml . r_n) and its gradient, all rows and antennas."""
    g, rays = work.g, work.rays
    M = field.clients + field.interferers
    R, L = field.group, field.ux.shape[0]
    W = R * M
    xs, ys = np.zeros(W), np.zeros(W)
    phase, sine, cosine = np.empty(W), np.empty(W), np.empty(W)
    for part in range(field.antennas // R):
        _spread(x, y, part * R, R, M, xs, ys)
        o = part * W
        gr, gi, xr = g[0, o : o + W], g[1, o : o + W], g[2, o : o + W]
        xi, yr, yi = g[3, o : o + W], g[4, o : o + W], g[5, o : o + W]
        gr[:] = 0.0
        gi[:] = 0.0
        xr[:] = 0.0
        xi[:] = 0.0
        yr[:] = 0.0
        yi[:] = 0.0
        for path in range(L):
            ux, uy, ar, ai = field.ux[path], field.uy[path], field.ar[path], field.ai[path]
            q = (part * L + path) * W
            re, im = rays[0, q : q + W], rays[1, q : q + W]
            for i in range(W):
                phase[i] = ux[i] * xs[i] + uy[i] * ys[i]
            for i in range(W):
                sine[i], cosine[i] = _sincos(phase[i])
            for i in range(W):
                re[i] = ar[i] * cosine[i] - ai[i] * sine[i]
            for i in range(W):
                im[i] = ar[i] * sine[i] + ai[i] * cosine[i]
            for i in range(W):
                gr[i] += re[i]
                gi[i] += im[i]
            for i in range(W):
                xr[i] -= ux[i] * im[i]
                xi[i] += ux[i] * re[i]
            for i in range(W):
                yr[i] -= uy[i] * im[i]
                yi[i] += uy[i] * re[i]


@inner
def bending(field: Field, rays: Real, cr: Real, ci: Real, bend: Real) -> None:
    """Re sum_m c_nm (d2g/dx2, d2g/dxdy, d2g/dy2) / (2 pi)^2 of every antenna."""
    M = field.clients + field.interferers
    R, L = field.group, field.ux.shape[0]
    W = R * M
    er, ei = rays[0], rays[1]
    xx, xy, yy = np.empty(W), np.empty(W), np.empty(W)
    value, along = np.empty(W), np.empty(W)
    for part in range(field.antennas // R):
        kr, ki = cr[part * W : part * W + W], ci[part * W : part * W + W]
        xx[:] = 0.0
        xy[:] = 0.0
        yy[:] = 0.0
        for path in range(L):
            ux, uy = field.ux[path], field.uy[path]
            q = (part * L + path) * W
            re, im = er[q : q + W], ei[q : q + W]
            for i in range(W):
                value[i] = kr[i] * re[i] - ki[i] * im[i]
            for i in range(W):
                along[i] = ux[i] * value[i]
            for i in range(W):
                xx[i] -= ux[i] * along[i]
                xy[i] -= uy[i] * along[i]
            for i in range(W):
                yy[i] -= uy[i] * (uy[i] * value[i])
        for r in range(R):
            bx = bz = by = 0.0
            for m in range(r * M, r * M + M):
                bx += xx[m]
                bz += xy[m]
                by += yy[m]
            n = part * R + r
            bend[0, n], bend[1, n], bend[2, n] = bx, bz, by


@entry
def cholesky(H: Real, shift: float, U: Real) -> bool:
    """Upper U with U' U = H + shift I; False if not positive definite."""
    n = len(H)
    for i in range(n):
        row, source = U[i, i:n], H[i, i:n]
        for b in range(len(row)):
            row[b] = source[b]
        for k in range(i):
            above = U[k, i:n]
            factor = above[0]
            for b in range(len(row)):
                row[b] -= factor * above[b]
        pivot = row[0] + shift
        if not pivot > 1e-10:
            return False
        row[0] = pivot
        scale = 1 / math.sqrt(pivot)
        for b in range(len(row)):
            row[b] *= scale
    return True


@inner
def _low_rank(V: Real, weight: Real, rows: int, n: int, H: Real) -> None:
    """H = sum_r weight_r v_r v_r', upper triangle (and more within WIDTH of the diagonal)."""
    S = np.empty((n, rows))
    for r in range(rows):
        line = V[r]
        for i in range(n):
            S[i, r] = weight[r] * line[i]
    for i in range(n):
        row, scaled = H[i, i:n], S[i]
        for b in range(len(row)):
            row[b] = 0.0
        for r in range(rows):
            line = V[r, i:n]
            factor = scaled[r]
            for b in range(len(row)):
                row[b] += factor * line[b]


@inner
def _add_clients(field: Field, model: Model, value: float, n: int, rows: Rows) -> int:
    """Append s <= f_k - value + J_k d of all clients in REACH: B = U'^-1 J', Q = B' B."""
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
        line = B[i, :count]
        scale = 1 / U[i, i]
        for k in range(i):
            factor, other = U[k, i], B[k, :count]
            for b in range(count):
                line[b] -= factor * other[b]
        for b in range(count):
            line[b] *= scale
    for r in range(count):
        row = dual.Q[r, :count]
        for b in range(count):
            row[b] = 0.0
        for i in range(n):
            line = B[i, :count]
            factor = line[r]
            for b in range(count):
                row[b] += factor * line[b]
    return count


@inner
def _add_row(U: Real, start: int, n: int, h: float, rows: Rows, at: int) -> None:
    """Append the row 0 <= h + c'd, c = 0 before `start`: b = U'^-1 c, its products with all b."""
    B, Q, c = rows.B, rows.dual.Q, rows.c
    for i in range(start):
        B[i, at] = 0.0
    line = Q[at]
    size = at + 1
    products = line[:size]
    for b in range(size):
        products[b] = 0.0
    for i in range(start, n):
        row, value = U[i, i:n], c[i] / U[i, i]
        rest, other = c[i:n], B[i, :size]
        B[i, at] = value
        for b in range(len(row)):
            rest[b] -= value * row[b]
        for b in range(size):
            products[b] += value * other[b]
    for r in range(at):
        Q[r, at] = line[r]
    rows.dual.h[at], rows.dual.e[at] = h, 0.0


@inner
def _step(model: Model, rows: Rows, count: int) -> None:
    """d = U^-1 sum_i nu_i b_i over the active rows."""
    U, B, d, n = model.U, rows.B, model.d, model.H.shape[0]
    active, nu = rows.dual.active, rows.dual.nu
    acc = np.empty(WIDTH)
    for i in range(n - 1, -1, -1):
        line, row, value = B[i], U[i], 0.0
        for r in range(count):
            value += nu[r] * line[active[r]]
        first = i - i % WIDTH
        if first + WIDTH < n:
            acc[:] = 0.0
            for b in range(first + WIDTH, n, WIDTH):
                left, right = row[b : b + WIDTH], d[b : b + WIDTH]
                for j in range(WIDTH):
                    acc[j] += left[j] * right[j]
            value -= ((acc[0] + acc[4]) + (acc[2] + acc[6])) + (
                (acc[1] + acc[5]) + (acc[3] + acc[7])
            )
        for k in range(i + 1, min(n, first + WIDTH)):
            value -= row[k] * d[k]
        d[i] = value / row[i]


@inner
def _copy(a, b):
    for i in range(len(b)):
        b[i] = a[i]


@inner
def _minus(re, im, cr, ci, tr, ti):
    for i in range(len(re)):
        re[i] -= cr * tr[i] - ci * ti[i]
    for i in range(len(re)):
        im[i] -= cr * ti[i] + ci * tr[i]


@inner
def _turned(v, j, m, re, im, e, c, s):
    vr, vi = np.float32(v[0, j]), np.float32(v[1, j])
    a, b = TWO * m * vr, TWO * m * vi
    own, mm = vr * vr + vi * vi, m * m
    for i in range(len(re)):
        e[i] = own + mm * (re[i] * re[i] + im[i] * im[i])
        c[i] = a * re[i] + b * im[i]
    for i in range(len(re)):
        s[i] = a * im[i] - b * re[i]


@inner
def _diagonal(root, c, s, p, q):
    for i in range(len(c)):
        p[i] = root * (c[i] - s[i])
        q[i] = root * (c[i] + s[i])


@inner
def _lower(first, second, e, c):
    for i in range(len(e)):
        a, b = e[i] + c[i], e[i] - c[i]
        first[i] = first[i] if first[i] < a else a
        second[i] = second[i] if second[i] < b else b


@inner
def _raise(top, low):
    for i in range(len(top)):
        top[i] = top[i] if top[i] > low[i] else low[i]


@inner
def _quotient(top, plus, minus, e, c):
    for i in range(len(top)):
        a, b = plus[i] / (e[i] + c[i]), minus[i] / (e[i] - c[i])
        a = a if a > b else b
        top[i] = top[i] if top[i] > a else a


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
    """The best over 8 phases of min_k |v_k + size e^{j phi} T~_kp|^2 / p at first <= p < last."""
    K, J = field.clients, field.interferers
    m, root, all_power = np.float32(size), ROOT, np.float32(rest)
    G = last - first
    lows = np.empty((8, G), np.float32)
    lows[:] = HUGE
    work = np.empty((7 + 2 * J, G), np.float32)
    re, im, e, c, s, p, q = work[0], work[1], work[2], work[3], work[4], work[5], work[6]
    for k in range(K):
        _copy(scan.tr[k, first:last], re)
        _copy(scan.ti[k, first:last], im)
        for j in range(J):
            _minus(
                re,
                im,
                np.float32(E[k, j].real),
                np.float32(E[k, j].imag),
                scan.tr[K + j, first:last],
                scan.ti[K + j, first:last],
            )
        _turned(v, k, m, re, im, e, c, s)
        _diagonal(root, c, s, p, q)
        _lower(lows[0], lows[4], e, c)
        _lower(lows[1], lows[5], e, p)
        _lower(lows[6], lows[2], e, s)
        _lower(lows[7], lows[3], e, q)
    top = scan.top[first:last]
    if J == 0:
        for i in range(G):
            top[i] = 0.0
        for f in range(8):
            _raise(top, lows[f])
        for i in range(G):
            top[i] = top[i] / all_power
        return
    te, tc, ts = np.zeros(G, np.float32), np.zeros(G, np.float32), np.zeros(G, np.float32)
    for j in range(J):
        sr, si = work[7 + 2 * j], work[8 + 2 * j]
        _copy(scan.tr[K + j, first:last], sr)
        _copy(scan.ti[K + j, first:last], si)
        for i in range(j):
            _minus(
                sr,
                si,
                np.float32(W[j, i].real),
                np.float32(W[j, i].imag),
                work[7 + 2 * i],
                work[8 + 2 * i],
            )
        scale = np.float32(1 / W[j, j].real)
        for i in range(G):
            sr[i] *= scale
            si[i] *= scale
        _turned(v, K + j, m, sr, si, e, c, s)
        for i in range(G):
            te[i] += e[i]
            tc[i] += c[i]
        for i in range(G):
            ts[i] += s[i]
    for i in range(G):
        te[i] += all_power
    _diagonal(root, tc, ts, p, q)
    for i in range(G):
        top[i] = 0.0
    _quotient(top, lows[0], lows[4], te, tc)
    _quotient(top, lows[1], lows[5], te, p)
    _quotient(top, lows[6], lows[2], te, ts)
    _quotient(top, lows[7], lows[3], te, q)
