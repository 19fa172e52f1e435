"""Which of many clients to hear: a relaxed choice inside SCA-PDD, to be rounded by the caller.

The choice of M out of K clients joins the radio problem as shares s_k in [0, 1]:

    minimise_{a, r, s}  p(a, r)    s.t.  |a^T g_k(r)|^2 >= s_k,   sum_k s_k >= M

With s_k in {0, 1} this is the best M clients at the best placement for them: the constraint is
empty for those left out.  Between the integers the square keeps the relaxation close: the noise
grows with the square of a, so half shares for twice as many clients bring nothing by themselves.
In PDD only the step of the copies u_k changes, and it stays in closed form: with
v_k = a^T g_k - rho lam_k the minimiser of sum_k |u_k - v_k|^2 stretches the strong ones first,
sqrt(s_k) = min(1, kappa |v_k|), |u_k| = max(|v_k|, sqrt(s_k)), one kappa >= 1 for all.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from airtune.placement.beamformer import random_starts
from airtune.placement.kernels.field import channel, combine, entry, inner, pack, workspace
from airtune.placement.pdd import FEASIBLE, INNER, SETTLED, SHRINK, _beamformer, _misfit, _move
from airtune.placement.problem import Problem, Real

OUTER = 60
FIRST_PENALTY = 10.0
"""rho of the first outer step: starts are random combinations."""


@inner
def _shares(field, u, lam, rho, count, copy):  # type: ignore[no-untyped-def]
    """u step with shares: stretch |v_k| by the least kappa >= 1 with sum min(1, kappa |v|)^2 >= M.

    The sum grows with kappa between |v| sorted downwards, so kappa is where it meets M: with the
    i strongest at 1, kappa^2 = (M - i) / (sum of the other |v|^2).
    """
    K = field.clients
    v = np.empty(K)
    for k in range(K):
        copy[0, k], copy[1, k] = u[0, k] - rho * lam[0, k], u[1, k] - rho * lam[1, k]
        v[k] = math.sqrt(copy[0, k] ** 2 + copy[1, k] ** 2)
        if v[k] < 1e-12:
            copy[0, k], copy[1, k], v[k] = 1e-12, 0.0, 1e-12
    order = np.argsort(-v)
    rest = 0.0
    for k in range(K):
        rest += v[k] * v[k]
    kappa = 1.0
    for i in range(count):
        kappa = max(1.0, math.sqrt((count - i) / max(rest, 1e-300)))
        if kappa * v[order[i]] <= 1.0:
            break
        rest -= v[order[i]] ** 2
        kappa = max(1.0, 1.0 / v[order[i]])
    for k in range(K):
        stretch = max(1.0, min(1.0, kappa * v[k]) / v[k])
        copy[0, k] *= stretch
        copy[1, k] *= stretch


@entry
def relax(field, z, count, moving, g, rays, u):  # type: ignore[no-untyped-def]
    """PDD over a, the shares and, if `moving`, the positions, from z = (Re a, Im a, x, y) in place.

    Parameters
    ----------
    field : Field
    z : ndarray, shape (4, N)
    count : int
        M, 1 to K.
    moving : bool
    g, rays, u : ndarray
        Work space from `workspace`; u holds the sums a^T g_k at the end.
    """
    N, K = field.antennas, field.clients
    M = K + field.interferers
    lam, copy, t = np.zeros((2, K)), np.empty((2, K)), np.empty((2, K))
    column, fresh, lines = np.empty((6, M)), np.empty((6, M)), np.empty((N + 4, 3))
    channel(field, z[2], z[3], g, rays)
    combine(field, z[0], z[1], g, u)
    power = np.sort(u[0, :K] ** 2 + u[1, :K] ** 2)
    scale = 1 / math.sqrt(max(power[K - count], 1e-6))
    for i in range(N):
        z[0, i] *= scale
        z[1, i] *= scale
    rho, eta = FIRST_PENALTY, np.inf
    for _ in range(OUTER):
        before = np.inf
        for _ in range(INNER):
            combine(field, z[0], z[1], g, u)
            _shares(field, u, lam, rho, count, copy)
            for k in range(K):
                t[0, k], t[1, k] = copy[0, k] + rho * lam[0, k], copy[1, k] + rho * lam[1, k]
            _beamformer(field, g, t, rho, z)
            combine(field, z[0], z[1], g, u)
            size = 0.0
            for n in range(N):
                if moving:
                    _move(field, z, n, t, rho, g, u, column, fresh, lines)
                size += z[0, n] ** 2 + z[1, n] ** 2
            now = _misfit(field, u, t, rho, size)
            if before - now < SETTLED * abs(now):
                break
            before = now
        h = 0.0
        for k in range(K):
            h = max(h, math.hypot(copy[0, k] - u[0, k], copy[1, k] - u[1, k]))
        if h < FEASIBLE:
            break
        if h <= eta:
            for k in range(K):
                lam[0, k] += (copy[0, k] - u[0, k]) / rho
                lam[1, k] += (copy[1, k] - u[1, k]) / rho
        else:
            rho *= SHRINK
        eta = 0.9 * h


def relaxed_orders(
    problem: Problem,
    count: int,
    positions: Real,
    *,
    moving: bool,
    starts: int = 4,
    seed: int = 0,
) -> list[NDArray[np.int64]]:
    """Order the clients by how well they go together with `count` of them to be heard.

    Parameters
    ----------
    problem : Problem
        Of all clients that may be chosen; every weight positive.
    count : int
        M, how many are to be chosen.
    positions : ndarray, shape (N, 2)  [wavelengths]
        Where the antennas are.
    moving : bool
        Whether they may move.
    starts : int
        Random beamformers to start from.
    seed : int

    Returns
    -------
    list of ndarray, int, shape (K,)
        One order for each start, best start first: rounding the relaxation means to take its
        first M clients.

    References
    ----------
    Q. Shi, M. Hong: Penalty dual decomposition method for nonsmooth nonconvex optimization,
    IEEE Trans. Signal Process. 68, 2020.
    """
    positions = np.ascontiguousarray(positions, dtype=np.float64)
    field, _ = pack(problem, antennas=len(positions))
    g, rays, u = workspace(field)
    found = []
    for w in random_starts(problem, positions, starts, seed).T:
        z = np.stack([w.real, -w.imag, positions[:, 0], positions[:, 1]])
        relax(field, z, count, moving, g, rays, u)
        channel(field, z[2], z[3], g, rays)
        p = combine(field, z[0], z[1], g, u)
        heard = (u[:, : field.clients] ** 2).sum(axis=0)
        order = np.argsort(-heard, kind="stable")
        found.append((float(heard[order[count - 1]] / p), order))
    return [order for _, order in sorted(found, key=lambda pair: -pair[0])]
