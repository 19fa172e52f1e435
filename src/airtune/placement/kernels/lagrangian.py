"""Derivatives of f_k = log|u_k|^2 - log p in z = (Re a, Im a, x, y), and of their Lagrangian."""

from __future__ import annotations

import math

import numpy as np

from airtune.compiled import entry, inner
from airtune.kinds import Real
from airtune.placement.kernels.arrays import blank
from airtune.placement.kernels.field import Field, Workspace, bending
from airtune.placement.kernels.lanes import WIDTH, fill, load, store
from airtune.placement.kernels.nulling import leak_matrix, leak_solve
from airtune.placement.kernels.subproblem import Model

TAU = 2 * math.pi


@entry
def derivatives(field: Field, z: Real, work: Workspace, p: float, model: Model) -> None:
    """Values f_k, gradients J_k and the rows of the Hessian's low-rank part.

    Parameters
    ----------
    field : Field
    z : ndarray, shape (4, N)
        Re a, Im a, x, y.
    work : Workspace
        As `channel` and `combine` leave it at z.
    p : float
        From `combine`.
    model : Model
        Out: `Z`, `J` and `f`.
    """
    Z, J, f, n = model.Z, model.J, model.f, model.H.shape[0]
    ar, ai, g, u = z[0], z[1], work.g, work.u
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
    part, two = fill(1 / p), fill(2.0)
    for k in range(K):
        row, real = J[k], Z[2 * k]
        for b in range(0, n, WIDTH):
            store(row, b, two * load(real, b) - part * load(dp, b))


@entry
def hessian(field: Field, z: Real, work: Workspace, p: float, model: Model) -> None:
    """H = - sum_k lam_k Hess f_k, plus positive terms on the gauge directions a and j a.

    H = sum_k 2 lam_k Re(z_k z_k' - Hess u_k / u_k) + Hess log p; upper triangle of H (n, P).
    Parameters are those of `derivatives`, after it.
    """
    Z, J, H, lam, n = model.Z, model.J, model.H, model.lam, model.H.shape[0]
    ar, ai = z[0], z[1]
    N, K = field.antennas, field.clients
    M = K + field.interferers
    V, weight = np.zeros((2 * M + 3, H.shape[1])), np.zeros(2 * M + 3)
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
        _curve(field, z, work, p, slope, model)


@inner
def _low_rank(V: Real, weight: Real, rows: int, n: int, H: Real) -> None:
    """H = sum_r weight_r v_r v_r', upper triangle (and more within WIDTH of the diagonal)."""
    S = blank(n, rows)
    for r in range(rows):
        line = V[r]
        for i in range(n):
            S[i, r] = weight[r] * line[i]
    for i in range(n):
        row, scaled = H[i], S[i]
        for b in range(i - i % WIDTH, n, WIDTH):
            acc = fill(0.0)
            for r in range(rows):
                acc += fill(scaled[r]) * load(V[r], b)
            store(row, b, acc)


@inner
def _curve(field: Field, z: Real, work: Workspace, p: float, slope: Real, model: Model) -> None:
    """Add sum_m 2 Re(c_m Hess u_m), local to an antenna.

    c_k = -lam_k / u_k for clients and conj(u_j) / p + e_j / 2 for interferers; e = gamma P is how
    `hold_leak` bends the path, with P = V^H (V V^H + I)^{-1} and dLagrangian = Re sum gamma_n da_n.
    """
    ar, ai, g, u = z[0], z[1], work.g, work.u
    lam, H = model.lam, model.H
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
    dr, di, bend = np.zeros(N * M + WIDTH), np.zeros(N * M + WIDTH), blank(3, N)
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
        H[i, X] += TAU * sxr
        H[N + i, X] -= TAU * sxi
        H[i, Y] += TAU * syr
        H[N + i, Y] -= TAU * syi
    bending(field, work.rays, dr, di, bend)
    for i in range(N):
        X, Y = 2 * N + i, 3 * N + i
        H[X, X] += TAU * TAU * bend[0, i]
        H[X, Y] += TAU * TAU * bend[1, i]
        H[Y, Y] += TAU * TAU * bend[2, i]
