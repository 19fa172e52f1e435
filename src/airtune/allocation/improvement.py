"""Local search on the batches of a round under a total energy budget."""

from __future__ import annotations

import numpy as np

from airtune.allocation.compiled import compiled
from airtune.allocation.kernels import Clients, FloatArray, Limits, deadline_at, server_cost, spent
from airtune.allocation.problem import BACKOFF_MIN


@compiled
def improve(
    clients: Clients, limits: Limits, rounds: float, samples: float, time: float, batch: FloatArray
) -> None:
    """Raise single batches, then swap a sample between two clients, while the noise falls.

    Works at a fixed server time; the caller evaluates the result exactly.
    """
    K = batch.size
    deadline = deadline_at(limits, rounds, time)
    share = limits.energy / rounds - limits.fixed - server_cost(limits, samples, time) / rounds
    if limits.latency == np.inf:
        deadline = np.inf
    gain = clients.cubic / deadline**2
    up, down = np.empty(K), np.empty(K)
    used, own = 0.0, 1.0
    for k in range(K):
        used += spent(clients, k, batch[k], gain[k])
        if clients.radio[k] > 0 and np.isfinite(clients.budget[k]):
            left = clients.budget[k] / rounds - clients.fixed[k]
            own = min(own, (left - spent(clients, k, batch[k], gain[k])) / clients.radio[k])
    for _ in range(4 * K + 20):
        rho = _affordable_backoff(limits, share - used, own)
        if rho <= 0:
            return
        for k in range(K):
            energy = spent(clients, k, batch[k], gain[k])
            up[k] = np.inf
            if batch[k] + 1 <= clients.batch_max[k]:
                more = spent(clients, k, batch[k] + 1, gain[k])
                timely = (batch[k] + 1) * clients.cycles[k] <= deadline * clients.f_max[k]
                left = clients.budget[k] / rounds - clients.fixed[k] - own * clients.radio[k]
                if timely and more <= left:
                    up[k] = more - energy
            down[k] = energy - spent(clients, k, batch[k] - 1, gain[k]) if batch[k] > 1 else 0.0
        best, best_up, best_down = -1e-15 * limits.air / rho, -1, -1
        for i in range(K):
            if up[i] == np.inf:
                continue
            gained = clients.alpha[i] / (batch[i] * (batch[i] + 1))
            for j in range(-1, K):  # -1: nobody gives a sample
                if j == i or (j >= 0 and batch[j] <= 1):
                    continue
                lost = clients.alpha[j] / (batch[j] * (batch[j] - 1)) if j >= 0 else 0.0
                if lost >= gained:
                    continue
                change = up[i] - (down[j] if j >= 0 else 0.0)
                other = _affordable_backoff(limits, share - used - change, own)
                if other <= 0:
                    continue
                delta = lost - gained + limits.air / other - limits.air / rho
                if delta < best:
                    best, best_up, best_down = delta, i, j
        if best_up < 0:
            return
        used += up[best_up]
        batch[best_up] += 1
        if best_down >= 0:
            used -= down[best_down]
            batch[best_down] -= 1


@compiled
def _affordable_backoff(limits: Limits, left: float, own: float) -> float:
    if limits.radio == 0:
        return 1.0 if left >= 0 else -1.0
    rho = min(1.0, own, left / limits.radio)
    return rho if rho >= BACKOFF_MIN else -1.0
