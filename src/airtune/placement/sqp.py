"""SQP on the epigraph form: maximise t s.t. t <= f_k(z), box, spacing; z = (Re a, Im a, x, y).

f_k = log|u_k|^2 - log p. Each step solves max s - d'H d/2 s.t. s <= f_k - min f + J_k d and the
linearised spacing within a trust region; linearising |r_i - r_j|^2 is an inner approximation, so
every iterate is feasible and min f alone decides on a step.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from airtune.placement.field import FAST, channel, combine, curved_channel
from airtune.placement.qp import cholesky, dual

TAU = 2 * math.pi
TRUST = 0.15


@njit(cache=True, fastmath=FAST, nogil=True)
def derivatives(field, ar, ai, g, u, p, n, Z, J, f):  # type: ignore[no-untyped-def]
    """Values f_k, gradients J_k and the rows of the Hessian's low-rank part.

    Parameters
    ----------
    field : Field
    ar, ai : ndarray, shape (N,)
    g : ndarray, shape (>= 6, N M)
    u : ndarray, shape (2, M)
    p : float
    n : int
        4 N, or 2 N if the positions stay.
    Z : ndarray, shape (2 M + 1, n)
        Out: Re and Im of z_k = grad u_k / u_k (rows 2k, 2k + 1) for clients, of grad u_j for
        interferers, then grad p.
    J : ndarray, shape (K, n)
        Out: J_k = 2 Re z_k - grad log p.
    f : ndarray, shape (K,)
        Out.
    """
    N, K = field.antennas, field.clients
    M = K + field.interferers
    for m in range(M):
        ir, ii = 1.0, 0.0
        if m < K:
            power = u[0, m] * u[0, m] + u[1, m] * u[1, m] + 1e-300
            f[m] = math.log(power / p)
            ir, ii = u[0, m] / power, -u[1, m] / power
        re, im = Z[2 * m], Z[2 * m + 1]
        for i in range(N):
            at = i * M + m
            gr, gi = g[0, at] * ir - g[1, at] * ii, g[0, at] * ii + g[1, at] * ir
            re[i], im[i] = gr, gi
            re[N + i], im[N + i] = -gi, gr
            if n > 2 * N:
                br, bi = TAU * (ar[i] * ir - ai[i] * ii), TAU * (ar[i] * ii + ai[i] * ir)
                re[2 * N + i] = g[2, at] * br - g[3, at] * bi
                im[2 * N + i] = g[2, at] * bi + g[3, at] * br
                re[3 * N + i] = g[4, at] * br - g[5, at] * bi
                im[3 * N + i] = g[4, at] * bi + g[5, at] * br
    dp = Z[2 * M]
    dp[:] = 0.0
    for i in range(N):
        dp[i], dp[N + i] = 2 * ar[i], 2 * ai[i]
    for m in range(K, M):
        sr, si = 2 * u[0, m], 2 * u[1, m]
        for i in range(n):
            dp[i] += sr * Z[2 * m, i] + si * Z[2 * m + 1, i]
    for k in range(K):
        for i in range(n):
            J[k, i] = 2 * Z[2 * k, i] - dp[i] / p


@njit(cache=True, fastmath=FAST, nogil=True)
def hessian(field, ar, ai, g, u, p, lam, n, Z, H):  # type: ignore[no-untyped-def]
    """H = - sum_k lam_k Hess f_k, plus positive terms on the gauge directions a and j a.

    H = sum_k 2 lam_k Re(z_k z_k' - Hess u_k / u_k) + Hess log p; lower triangle of H (n, n) only.
    """
    N, K = field.antennas, field.clients
    M = K + field.interferers
    H[:n, :n] = 0.0
    gauge = np.zeros((2, n))
    size = 0.0
    for i in range(N):
        size += ar[i] * ar[i] + ai[i] * ai[i]
        gauge[0, i], gauge[0, N + i] = ar[i], ai[i]
        gauge[1, i], gauge[1, N + i] = -ai[i], ar[i]
    _rank_one(H, gauge[0], 1 / size, n)
    _rank_one(H, gauge[1], 1 / size, n)
    for m in range(M):
        if m >= K:
            _rank_one(H, Z[2 * m], 2 / p, n)
            _rank_one(H, Z[2 * m + 1], 2 / p, n)
        elif lam[m] > 0:
            _rank_one(H, Z[2 * m], 2 * lam[m], n)
            _rank_one(H, Z[2 * m + 1], -2 * lam[m], n)
    _rank_one(H, Z[2 * M], -1 / (p * p), n)
    for i in range(2 * N):
        H[i, i] += 2 / p
    if n > 2 * N:
        _bend(field, ar, ai, g, u, p, lam, H)


@njit(cache=True, fastmath=FAST, nogil=True)
def _rank_one(H, v, weight, n):  # type: ignore[no-untyped-def]
    for i in range(n):
        c = weight * v[i]
        row = H[i]
        for j in range(i + 1):
            row[j] += c * v[j]


@njit(cache=True, fastmath=FAST, nogil=True)
def _bend(field, ar, ai, g, u, p, lam, H):  # type: ignore[no-untyped-def]
    """Add sum_m 2 Re(c_m Hess u_m), c_k = -lam_k / u_k, c_j = conj(u_j) / p; local to an antenna."""
    N, K = field.antennas, field.clients
    M = K + field.interferers
    cr, ci = np.zeros(M), np.zeros(M)
    for m in range(M):
        if m < K:
            scale = -lam[m] / (u[0, m] * u[0, m] + u[1, m] * u[1, m] + 1e-300)
        else:
            scale = 1 / p
        cr[m], ci[m] = 2 * scale * u[0, m], -2 * scale * u[1, m]
    sums = np.empty((5, 2))
    for i in range(N):
        part = g[:, i * M : (i + 1) * M]
        for q in range(5):
            re, im = part[2 + 2 * q], part[3 + 2 * q]
            sr = si = 0.0
            for m in range(M):
                sr += cr[m] * re[m] - ci[m] * im[m]
                si += cr[m] * im[m] + ci[m] * re[m]
            sums[q, 0], sums[q, 1] = sr, si
        X, Y = 2 * N + i, 3 * N + i
        H[X, i] += TAU * sums[0, 0]
        H[X, N + i] -= TAU * sums[0, 1]
        H[Y, i] += TAU * sums[1, 0]
        H[Y, N + i] -= TAU * sums[1, 1]
        H[X, X] += TAU * TAU * (ar[i] * sums[2, 0] - ai[i] * sums[2, 1])
        H[Y, X] += TAU * TAU * (ar[i] * sums[3, 0] - ai[i] * sums[3, 1])
        H[Y, Y] += TAU * TAU * (ar[i] * sums[4, 0] - ai[i] * sums[4, 1])


@njit(cache=True, fastmath=FAST, nogil=True)
def _add_row(L, c, n, h, e, rows, B, Q, hs, es):  # type: ignore[no-untyped-def]
    """Append the row e s <= h + c'd: b = L^-1 c and its products with the rows before."""
    b = B[rows]
    for i in range(n):
        acc = c[i]
        for k in range(i):
            acc -= L[i, k] * b[k]
        b[i] = acc / L[i, i]
    for r in range(rows + 1):
        acc = 0.0
        for i in range(n):
            acc += B[r, i] * b[i]
        Q[r, rows] = Q[rows, r] = acc
    hs[rows], es[rows] = h, e
    return rows + 1


@njit(cache=True, fastmath=FAST, nogil=True)
def _step(L, B, active, count, nu, n, d):  # type: ignore[no-untyped-def]
    """d = L^-T sum_i nu_i b_i."""
    d[:n] = 0.0
    for i in range(count):
        b = B[active[i]]
        for q in range(n):
            d[q] += nu[i] * b[q]
    for i in range(n - 1, -1, -1):
        d[i] /= L[i, i]
        for k in range(i):
            d[k] -= L[i, k] * d[i]


@njit(cache=True, fastmath=FAST, nogil=True)
def _violated(field, x, y, trust, d, N, c, taken):  # type: ignore[no-untyped-def]
    """Most violated row of box, trust region and spacing at step d.

    Returns (violation, h, key): the row is 0 <= h + c'd with c filled in; key < 0 if none.
    """
    most, h_best, key = 1e-9, 0.0, -1
    for i in range(N):
        for axis in range(2):
            at = x[i] if axis == 0 else y[i]
            far = field.width if axis == 0 else field.height
            step = d[(2 + axis) * N + i]
            low, high = max(-trust, -at), min(trust, far - at)
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


@njit(cache=True, fastmath=FAST, nogil=True)
def ascend(field, ar, ai, x, y, steps, movable, tolerance, target, g, u):  # type: ignore[no-untyped-def]
    """Climb from (a, r) in place; returns log t.

    Parameters
    ----------
    field : Field
    ar, ai, x, y : ndarray, shape (N,)
        In: a start with feasible positions. Out: the end, ||a|| = 1.
    steps : int
        At most so many steps.
    movable : bool
        False keeps the positions and improves the beamformer only.
    tolerance : float
        Stop when the model predicts less  [nat]
    target : float
        Give up after a step whose optimistic extrapolation stays below this  [nat]
    g : ndarray, shape (12, N M)
    u : ndarray, shape (2, M)
    """
    N, K = field.antennas, field.clients
    M = K + field.interferers
    n = 4 * N if movable else 2 * N
    most = K + 6 * N + 8
    Z, J, f, lam = np.empty((2 * M + 1, n)), np.empty((K, n)), np.empty(K), np.zeros(K)
    H, L, d, c = np.empty((n, n)), np.empty((n, n)), np.zeros(4 * N), np.zeros(4 * N)
    B, Q, T = np.empty((most, n)), np.empty((most, most)), np.empty((most, most))
    h, e, nu, work = np.empty(most), np.empty(most), np.empty(most), np.empty(most)
    active = np.empty(most, np.int64)
    taken = np.zeros(4 * N + N * N, np.bool_)
    owner = np.empty(K, np.int64)
    trial = np.empty((4, N))
    scale = 1 / math.sqrt((ar * ar + ai * ai).sum())
    ar *= scale
    ai *= scale
    trust, shift = TRUST, 0.0
    value = -np.inf
    if not movable:
        channel(field, x, y, g[:6])
    for iteration in range(steps):
        if movable:
            curved_channel(field, x, y, g)
        p = combine(field, ar, ai, g, u)
        derivatives(field, ar, ai, g, u, p, n, Z, J, f)
        value = f.min()
        if iteration == 0:
            lam[:] = np.exp(-10 * (f - value))
            lam /= lam.sum()
        hessian(field, ar, ai, g, u, p, lam, n, Z, H)
        shift = max(0.0, shift / 4 if shift > 1e-3 else 0.0)
        while not cholesky(H, shift, L):
            shift = max(0.05, 2.5 * shift)
        rows = count = 0
        for k in range(K):
            if f[k] - value < 2.0:
                owner[rows] = k
                if f[k] - value < 1e-12 and count == 0:
                    active[0] = rows
                    count = 1
                rows = _add_row(L, J[k], n, f[k] - value, 1.0, rows, B, Q, h, e)
        clients = rows
        taken[:] = False
        s = 0.0
        while True:
            count, s = dual(Q, h, e, rows, active, count, nu, T, work)
            _step(L, B, active, count, nu, n, d)
            if not movable or rows >= most - 1:
                break
            level, key = _violated(field, x, y, trust, d, N, c, taken)
            if key < 0:
                break
            taken[key] = True
            rows = _add_row(L, c, n, level, 0.0, rows, B, Q, h, e)
        lam[:] = 0.0
        for i in range(count):
            if active[i] < clients:
                lam[owner[active[i]]] = max(0.0, nu[i])
        if s < tolerance:
            break
        step, gained = 1.0, -np.inf
        for _ in range(10):
            for i in range(N):
                trial[0, i] = ar[i] + step * d[i]
                trial[1, i] = ai[i] + step * d[N + i]
                if movable:
                    trial[2, i] = min(field.width, max(0.0, x[i] + step * d[2 * N + i]))
                    trial[3, i] = min(field.height, max(0.0, y[i] + step * d[3 * N + i]))
            if movable:
                channel(field, trial[2], trial[3], g[:6])
            p = combine(field, trial[0], trial[1], g, u)
            lowest = np.inf
            for k in range(K):
                lowest = min(lowest, u[0, k] * u[0, k] + u[1, k] * u[1, k])
            gained = math.log((lowest + 1e-300) / p) - value
            if gained > 1e-3 * step * s:
                break
            step *= 0.5
        if not gained > 0:
            break
        scale = 0.0
        for i in range(N):
            scale += trial[0, i] * trial[0, i] + trial[1, i] * trial[1, i]
        scale = 1 / math.sqrt(scale)
        for i in range(N):
            ar[i], ai[i] = trial[0, i] * scale, trial[1, i] * scale
            if movable:
                x[i], y[i] = trial[2, i], trial[3, i]
        value += gained
        if step == 1.0:
            trust = min(0.3, 1.5 * trust)
        elif step < 0.4:
            trust = max(0.01, 0.5 * trust)
        if value + 4 * gained < target:
            break
    return value
