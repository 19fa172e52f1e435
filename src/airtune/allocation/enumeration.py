"""Enumeration of the batches that a relaxation leaves open.

A cell is an interval of server times; on it costs and energies are bounded by functions that are
linear in the server time, given by their values at the two ends.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airtune.allocation.compiled import compiled
from airtune.allocation.kernels import (
    Clients,
    FloatArray,
    Limits,
    backoff_term,
    best_backoff,
    noise_of,
)
from airtune.allocation.lagrangian import best_batch, priced_cost

_PRICES = np.array([0.6, 0.8, 0.92, 1.08, 1.25, 1.6])  # relative to the cell's price


# rows of a table of open batches: the batch, what it adds to the bound and the energy [J] it takes
# at the early and at the late end of the cell
_BATCH, _ADD_EARLY, _ADD_LATE, _ENERGY_EARLY, _ENERGY_LATE = 0, 1, 2, 3, 4


@compiled
def deviations(
    clients: Clients,
    deadline: float,
    bend: float,
    price: float,
    caps: FloatArray,
    cut: float,
    ends: tuple[float, float],
) -> tuple[NDArray[np.int64], FloatArray]:
    """Batches of each client that can still be in a plan below `cut`.

    Parameters
    ----------
    deadline, bend : float
        Deadline D at the middle of the cell [s]; relative change of e_k's tangent to its ends.
    caps : ndarray, shape (K,)
        Largest batches in the cell.
    ends : (float, float)
        Bound of the cell at its ends.

    Returns
    -------
    (ndarray of int, shape (K,), ndarray, shape (5, K, W))
        How many batches are open, and their table, cheapest first.
    """
    K, width = caps.size, int(caps.max())
    sizes, table = np.zeros(K, np.int64), np.empty((5, K, width))
    early, late, key = np.empty(width), np.empty(width), np.empty(width)
    for k in range(K):
        gain, most = clients.cubic[k] / deadline**2, int(caps[k])
        low_a, low_b = np.inf, np.inf
        for i in range(most):
            alpha, slow = clients.alpha[k], clients.slow[k]
            early[i] = priced_cost(alpha, slow, gain, 1 - bend, price, i + 1.0)
            late[i] = priced_cost(alpha, slow, gain, 1 + bend, price, i + 1.0)
            low_a, low_b = min(low_a, early[i]), min(low_b, late[i])
        for i in range(most):
            key[i] = min(ends[0] + early[i] - low_a, ends[1] + late[i] - low_b)
        n = 0
        for _ in range(most):
            i = 0
            for j in range(1, most):
                if key[j] < key[i]:
                    i = j
            if key[i] >= cut:
                break
            b = i + 1.0
            table[_BATCH, k, n] = b
            table[_ADD_EARLY, k, n], table[_ADD_LATE, k, n] = early[i] - low_a, late[i] - low_b
            table[_ENERGY_EARLY, k, n] = priced_cost(0.0, clients.slow[k], gain, 1 - bend, 1.0, b)
            table[_ENERGY_LATE, k, n] = priced_cost(0.0, clients.slow[k], gain, 1 + bend, 1.0, b)
            key[i] = np.inf
            n += 1
        sizes[k] = n
    return sizes, table


@compiled
def _rising(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Order in which the sizes rise, equal ones as they stand (by insertion: quick to compile)."""
    order = np.arange(sizes.size)
    for i in range(1, sizes.size):
        k, j = order[i], i
        while j > 0 and sizes[order[j - 1]] > sizes[k]:
            order[j] = order[j - 1]
            j -= 1
        order[j] = k
    return order


@compiled
def _remainders(
    clients: Clients,
    limits: Limits,
    deadline: float,
    bend: float,
    price: float,
    caps: FloatArray,
    shares: tuple[float, float],
    rho: tuple[float, float],
    order: NDArray[np.int64],
) -> FloatArray:
    """Least priced cost of the clients still to come, for several prices.

    Returns
    -------
    ndarray, shape (2, M, K + 1)
        At the two ends of the cell, prices and levels; with the air and the budget.
    """
    K, M = order.size, _PRICES.size
    table = np.zeros((2, M, K + 1))
    for m in range(M):
        value = price * _PRICES[m]
        air, _ = backoff_term(limits, value, rho[0], rho[1])
        for end in range(2):
            tilt = 1 - bend if end == 0 else 1 + bend
            table[end, m, K] = air - value * shares[end]
            for level in range(K - 1, -1, -1):
                k = order[level]
                gain = clients.cubic[k] / deadline**2
                cost, _ = best_batch(clients.alpha[k], clients.slow[k], gain, tilt, value, caps[k])
                table[end, m, level] = table[end, m, level + 1] + cost
    return table


@compiled
def enumerate_batches(
    clients: Clients,
    limits: Limits,
    rounds: float,
    samples: float,
    cut: float,
    ends: tuple[float, float],
    shares: tuple[float, float],
    rho: tuple[float, float],
    price: float,
    caps: FloatArray,
    deadline: float,
    bend: float,
    sizes: NDArray[np.int64],
    table: FloatArray,
    nodes: int,
    batch: FloatArray,
) -> tuple[float, float, float, int]:
    """Depth-first search over the open batches; (value, rho, server time, nodes left).

    With some batches chosen the best price for the others is another: several are tried.  The
    client with most open batches comes last: given the others, its batch must be large enough to
    improve and small enough to be paid, which mostly leaves none.  A full choice is evaluated
    exactly only if its energy can be within the budget somewhere on the cell.  Clients that are
    alike take their batches in falling order.  No nodes left: not finished.

    Parameters
    ----------
    shares : (float, float)
        Energy of a round left for clients and radio at the ends of the cell  [J].
    rho : (float, float)
        Back-offs under search.
    price, caps, deadline, bend : float, ndarray of shape (K,), float, float
        As in :func:`deviations`.
    """
    K = sizes.size
    order = _rising(sizes)
    if sizes[order[0]] == 0:
        return cut, 0.0, 0.0, nodes
    final = order[K - 1]
    rest = _remainders(clients, limits, deadline, bend, price, caps, shares, rho, order)
    gain = clients.cubic[final] / deadline**2
    slow, alpha = clients.slow[final], clients.alpha[final]
    most = 1.0
    for i in range(sizes[final]):
        most = max(most, table[_BATCH, final, i])
    position = np.zeros(K, np.int64)
    sums = np.zeros((5, K + 1))  # bounds and energies at both ends, noise
    sums[0, 0], sums[1, 0] = ends[0], ends[1]
    trial = np.empty(K)
    best, best_rho, best_time = cut, 0.0, 0.0
    level = 0
    while level >= 0 and nodes > 0:
        nodes -= 1
        k = order[level]
        if level == K - 1:
            noise = sums[4, level]
            level -= 1
            if noise + limits.air >= best:
                continue
            b = max(1.0, np.floor(alpha / (best - limits.air - noise)))
            top = most
            if K > 1 and clients.twin[k] and order[K - 2] == k - 1:
                top = min(most, trial[k - 1])
            while b <= top:
                total = noise + alpha / b
                nodes -= 1
                if total + limits.air < best:
                    radio = limits.radio * max(rho[0], limits.air / (best - total))
                    early = sums[2, K - 1] + priced_cost(0.0, slow, gain, 1 - bend, 1.0, b)
                    late = sums[3, K - 1] + priced_cost(0.0, slow, gain, 1 + bend, 1.0, b)
                    if early > shares[0] and late > shares[1]:
                        break
                    radio *= 1 - 1e-12
                    if early + radio <= shares[0] or late + radio <= shares[1]:
                        nodes -= 2 * K  # what the exact evaluation costs, in nodes
                        trial[k] = b
                        backoff, time = best_backoff(clients, limits, rounds, samples, trial)
                        if backoff > 0 and noise_of(clients, limits, trial, backoff) < best:
                            best = noise_of(clients, limits, trial, backoff)
                            best_rho, best_time = backoff, time
                            batch[:] = trial
                b += 1
            continue
        i = position[level]
        if i >= sizes[k]:
            level -= 1
            continue
        position[level] += 1
        a, b = sums[0, level] + table[_ADD_EARLY, k, i], sums[1, level] + table[_ADD_LATE, k, i]
        if min(a, b) >= best:
            if ends[0] == ends[1]:
                level -= 1  # sorted: the rest costs more
            continue
        trial[k] = table[_BATCH, k, i]
        if level > 0 and clients.twin[k] and order[level - 1] == k - 1 and trial[k] > trial[k - 1]:
            continue
        sums[2, level + 1] = sums[2, level] + table[_ENERGY_EARLY, k, i]
        sums[3, level + 1] = sums[3, level] + table[_ENERGY_LATE, k, i]
        sums[4, level + 1] = sums[4, level] + clients.alpha[k] / trial[k]
        pruned = False
        for m in range(_PRICES.size):
            value = price * _PRICES[m]
            early = sums[4, level + 1] + value * sums[2, level + 1] + rest[0, m, level + 1]
            late = sums[4, level + 1] + value * sums[3, level + 1] + rest[1, m, level + 1]
            if min(early, late) >= best:
                pruned = True
                break
        if pruned:
            continue
        level += 1
        sums[0, level], sums[1, level] = a, b
        position[level] = 0
    return best, best_rho, best_time, max(nodes, 0)
