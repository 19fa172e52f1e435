"""Loops of the relaxed choice of clients inside SCA-PDD: see `choice`."""

from __future__ import annotations

import math

import numpy as np

from airtune.compiled import entry, inner
from airtune.kinds import Real
from airtune.placement.kernels.decomposition import (
    FEASIBLE,
    INNER,
    SETTLED,
    SHRINK,
    duals,
    primal_steps,
    raise_multipliers,
    trial_arrays,
    violation,
)
from airtune.placement.kernels.field import Field, Workspace, channel, combine

OUTER = 60
FIRST_PENALTY = 10.0
"""rho of the first outer step: starts are random combinations."""


@inner
def shares(field: Field, u: Real, lam: Real, rho: float, count: int, copy: Real) -> None:
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
def relax(field: Field, z: Real, count: int, moving: bool, work: Workspace) -> None:
    """PDD over a, the shares and, if `moving`, the positions, from z = (Re a, Im a, x, y) in place.

    Parameters
    ----------
    field : Field
    z : ndarray, shape (4, N)
    count : int
        M, 1 to K.
    moving : bool
    work : Workspace
        u holds the sums a^T g_k at the end.
    """
    N, K, u = field.antennas, field.clients, work.u
    dual, trial = duals(field), trial_arrays(field)
    channel(field, z[2], z[3], work)
    combine(field, z, work)
    power = np.sort(u[0, :K] ** 2 + u[1, :K] ** 2)
    scale = 1 / math.sqrt(max(power[K - count], 1e-6))
    for i in range(N):
        z[0, i] *= scale
        z[1, i] *= scale
    rho, eta = FIRST_PENALTY, np.inf
    for _ in range(OUTER):
        before = np.inf
        for _ in range(INNER):
            combine(field, z, work)
            shares(field, u, dual.lam, rho, count, dual.copy)
            now = primal_steps(field, z, rho, moving, dual, work, trial)
            if before - now < SETTLED * abs(now):
                break
            before = now
        h = violation(field, dual, u)
        if h < FEASIBLE:
            break
        if h <= eta:
            raise_multipliers(field, dual, u, rho)
        else:
            rho *= SHRINK
        eta = 0.9 * h
