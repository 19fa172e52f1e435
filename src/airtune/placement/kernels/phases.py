"""Loops of branch and bound over the clients' phases: whitening, multipliers, bounds of a box.

The formulas are in `branch`.
"""

from __future__ import annotations

import math

import numpy as np

from airtune.compiled import entry, inner
from airtune.kinds import Complex, Real
from airtune.placement.kernels.nulling import factor, leak_solve
from airtune.placement.kernels.qp import Dual, solve_dual

LEAST_PIVOT = 1e-6


@inner
def _solve_lower(L: Complex, B: Complex) -> None:
    """B <- L^-1 B in place."""
    for i in range(B.shape[0]):
        for k in range(i):
            for c in range(B.shape[1]):
                B[i, c] -= L[i, k] * B[k, c]
        for c in range(B.shape[1]):
            B[i, c] /= L[i, i].real


@inner
def _solve_upper(L: Complex, b: Complex) -> None:
    """b <- L^-H b in place."""
    for i in range(len(b) - 1, -1, -1):
        for k in range(i + 1, len(b)):
            b[i] -= L[k, i].conjugate() * b[k]
        b[i] /= L[i, i].real


@entry
def whiten(R: Complex, G: Complex) -> tuple[Complex, Complex]:
    """L with R = L L^H, and H = L^-1 G^T of shape (N, K) for G (K, N)."""
    L, H = R.copy(), G.T.copy()
    factor(L)
    _solve_lower(L, H)
    return L, H


@entry
def unwhiten(L: Complex, b: Complex) -> Complex:
    """w = L^-H b, shape (N,)."""
    w = b.copy()
    _solve_upper(L, w)
    return w


@inner
def _reduced(H: Complex, mu: Real, S: Complex) -> tuple[Complex, bool]:
    """Factor of Q = I - sum_k mu_k h_k h_k^H, and S = factor^-1 H; whether Q is definite enough."""
    N, K = H.shape
    Q = np.zeros((N, N), np.complex128)
    for i in range(N):
        Q[i, i] = 1.0
        for j in range(i + 1):
            for k in range(K):
                Q[i, j] -= mu[k] * H[i, k] * H[j, k].conjugate()
    factor(Q)
    for i in range(N):
        if not Q[i, i].real * Q[i, i].real > LEAST_PIVOT:
            return Q, False
    S[:] = H
    _solve_lower(Q, S)
    return Q, True


@entry
def multipliers(H: Complex) -> Real:
    """mu close to the maximum of sum_k mu_k s.t. Q >= 0, by Newton steps on the barrier

    sum_k mu_k + tau (log det Q + sum_k log mu_k); shape (K,). 1 / sum mu is the semidefinite bound.
    """
    N, K = H.shape
    S, G = np.empty((N, K), np.complex128), np.empty((K, K), np.complex128)
    size = 0.0
    for k in range(K):
        for n in range(N):
            size += (H[n, k] * H[n, k].conjugate()).real
    mu = np.full(K, 0.5 / size)
    tau = mu.sum() / (N + K)
    for _ in range(200):
        _, sound = _reduced(H, mu, S)
        if not sound:
            break
        slope = np.zeros(K, np.complex128)
        for k in range(K):
            for c in range(k + 1):
                g = 0j
                for n in range(N):
                    g += S[n, k].conjugate() * S[n, c]
                power = (g * g.conjugate()).real
                G[k, c] = tau * power
                if c == k:
                    slope[k] = 1 - tau * math.sqrt(power) + tau / mu[k]
                    G[k, k] += tau / (mu[k] * mu[k])
        step = slope.copy()
        factor(G)
        leak_solve(G, step)
        decrement, part = 0.0, 1.0
        for k in range(K):
            decrement += (slope[k] * step[k]).real / tau
        if decrement > 0.1:
            part = 1 / (1 + math.sqrt(decrement))
        for k in range(K):
            if step[k].real < 0:
                part = min(part, -0.9 * mu[k] / step[k].real)
        trial = mu.copy()
        for k in range(K):
            trial[k] += part * step[k].real
        _, sound = _reduced(H, trial, S)
        if not sound:
            break
        mu = trial
        if decrement < 0.3:
            if tau * (N + K) < 1e-4 * mu.sum():
                break
            tau *= 0.3
    return mu


@entry
def relax(H: Complex, mu: Real, low: Real, high: Real, b: Complex) -> float:
    """Lower bound of ||b||^2 for arguments in [low, high], and where it is attained.

    Parameters
    ----------
    H : ndarray, complex, shape (N, K)
        Columns h_k.
    mu : ndarray, shape (K,)
    low, high : ndarray, shape (K,)
        Intervals of arg x_k; pi or wider means free, one at least must be narrower  [rad]
    b : ndarray, complex, shape (N,)
        Out: the minimiser.

    Returns
    -------
    float
        -inf if Q is not definite enough.
    """
    N, K = H.shape
    S = np.empty((N, K), np.complex128)
    Q, sound = _reduced(H, mu, S)
    if not sound:
        return -np.inf
    most = 3 * K + 1
    A, c, size = np.empty((N, most), np.complex128), np.empty(most), 0
    for side in range(3):  # chords, then the two sides of each cone
        for k in range(K):
            width = high[k] - low[k]
            if width > math.pi - 1e-6:
                continue
            if side == 0:
                at, scale, c[size] = 0.5 * (low[k] + high[k]), 1 / math.cos(0.5 * width), 1.0
            else:
                at, scale, c[size] = low[k] + 0.5 * math.pi, 1.0, 0.0
                if side == 2:
                    at = high[k] - 0.5 * math.pi
            turn = scale * complex(math.cos(at), math.sin(at))
            for n in range(N):
                A[n, size] = S[n, k] * turn
            size += 1
    P = np.empty((most, most))
    for i in range(size):
        for j in range(i + 1):
            acc = 0.0
            for n in range(N):
                acc += A[n, i].real * A[n, j].real + A[n, i].imag * A[n, j].imag
            P[i, j] = P[j, i] = acc
    active, nu, T = np.zeros(most, np.int64), np.zeros(most), np.empty((most, most))
    dual = Dual(P, np.zeros(most), c, active, nu, T, np.empty((3, most)))
    count, _ = solve_dual(dual, size, 1, False)
    total, length = 0.0, 0.0
    b[:] = 0.0
    for i in range(count):
        value, row = max(0.0, nu[i]), active[i]
        total += value * c[row]
        length += value * math.sqrt(P[row, row])
        for n in range(N):
            b[n] += value * A[n, row]
    power = 1e-14 * length * length  # what rounding may have taken away
    for n in range(N):
        power += b[n].real * b[n].real + b[n].imag * b[n].imag
    power /= total * total
    for n in range(N):
        b[n] /= total * power
    _solve_upper(Q, b)
    bound = 1 / power
    for k in range(K):
        bound += mu[k]
    return bound
