"""Exact round problem under a total energy budget: branch and bound on a relaxation.

The batches are a knapsack with convex costs, coupled through one deadline and one back-off.  Cells
of server time (and of back-off, where clients have budgets of their own) are bounded by the priced
relaxation of :mod:`airtune.planning.lagrangian`.  Within a cell every deviation of a batch from the
priced optimum has a known least cost; batches are enumerated as long as the sum of these costs
leaves the bound below the best value known.
"""

from __future__ import annotations

import numpy as np

from airtune.planning.compiled import compiled
from airtune.planning.kernels import (
    Clients,
    FloatArray,
    Limits,
    best_backoff,
    deadline_at,
    fill_caps,
    noise_of,
    server_cost,
    server_time_span,
    spent,
)
from airtune.planning.lagrangian import cell_bound, priced_cost, tune_price
from airtune.planning.problem import BACKOFF_MIN

_CELLS = 400


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


@compiled
def _deviations(
    clients: Clients,
    deadline: float,
    bend: float,
    price: float,
    caps: FloatArray,
    cut: float,
    ends: tuple[float, float],
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Batches of each client that can still be in a plan below `cut`, cheapest first.

    Returns
    -------
    (ndarray, ndarray, ndarray, ndarray)
        Number of batches (K,), batches (K, W), and what each adds to the bound at the two ends.
    """
    K = caps.size
    width = int(np.max(caps))
    count = np.zeros(K)
    choice, add_a, add_b = np.empty((K, width)), np.empty((K, width)), np.empty((K, width))
    for k in range(K):
        gain = clients.cubic[k] / deadline**2
        most = int(caps[k])
        cost_a, cost_b = np.empty(most), np.empty(most)
        for b in range(1, most + 1):
            head = (clients.alpha[k], clients.slow[k], gain)
            cost_a[b - 1] = priced_cost(*head, 1 - bend, price, float(b))
            cost_b[b - 1] = priced_cost(*head, 1 + bend, price, float(b))
        cost_a -= cost_a.min()
        cost_b -= cost_b.min()
        key = np.minimum(ends[0] + cost_a, ends[1] + cost_b)
        n = 0
        for _ in range(most):
            i = int(np.argmin(key))
            if key[i] >= cut:
                break
            choice[k, n], add_a[k, n], add_b[k, n] = i + 1.0, cost_a[i], cost_b[i]
            key[i] = np.inf
            n += 1
        count[k] = n
    return count, choice, add_a, add_b


@compiled
def _enumerate(
    clients: Clients,
    limits: Limits,
    rounds: float,
    samples: float,
    cut: float,
    ends: tuple[float, float],
    lists: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
    nodes: int,
    batch: FloatArray,
) -> tuple[float, float, float, int]:
    """Depth-first search over the listed batches; (value, rho, server time, nodes left).

    Clients that are alike take their batches in falling order. No nodes left: not finished.
    """
    count, choice, add_a, add_b = lists
    K = count.size
    position = np.zeros(K, np.int64)
    sum_a, sum_b = np.empty(K + 1), np.empty(K + 1)
    sum_a[0], sum_b[0] = ends
    trial = np.empty(K)
    best, best_rho, best_time = cut, 0.0, 0.0
    k = 0
    while k >= 0:
        if nodes <= 0:
            break
        i = position[k]
        if i >= count[k]:
            k -= 1
            continue
        position[k] += 1
        nodes -= 1
        a, b = sum_a[k] + add_a[k, i], sum_b[k] + add_b[k, i]
        lowest = min(sum_a[k], sum_b[k]) + min(add_a[k, i], add_b[k, i])
        if min(a, b) >= best:
            if lowest >= best and ends[0] == ends[1]:
                k -= 1  # sorted: the rest costs more
            continue
        trial[k] = choice[k, i]
        if clients.twin[k] and trial[k] > trial[k - 1]:
            continue
        if k + 1 < K:
            k += 1
            sum_a[k], sum_b[k] = a, b
            position[k] = 0
            continue
        rho, time = best_backoff(clients, limits, rounds, samples, trial)
        if rho > 0:
            value = noise_of(clients, limits, trial, rho)
            if value < best:
                best, best_rho, best_time = value, rho, time
                batch[:] = trial
    return best, best_rho, best_time, nodes


@compiled
def _set(cells: FloatArray, row: int, early: float, late: float, low: float, high: float) -> None:
    cells[row, 0], cells[row, 1], cells[row, 2], cells[row, 3] = early, late, low, high


@compiled
def solve_round(
    clients: Clients,
    limits: Limits,
    rounds: float,
    samples: float,
    cut: float,
    guess: float,
    sweeps: int,
    nodes: int,
    batch: FloatArray,
) -> tuple[float, float, float, float, float, float]:
    """Round problem of (T, T0 B0) below `cut`.

    Parameters
    ----------
    guess : float
        Price of energy to start from, > 0.
    sweeps : int
        Alternations of price and server time.
    nodes : int
        Limit of the enumeration; 0 gives the relaxation and a good plan only.
    batch : ndarray, shape (K,)
        Receives the batches of the value returned, if it is below `cut`.

    Returns
    -------
    (float, float, float, float, float, float)
        Lower bound (at most the value), value (inf: nothing below `cut`), rho, server time, price,
        and nodes left.
    """
    K = batch.size
    ones, caps, trial = np.ones(K), np.empty(K), np.empty(K)
    span = server_time_span(clients, limits, rounds, samples, ones)
    if span[0] > span[1]:
        return np.inf, np.inf, 0.0, 0.0, guess, nodes
    top, _ = best_backoff(clients, limits, rounds, samples, ones)
    if limits.air == 0 and top > 0:
        top = BACKOFF_MIN if limits.radio > 0 else 1.0
    if top < 0:
        return np.inf, np.inf, 0.0, 0.0, guess, nodes
    rho_span = (BACKOFF_MIN if limits.radio > 0 else 1.0, top)
    price, time = tune_price(clients, limits, rounds, samples, guess, span, rho_span, sweeps, trial)
    value, best_rho, best_time = np.inf, 0.0, 0.0
    limit = cut
    # cells: server times and back-offs still to bound
    cells = np.empty((_CELLS + 4, 4))
    _set(cells, 0, span[0], span[1], rho_span[0], rho_span[1])
    count, visited, lower = 1, 0, np.inf
    tried = False
    while count > 0:
        count -= 1
        early, late, low, high = (
            cells[count, 0],
            cells[count, 1],
            cells[count, 2],
            cells[count, 3],
        )
        visited += 1
        if not fill_caps(clients, rounds, deadline_at(limits, rounds, early), low, caps):
            continue
        ends = cell_bound(
            clients, limits, rounds, samples, price, caps, early, late, (low, high), trial
        )
        bound = min(ends[0], ends[1])
        if bound >= limit:
            continue
        if not tried:  # the cell of the optimum is bounded late: find a plan first
            tried = True
            tune_price(clients, limits, rounds, samples, guess, span, rho_span, sweeps, trial)
            improve(clients, limits, rounds, samples, time, trial)
            rho, at = best_backoff(clients, limits, rounds, samples, trial)
            if rho > 0 and noise_of(clients, limits, trial, rho) < limit:
                value, best_rho, best_time = noise_of(clients, limits, trial, rho), rho, at
                limit = value
                batch[:] = trial
                if bound >= limit:
                    continue
        middle, centre = 0.5 * (early + late), 0.5 * (low + high)
        inner = np.inf
        if fill_caps(clients, rounds, deadline_at(limits, rounds, middle), centre, caps):
            inner = min(
                cell_bound(
                    clients,
                    limits,
                    rounds,
                    samples,
                    price,
                    caps,
                    middle,
                    middle,
                    (low, high),
                    trial,
                )
            )
        fill_caps(clients, rounds, deadline_at(limits, rounds, early), low, caps)
        room = limit - bound
        error = inner - bound
        fine = error <= max(0.1 * room, 1e-12 * abs(bound)) or visited >= _CELLS
        if not fine:
            split_rho = False
            if limits.metered and high > low:
                wide = (late - early) / max(span[1] - span[0], 1e-300)
                split_rho = early == late or (high - low) / high >= wide
            if split_rho:
                _set(cells, count, early, late, low, centre)
                _set(cells, count + 1, early, late, centre, high)
                count += 2
                continue
            if early < late:
                cut_at = (
                    time
                    if early + 0.05 * (late - early) < time < late - 0.05 * (late - early)
                    else middle
                )
                _set(cells, count, early, cut_at, low, high)
                _set(cells, count + 1, cut_at, late, low, high)
                count += 2
                continue
        deadline = deadline_at(limits, rounds, middle)
        bend = 0.0
        if early < late:
            bend = (late - early) / (rounds * deadline)
        if nodes <= 0:
            lower = min(lower, bound)
            continue
        lists = _deviations(clients, deadline, bend, price, caps, limit, ends)
        found, rho, at, nodes = _enumerate(
            clients, limits, rounds, samples, limit, ends, lists, nodes, trial
        )
        if rho > 0:
            value, best_rho, best_time, limit = found, rho, at, found
            batch[:] = trial
        if nodes <= 0:
            lower = min(lower, bound)
    return min(lower, limit), value, best_rho, best_time, price, nodes
