"""Client selection with the placement: a relaxed choice inside SCA-PDD, rounded by the caller.

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

import numpy as np

from airtune.kinds import Integer, Real
from airtune.placement.beamformer import random_starts
from airtune.placement.kernels.field import channel, combine, pack, workspace
from airtune.placement.kernels.shares import relax
from airtune.placement.problem import Problem


def relaxed_orders(
    problem: Problem,
    count: int,
    positions: Real,
    *,
    moving: bool,
    starts: int = 4,
    seed: int = 0,
) -> list[Integer]:
    """Order the clients by how well they are received with the best `count` of them.

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
    work = workspace(field)
    orders = []
    for w in random_starts(problem, positions, starts, seed).T:
        z = np.stack([w.real, -w.imag, positions[:, 0], positions[:, 1]])
        relax(field, z, count, moving, work)
        channel(field, z[2], z[3], work)
        p = combine(field, z, work)
        power = (work.u[:, : field.clients] ** 2).sum(axis=0)
        order = np.argsort(-power, kind="stable")
        orders.append((float(power[order[count - 1]] / p), order))
    return [order for _, order in sorted(orders, key=lambda pair: -pair[0])]
