"""Enumeration of the batches that a relaxation leaves open.

A cell is an interval of server times; on it costs and energies are bounded by functions that are
linear in the server time, given by their values at the two ends.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from airtune.allocation.kernels import (
    Clients,
    RoundProblem,
    backoff_term,
    best_backoff,
    noise_of,
)
from airtune.allocation.lagrangian import best_batch, priced_cost
from airtune.compiled import compiled
from airtune.kinds import Integer, Real

_PRICES = np.array([0.6, 0.8, 0.92, 1.08, 1.25, 1.6])  # relative to the cell's price


# rows of a table of open batches: the batch, what it adds to the bound and the energy [J] it takes
# at the early and at the late end of the cell
_BATCH, _ADD_EARLY, _ADD_LATE, _ENERGY_EARLY, _ENERGY_LATE = 0, 1, 2, 3, 4

# rows of the sums over the clients that have their batches: bound and energy at both ends, noise
_BOUND_A, _BOUND_B, _ENERGY_A, _ENERGY_B, _NOISE = 0, 1, 2, 3, 4


class Cell(NamedTuple):
    """A cell of server times under a price of energy.

    Attributes
    ----------
    price : float
        Of a joule, in units of the noise.
    rho : (float, float)
        Back-offs under search.
    ends : (float, float)
        Bound of the cell at its ends.
    shares : (float, float)
        Energy of a round left for clients and radio at the ends  [J].
    deadline : float
        D at the middle  [s].
    bend : float
        Relative change of e_k's tangent from the middle to the ends.
    caps : ndarray, float, shape (K,)
        Largest batches in the cell.
    """

    price: float
    rho: tuple[float, float]
    ends: tuple[float, float]
    shares: tuple[float, float]
    deadline: float
    bend: float
    caps: Real


class Best(NamedTuple):
    """Best choice of an enumeration; `backoff` 0: none.  No nodes left: not finished."""

    value: float
    backoff: float
    server_time: float
    nodes: int


@compiled
def deviations(clients: Clients, cell: Cell, cut: float) -> tuple[Integer, Real]:
    """Batches of each client that can still be in a plan below `cut`.

    Returns
    -------
    (ndarray of int, shape (K,), ndarray, shape (5, K, W))
        How many batches are open, and their table, cheapest first.
    """
    price, bend, ends, caps = cell.price, cell.bend, cell.ends, cell.caps
    K, width = caps.size, int(caps.max())
    sizes, table = np.zeros(K, np.int64), np.empty((5, K, width))
    early, late, key = np.empty(width), np.empty(width), np.empty(width)
    for k in range(K):
        gain, most = clients.cubic[k] / cell.deadline**2, int(caps[k])
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
def _rising(sizes: Integer) -> Integer:
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
def _remainders(problem: RoundProblem, cell: Cell, order: Integer) -> Real:
    """Least priced cost of the clients still to come, for several prices.

    Returns
    -------
    ndarray, shape (2, M, K + 1)
        At the two ends of the cell, prices and levels; with the air and the budget.
    """
    clients, limits, _, _ = problem
    K, M = order.size, _PRICES.size
    table = np.zeros((2, M, K + 1))
    for m in range(M):
        value = cell.price * _PRICES[m]
        air, _ = backoff_term(limits, value, cell.rho[0], cell.rho[1])
        for end in range(2):
            tilt = 1 - cell.bend if end == 0 else 1 + cell.bend
            table[end, m, K] = air - value * cell.shares[end]
            for level in range(K - 1, -1, -1):
                k = order[level]
                gain = clients.cubic[k] / cell.deadline**2
                cost, _ = best_batch(
                    clients.alpha[k], clients.slow[k], gain, tilt, value, cell.caps[k]
                )
                table[end, m, level] = table[end, m, level + 1] + cost
    return table


@compiled
def _complete(
    problem: RoundProblem,
    cell: Cell,
    order: Integer,
    sums: Real,
    most: float,
    best: Best,
    trial: Real,
    batch: Real,
) -> Best:
    """Choose the last client's batch in `trial`: large enough to improve, small enough to be paid.

    A full choice is evaluated exactly only if its energy can be within the budget somewhere on the
    cell.  `sums` are those of the others, `batch` receives the best choice, `most` is the largest
    open batch.
    """
    clients, limits, _, _ = problem
    K, rho, shares = order.size, cell.rho, cell.shares
    k = order[K - 1]
    gain = clients.cubic[k] / cell.deadline**2
    slow, alpha, noise = clients.slow[k], clients.alpha[k], sums[_NOISE]
    value, best_rho, best_time, nodes = best
    if noise + limits.air >= value:
        return best
    b = max(1.0, np.floor(alpha / (value - limits.air - noise)))
    top = most
    if K > 1 and clients.twin[k] and order[K - 2] == k - 1:
        top = min(most, trial[k - 1])
    while b <= top:
        total = noise + alpha / b
        nodes -= 1
        if total + limits.air < value:
            radio = limits.radio * max(rho[0], limits.air / (value - total))
            early = sums[_ENERGY_A] + priced_cost(0.0, slow, gain, 1 - cell.bend, 1.0, b)
            late = sums[_ENERGY_B] + priced_cost(0.0, slow, gain, 1 + cell.bend, 1.0, b)
            if early > shares[0] and late > shares[1]:
                break
            radio *= 1 - 1e-12
            if early + radio <= shares[0] or late + radio <= shares[1]:
                nodes -= 2 * K  # what the exact evaluation costs, in nodes
                trial[k] = b
                backoff, time = best_backoff(problem, trial)
                if backoff > 0 and noise_of(clients, limits, trial, backoff) < value:
                    value = noise_of(clients, limits, trial, backoff)
                    best_rho, best_time = backoff, time
                    batch[:] = trial
        b += 1
    return Best(value, best_rho, best_time, nodes)


@compiled
def _too_dear(price: float, rest: Real, sums: Real, level: int, value: float) -> bool:
    """Whether some price proves that the batches chosen so far lead to nothing below `value`."""
    for m in range(_PRICES.size):
        paid = price * _PRICES[m]
        early = sums[_NOISE, level] + paid * sums[_ENERGY_A, level] + rest[0, m, level]
        late = sums[_NOISE, level] + paid * sums[_ENERGY_B, level] + rest[1, m, level]
        if min(early, late) >= value:
            return True
    return False


@compiled
def enumerate_batches(
    problem: RoundProblem, cell: Cell, cut: float, nodes: int, batch: Real
) -> Best:
    """Depth-first search over the open batches of a cell for a choice below `cut`.

    With some batches chosen the best price for the others is another: several are tried.  The
    client with most open batches comes last: given the others, its batch must be large enough to
    improve and small enough to be paid, which mostly leaves none.  Clients that are alike take
    their batches in falling order.

    Parameters
    ----------
    problem : RoundProblem
    cell : Cell
    cut : float
        A value that is known to be reached.
    nodes : int
        Limit of the search.
    batch : ndarray, float, shape (K,)
        Receives the batches of the best choice.
    """
    clients, ends = problem.clients, cell.ends
    sizes, table = deviations(clients, cell, cut)
    K = sizes.size
    order = _rising(sizes)
    best = Best(cut, 0.0, 0.0, nodes)
    if sizes[order[0]] == 0:
        return best
    rest = _remainders(problem, cell, order)
    most = 1.0
    for i in range(sizes[order[K - 1]]):
        most = max(most, table[_BATCH, order[K - 1], i])
    position = np.zeros(K, np.int64)
    sums = np.zeros((5, K + 1))
    sums[_BOUND_A, 0], sums[_BOUND_B, 0] = ends[0], ends[1]
    trial = np.empty(K)
    level = 0
    while level >= 0 and best.nodes > 0:
        best = Best(best.value, best.backoff, best.server_time, best.nodes - 1)
        k, i = order[level], position[level]
        if level == K - 1:
            best = _complete(problem, cell, order, sums[:, level], most, best, trial, batch)
            level -= 1
            continue
        if i >= sizes[k]:
            level -= 1
            continue
        position[level] += 1
        a = sums[_BOUND_A, level] + table[_ADD_EARLY, k, i]
        b = sums[_BOUND_B, level] + table[_ADD_LATE, k, i]
        if min(a, b) >= best.value:
            if ends[0] == ends[1]:
                level -= 1  # sorted: the rest costs more
            continue
        trial[k] = table[_BATCH, k, i]
        if level > 0 and clients.twin[k] and order[level - 1] == k - 1 and trial[k] > trial[k - 1]:
            continue
        sums[_ENERGY_A, level + 1] = sums[_ENERGY_A, level] + table[_ENERGY_EARLY, k, i]
        sums[_ENERGY_B, level + 1] = sums[_ENERGY_B, level] + table[_ENERGY_LATE, k, i]
        sums[_NOISE, level + 1] = sums[_NOISE, level] + clients.alpha[k] / trial[k]
        if _too_dear(cell.price, rest, sums, level + 1, best.value):
            continue
        level += 1
        sums[_BOUND_A, level], sums[_BOUND_B, level] = a, b
        position[level] = 0
    return Best(best.value, best.backoff, best.server_time, max(best.nodes, 0))
