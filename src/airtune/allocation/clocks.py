"""Clocks for given integers: the cheapest division of the time between server and clients."""

from __future__ import annotations

import numpy as np

from airtune.allocation.problem import (
    ROUNDING,
    ResourceProblem,
    client_energy,
    compute_allowance,
    deadline,
    server_energy,
    server_time_range,
)
from airtune.kinds import Real

_HALVINGS = 200


def least_deadline(problem: ResourceProblem, batch: Real, allowance: Real) -> float:
    """Shortest compute time of a round in which all clients can do their batches.

    D >= c_k B_k / f_max and kappa_k c_k^3 B_k^3 / D^2 <= allowance_k, and D is no shorter than what
    is done beside computing.

    Parameters
    ----------
    problem : ResourceProblem
    batch : ndarray, shape (K,)
    allowance : ndarray, shape (K,)  [J]
        Energy for computing in a round; infinity is no limit.

    Returns
    -------
    float
        Infinity when a client cannot afford its batch even at its lowest clock.
    """
    c = problem.clients
    work = c.cycles * batch
    if np.any(c.kappa * work * c.f_min**2 > allowance * (1 + ROUNDING)):
        return float("inf")
    fastest = work / c.f_max
    with np.errstate(divide="ignore", invalid="ignore"):
        affordable = work * np.sqrt(c.kappa * work / allowance)
    # a client that can afford f_min needs no more time than f_min takes
    affordable = np.minimum(np.nan_to_num(affordable, nan=0.0), work / c.f_min)
    return max(float(np.max(np.maximum(fastest, affordable))), problem.beside_s)


def cheapest_server_time(
    problem: ResourceProblem,
    rounds: int,
    samples: int,
    batch: Real,
    backoff: float,
) -> float | None:
    """Time of pre-training that costs the least energy in total.

    Total energy is convex in the server's time s: kappa_0 (n c_0)^3 / s^2 falls, the clients'
    T sum_k kappa_k (c_k B_k)^3 / D(s)^2 grows; the root of its derivative is found by halving.

    Parameters
    ----------
    problem : ResourceProblem
    rounds, samples : int
        T and T0 B0.
    batch : ndarray, shape (K,)
    backoff : float
        rho.

    Returns
    -------
    float or None
        Seconds; None when latency or a client's budget cannot be met. The total energy budget is
        not looked at.
    """
    allowance = compute_allowance(problem, rounds, backoff)
    needed = least_deadline(problem, batch, allowance)
    low, high = server_time_range(problem, samples)
    if not np.isfinite(problem.latency_s):
        return high if np.isfinite(needed) else None
    latest = problem.latency_s - rounds * (needed + problem.round_s)
    if latest < low - ROUNDING * problem.latency_s:
        return None
    high = max(low, min(high, latest))
    if samples == 0:
        return 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if _marginal_energy(problem, rounds, samples, batch, middle) > 0:
            high = middle
        else:
            low = middle
    return high


def _marginal_energy(
    problem: ResourceProblem, rounds: int, samples: int, batch: Real, time: float
) -> float:
    """Derivative of the total energy in the server's time  [W]."""
    c, s = problem.clients, problem.server
    limit = deadline(problem, rounds, time)
    if limit <= 0:
        return float("inf")
    work = c.cycles * batch
    busy = work > c.f_min * limit
    clients = 2 * np.sum(c.kappa * work**3 * busy) / limit**3
    return float(clients - 2 * s.kappa * (samples * s.cycles) ** 3 / time**3)


def total_energy(
    problem: ResourceProblem,
    rounds: int,
    samples: int,
    batch: Real,
    backoff: float,
    server_time: float,
) -> float:
    """Energy of the whole run  [J]: pre-training, clients and fixed energy of the rounds."""
    c = problem.clients
    limit = deadline(problem, rounds, server_time)
    spent = client_energy(problem, batch, limit) + backoff * c.radio_j + c.fixed_j
    return float(
        server_energy(problem, samples, server_time) + rounds * (spent.sum() + problem.round_j)
    )
