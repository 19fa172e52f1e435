"""Exact batches and back-off of one (T, T0, B0) when only latency and clients' budgets bind.

The clients separate (system-model 8): for a deadline D and an allowance e_k the largest batch is a
closed form, and larger batches only lower the bound.  The back-off rho trades the air noise
G^2 MSE*/rho against the clients' allowances E_k/T - rho p_k u; between two values where some batch
changes the bound falls in rho, so the optimum is 1 or one of these breakpoints.
"""

from __future__ import annotations

import numpy as np

from airtune.planning.cost import FloatArray
from airtune.planning.problem import (
    BACKOFF_MIN,
    ROUNDING,
    ResourceProblem,
    client_energy,
    compute_allowance,
)


def largest_batches(problem: ResourceProblem, limit: float, allowance: FloatArray) -> FloatArray:
    """Largest batch of each client by the deadline and within its allowance.

    B_k = floor min{B_max, D f_max/c_k, e_k/(kappa_k f_min^2 c_k), (e_k D^2/kappa_k)^{1/3}/c_k}

    Parameters
    ----------
    problem : ResourceProblem
    limit : float  [s]
        D, the deadline of the round's computing.
    allowance : ndarray, shape (K,)  [J]
        e_k, energy for computing in a round.

    Returns
    -------
    ndarray, shape (K,)
        Whole numbers; 0 for a client that cannot do a single sample.
    """
    c = problem.clients
    if limit <= 0:
        return np.zeros_like(c.cycles)
    spend = np.maximum(allowance, 0.0)
    bounds = np.minimum(c.batch_max, limit * c.f_max / c.cycles)
    bounds = np.minimum(bounds, spend / (c.kappa * c.f_min**2 * c.cycles))
    with np.errstate(invalid="ignore"):
        cubic = np.cbrt(spend) * np.cbrt(limit**2 / c.kappa) / c.cycles
    bounds = np.floor(np.fmin(bounds, cubic))  # 0 * infinity where nothing may be spent
    for _ in range(2):  # roots and quotients round either way: test B + 1, then B itself
        bounds = np.where(_affordable(problem, bounds + 1, limit, allowance), bounds + 1, bounds)
    return np.where(
        _affordable(problem, bounds, limit, allowance), bounds, np.maximum(bounds - 1, 0)
    )


def _affordable(
    problem: ResourceProblem, batch: FloatArray, limit: float, allowance: FloatArray
) -> np.ndarray:
    c = problem.clients
    in_time = batch * c.cycles <= limit * c.f_max * (1 + ROUNDING)
    paid = client_energy(problem, batch, limit) <= allowance * (1 + ROUNDING)
    return np.asarray((batch <= c.batch_max) & in_time & paid)


def backoff_candidates(problem: ResourceProblem, rounds: int, limit: float) -> FloatArray:
    """Values of rho that can be optimal, in falling order: 1 and every breakpoint below it.

    rho = (E_k / T - fixed - e_k(B)) / (p_k u) for each client and each batch it can finish in time.
    """
    c = problem.clients
    metered = (c.radio_j > 0) & np.isfinite(c.budget_j)
    free = c.budget_j / rounds - c.fixed_j  # without the slack: the plan itself stays within
    points = [np.ones(1)]
    for k in np.flatnonzero(metered):
        most = int(min(c.batch_max[k], np.floor(limit * c.f_max[k] / c.cycles[k] * (1 + ROUNDING))))
        batch = np.arange(1, most + 1, dtype=float)
        clock = np.maximum(c.f_min[k], batch * c.cycles[k] / limit)
        spent = c.kappa[k] * clock**2 * batch * c.cycles[k]
        points.append((free[k] - spent) / c.radio_j[k])
    values = np.concatenate(points)
    return np.unique(values[(values >= BACKOFF_MIN) & (values <= 1)])[::-1]


def best_backoff(
    problem: ResourceProblem, rounds: int, limit: float
) -> tuple[float, float, FloatArray] | None:
    """Batches and back-off with the least noise of a round.

    Minimises sigma_g^2 sum_k omega_k^2 / B_k + G^2 MSE* / rho.

    Parameters
    ----------
    problem : ResourceProblem
        Its total energy budget is not looked at.
    rounds : int
        T.
    limit : float  [s]
        D, the deadline of the round's computing.

    Returns
    -------
    (float, float, ndarray of shape (K,)) or None
        Noise V, rho and batches; None when some client cannot do one sample.
    """
    air = problem.bound.G_sq * problem.mse_star
    square = problem.bound.sigma_g_sq * problem.clients.omega**2
    candidates = backoff_candidates(problem, rounds, limit)
    if air == 0 and np.any(problem.clients.radio_j > 0):
        candidates = np.append(candidates, BACKOFF_MIN)
    best: tuple[float, float, FloatArray] | None = None
    for rho in candidates:
        if best is not None and air / rho >= best[0]:
            break
        batch = largest_batches(problem, limit, compute_allowance(problem, rounds, rho))
        if np.any(batch < 1):
            continue
        useful = np.where(square > 0, batch, 1.0)  # a weightless sample costs energy only
        noise = float(np.sum(square / useful) + air / rho)
        if best is None or noise < best[0] or (air == 0 and noise <= best[0]):
            best = noise, float(rho), useful
    return best
