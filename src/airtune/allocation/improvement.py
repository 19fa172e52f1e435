"""Local search on the batches of a round under a total energy budget."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from airtune.allocation.kernels import (
    Clients,
    Limits,
    RoundProblem,
    compute_cost,
    deadline_at,
    server_cost,
)
from airtune.allocation.problem import BACKOFF_MIN
from airtune.compiled import compiled
from airtune.kinds import Real


class _Energies(NamedTuple):
    """What a sample more or less costs each client, shape (K,)  [J]; infinity: not allowed.

    `gain` is cubic_k / D^2, see :func:`airtune.allocation.kernels.compute_cost`.
    """

    gain: Real
    up: Real
    down: Real


@compiled
def improve(problem: RoundProblem, time: float, batch: Real) -> None:
    """Raise single batches, then swap a sample between two clients, while the noise falls.

    Works at a fixed server time; the caller evaluates the result exactly.
    """
    clients, limits, rounds, samples = problem
    K = batch.size
    deadline = deadline_at(limits, rounds, time)
    share = limits.energy / rounds - limits.fixed - server_cost(limits, samples, time) / rounds
    if limits.latency == np.inf:
        deadline = np.inf
    energies = _Energies(clients.cubic / deadline**2, np.empty(K), np.empty(K))
    used, own = _energy_and_backoff(clients, rounds, energies.gain, batch)
    for _ in range(4 * K + 20):
        rho = _affordable_backoff(limits, share - used, own)
        if rho <= 0:
            return
        _price_samples(problem, deadline, own, energies, batch)
        more, fewer = _best_exchange(clients, limits, share - used, own, energies, batch)
        if more < 0:
            return
        used += energies.up[more]
        batch[more] += 1
        if fewer >= 0:
            used -= energies.down[fewer]
            batch[fewer] -= 1


@compiled
def _energy_and_backoff(
    clients: Clients, rounds: float, gain: Real, batch: Real
) -> tuple[float, float]:
    """Computing energy of a round [J], and the back-off that the clients' own budgets allow."""
    used, own = 0.0, 1.0
    for k in range(batch.size):
        used += compute_cost(clients, k, batch[k], gain[k])
        if clients.radio[k] > 0 and np.isfinite(clients.budget[k]):
            left = clients.budget[k] / rounds - clients.fixed[k]
            own = min(own, (left - compute_cost(clients, k, batch[k], gain[k])) / clients.radio[k])
    return used, own


@compiled
def _price_samples(
    problem: RoundProblem, deadline: float, own: float, energies: _Energies, batch: Real
) -> None:
    """Write what one sample more and one less costs each client, where it is allowed."""
    clients, rounds = problem.clients, problem.rounds
    gain, up, down = energies
    for k in range(batch.size):
        energy = compute_cost(clients, k, batch[k], gain[k])
        up[k] = np.inf
        if batch[k] + 1 <= clients.batch_max[k]:
            more = compute_cost(clients, k, batch[k] + 1, gain[k])
            timely = (batch[k] + 1) * clients.cycles[k] <= deadline * clients.f_max[k]
            left = clients.budget[k] / rounds - clients.fixed[k] - own * clients.radio[k]
            if timely and more <= left:
                up[k] = more - energy
        down[k] = energy - compute_cost(clients, k, batch[k] - 1, gain[k]) if batch[k] > 1 else 0.0


@compiled
def _best_exchange(
    clients: Clients, limits: Limits, left: float, own: float, energies: _Energies, batch: Real
) -> tuple[int, int]:
    """Client that takes a sample and the one that gives it (-1: nobody); (-1, -1) if none helps.

    `left` is the energy of the round that is left for the radio  [J].
    """
    _, up, down = energies
    rho = _affordable_backoff(limits, left, own)
    best, best_up, best_down = -1e-15 * limits.air / rho, -1, -1
    for i in range(batch.size):
        if up[i] == np.inf:
            continue
        gained = clients.alpha[i] / (batch[i] * (batch[i] + 1))
        for j in range(-1, batch.size):  # -1: nobody gives a sample
            if j == i or (j >= 0 and batch[j] <= 1):
                continue
            lost = clients.alpha[j] / (batch[j] * (batch[j] - 1)) if j >= 0 else 0.0
            if lost >= gained:
                continue
            change = up[i] - (down[j] if j >= 0 else 0.0)
            other = _affordable_backoff(limits, left - change, own)
            if other <= 0:
                continue
            delta = lost - gained + limits.air / other - limits.air / rho
            if delta < best:
                best, best_up, best_down = delta, i, j
    return best_up, best_down


@compiled
def _affordable_backoff(limits: Limits, left: float, own: float) -> float:
    if limits.radio == 0:
        return 1.0 if left >= 0 else -1.0
    rho = min(1.0, own, left / limits.radio)
    return rho if rho >= BACKOFF_MIN else -1.0
