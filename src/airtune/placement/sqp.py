"""SQP on the epigraph form: maximise t s.t. t <= f_k(z), box, spacing; z = (Re a, Im a, x, y).

f_k = log|u_k|^2 - log p. Each step solves max s - d'H d/2 s.t. s <= f_k - min f + J_k d and the
linearised spacing within a trust region; linearising |r_i - r_j|^2 is an inner approximation, so
every iterate is feasible and min f alone decides on a step.
"""

from __future__ import annotations

import math

import numpy as np

from airtune.placement.field import bending, channel, combine, entry, inner
from airtune.placement.nulling import hold_leak, leak_matrix, leak_solve
from airtune.placement.qp import cholesky, dual

TAU = 2 * math.pi
TRUST = 0.15
OPTIMISM = 2.0
"""What a climb gains in total, as a multiple of what its model predicts for the next step."""


@entry
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


@entry
def hessian(field, ar, ai, g, rays, u, p, lam, n, Z, J, H):  # type: ignore[no-untyped-def]
    """H = - sum_k lam_k Hess f_k, plus positive terms on the gauge directions a and j a.

    H = sum_k 2 lam_k Re(z_k z_k' - Hess u_k / u_k) + Hess log p; lower triangle of H (n, n) only.
    """
    N, K = field.antennas, field.clients
    M = K + field.interferers
    V, weight = np.zeros((2 * M + 6, n)), np.zeros(2 * M + 6)
    rows = 3
    size = 0.0
    for i in range(N):
        size += ar[i] * ar[i] + ai[i] * ai[i]
        V[0, i], V[0, N + i] = ar[i], ai[i]
        V[1, i], V[1, N + i] = -ai[i], ar[i]
    weight[0] = weight[1] = 1 / size
    for i in range(n):
        V[2, i] = Z[2 * M, i]
    weight[2] = -1 / (p * p)
    for m in range(M):
        if m < K and lam[m] <= 0:
            continue
        for i in range(n):
            V[rows, i], V[rows + 1, i] = Z[2 * m, i], Z[2 * m + 1, i]
        weight[rows] = 2 * lam[m] if m < K else 2 / p
        weight[rows + 1] = -2 * lam[m] if m < K else 2 / p
        rows += 2
    _low_rank(V, weight, rows, n, H)
    for i in range(2 * N):
        H[i, i] += 2 / p
    if n > 2 * N:
        slope = np.zeros(n)
        for k in range(K):
            for i in range(n):
                slope[i] += lam[k] * J[k, i]
        _curve(field, ar, ai, g, rays, u, p, lam, slope, H)


@inner
def _low_rank(V, weight, rows, n, H):  # type: ignore[no-untyped-def]
    """H = sum_r weight_r v_r v_r', lower triangle; four rows at a time to spare memory traffic."""
    H[:] = 0.0
    for r in range(0, rows, 4):
        v0, v1, v2, v3 = V[r], V[r + 1], V[r + 2], V[r + 3]
        w0, w1, w2, w3 = weight[r], weight[r + 1], weight[r + 2], weight[r + 3]
        for i in range(n):
            c0, c1, c2, c3 = w0 * v0[i], w1 * v1[i], w2 * v2[i], w3 * v3[i]
            row = H[i]
            for j in range(i + 1):
                row[j] += c0 * v0[j] + c1 * v1[j] + c2 * v2[j] + c3 * v3[j]


@inner
def _curve(field, ar, ai, g, rays, u, p, lam, slope, H):  # type: ignore[no-untyped-def]
    """Add sum_m 2 Re(c_m Hess u_m), local to an antenna.

    c_k = -lam_k / u_k for clients and conj(u_j) / p + e_j / 2 for interferers; e = gamma P is how
    `hold_leak` bends the path, with P = V^H (V V^H + I)^{-1} and dLagrangian = Re sum gamma_n da_n.
    """
    N, K = field.antennas, field.clients
    M = K + field.interferers
    cr, ci = np.zeros(M), np.zeros(M)
    for m in range(M):
        scale = 1 / p
        if m < K:
            scale = -lam[m] / (u[0, m] * u[0, m] + u[1, m] * u[1, m] + 1e-300)
        cr[m], ci[m] = 2 * scale * u[0, m], -2 * scale * u[1, m]
    if M > K:
        e = np.zeros(M - K, np.complex128)
        for j in range(M - K):
            for i in range(N):
                q = i * M + K + j
                e[j] += complex(slope[i], slope[N + i]) * complex(g[0, q], g[1, q])
        leak_solve(leak_matrix(field, g), e)
        for j in range(M - K):
            cr[K + j] += e[j].real
            ci[K + j] -= e[j].imag
    xr, xi, yr, yi = g[2], g[3], g[4], g[5]
    dr, di, bend = np.empty(N * M), np.empty(N * M), np.empty((3, N))
    for i in range(N):
        sxr = sxi = syr = syi = 0.0
        for m in range(M):
            q = i * M + m
            sxr += cr[m] * xr[q] - ci[m] * xi[q]
            sxi += cr[m] * xi[q] + ci[m] * xr[q]
            syr += cr[m] * yr[q] - ci[m] * yi[q]
            syi += cr[m] * yi[q] + ci[m] * yr[q]
            dr[q] = ar[i] * cr[m] - ai[i] * ci[m]
            di[q] = ar[i] * ci[m] + ai[i] * cr[m]
        X, Y = 2 * N + i, 3 * N + i
        H[X, i] += TAU * sxr
        H[X, N + i] -= TAU * sxi
        H[Y, i] += TAU * syr
        H[Y, N + i] -= TAU * syi
    bending(field, rays, dr, di, bend)
    for i in range(N):
        X, Y = 2 * N + i, 3 * N + i
        H[X, X] += TAU * TAU * bend[0, i]
        H[Y, X] += TAU * TAU * bend[1, i]
        H[Y, Y] += TAU * TAU * bend[2, i]


@inner
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


@inner
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


@inner
def _violated(field, x, y, bounds, trust, d, N, c, taken):  # type: ignore[no-untyped-def]
    """Most violated row of box, trust region and spacing at step d.

    Returns (violation, h, key): the row is 0 <= h + c'd with c filled in; key < 0 if none.
    """
    most, h_best, key = 1e-9, 0.0, -1
    for i in range(N):
        for axis in range(2):
            at = x[i] if axis == 0 else y[i]
            step = d[(2 + axis) * N + i]
            low = max(-trust, bounds[2 * axis, i] - at)
            high = min(trust, bounds[2 * axis + 1, i] - at)
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


@entry
def ascend(field, z, bounds, steps, movable, tolerance, target, g, rays, u):  # type: ignore[no-untyped-def]
    """Climb from (a, r) in place; returns log t.

    Parameters
    ----------
    field : Field
    z : ndarray, shape (4, N)
        Re a, Im a, x, y. In: a start with feasible positions. Out: the end, ||a|| = 1.
    bounds : ndarray, shape (4, N)
        Least and greatest x, least and greatest y of every antenna  [wavelengths]
    steps : int
        At most so many steps.
    movable : bool
        False keeps the positions and improves the beamformer only.
    tolerance : float
        Stop when the model predicts less  [nat]
    target : float
        Give up after a step whose optimistic extrapolation stays below this  [nat]
    g, rays : ndarray
        Work space from `rays_of`.
    u : ndarray, shape (2, M)
        Work space.
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
    trial, held = np.empty((4, N)), np.empty((2, M - K))
    leak, wanted = np.empty(M - K, np.complex128), np.empty(M - K, np.complex128)
    ar, ai, x, y = z[0], z[1], z[2], z[3]
    scale = 0.0
    for i in range(N):
        scale += ar[i] * ar[i] + ai[i] * ai[i]
    scale = 1 / math.sqrt(scale)
    for i in range(N):
        ar[i] *= scale
        ai[i] *= scale
    trust, shift = TRUST, 0.0
    value = -np.inf
    channel(field, x, y, g, rays)
    p = combine(field, ar, ai, g, u)
    for iteration in range(steps):
        derivatives(field, ar, ai, g, u, p, n, Z, J, f)
        value = np.inf
        for k in range(K):
            value = min(value, f[k])
        if iteration == 0:
            total = 0.0
            for k in range(K):
                lam[k] = math.exp(-10 * (f[k] - value))
                total += lam[k]
            for k in range(K):
                lam[k] /= total
        hessian(field, ar, ai, g, rays, u, p, lam, n, Z, J, H)
        shift = max(0.0, shift / 4 if shift > 1e-3 else 0.0)
        while not cholesky(H, shift, L):
            shift = max(0.05, 2.5 * shift)
        rows = count = 0
        for k in range(K):
            if f[k] - value < 2.0:
                owner[rows] = k
                if (iteration > 0 and lam[k] > 0) or f[k] <= value:
                    active[count] = rows
                    count += 1
                rows = _add_row(L, J[k], n, f[k] - value, 1.0, rows, B, Q, h, e)
        clients = rows
        taken[:] = False
        s = 0.0
        while True:
            count, s = dual(Q, h, e, rows, active, count, nu, T, work)
            _step(L, B, active, count, nu, n, d)
            if not movable or rows >= most - 1:
                break
            level, key = _violated(field, x, y, bounds, trust, d, N, c, taken)
            if key < 0:
                break
            taken[key] = True
            rows = _add_row(L, c, n, level, 0.0, rows, B, Q, h, e)
        lam[:] = 0.0
        for i in range(count):
            if active[i] < clients:
                lam[owner[active[i]]] = max(0.0, nu[i])
        if s < tolerance or value + OPTIMISM * s < target:
            break
        for j in range(M - K):
            re, im = Z[2 * (K + j)], Z[2 * (K + j) + 1]
            leak[j] = complex(0.0, 0.0)
            for i in range(n):
                leak[j] += complex(re[i], im[i]) * d[i]
        for j in range(M - K):
            held[0, j], held[1, j] = u[0, K + j], u[1, K + j]
        step, gained = 1.0, -np.inf
        for _ in range(10):
            for i in range(N):
                trial[0, i] = ar[i] + step * d[i]
                trial[1, i] = ai[i] + step * d[N + i]
                if movable:
                    trial[2, i] = min(bounds[1, i], max(bounds[0, i], x[i] + step * d[2 * N + i]))
                    trial[3, i] = min(bounds[3, i], max(bounds[2, i], y[i] + step * d[3 * N + i]))
            if movable:
                channel(field, trial[2], trial[3], g, rays)
                if M > K:
                    for j in range(M - K):
                        wanted[j] = complex(held[0, j], held[1, j]) + step * leak[j]
                    hold_leak(field, g, wanted, trial[0], trial[1])
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
        for m in range(M):
            u[0, m] *= scale
            u[1, m] *= scale
        p *= scale * scale
        value += gained
        if step == 1.0:
            trust = min(0.3, 1.5 * trust)
        elif step < 0.4:
            trust = max(0.01, 0.5 * trust)
    return value
