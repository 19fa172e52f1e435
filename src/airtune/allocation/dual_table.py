"""Cheap lower bounds for all (T, T0 B0) at once: the priced cost of the clients, tabulated.

With a price on energy, what the clients contribute depends on T and T0 B0 only through the deadline
D.  The table holds, for a grid of prices, a convex piecewise-linear function of D that lies below
this contribution.  A bound for one (T, T0 B0) then costs a binary search over D and a walk over the
prices, whatever the number of clients.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from airtune.allocation.kernels import (
    Clients,
    Grid,
    Limits,
    backoff_term,
    deadline_at,
    fill_caps,
    server_cost,
)
from airtune.allocation.lagrangian import clients_bound
from airtune.allocation.separable import separable_noise
from airtune.compiled import compiled
from airtune.kinds import Integer, Real


class DualTable(NamedTuple):
    """Prices (P,), air terms (P,), deadlines (M,) and convex minorants (P, M)."""

    prices: Real
    air: Real
    deadlines: Real
    clients: Real


@compiled
def tabulate(
    clients: Clients,
    limits: Limits,
    prices: Real,
    deadlines: Real,
    rounds: float,
    least_backoff: float,
) -> DualTable:
    """Tabulate the least priced cost of the clients.

    On a cell of deadlines the tangents at its middle make the cost concave, so the chord between
    its values at the ends lies below it; the lower convex hull makes the whole convex.

    Parameters
    ----------
    prices : ndarray, shape (P,)
        Rising.
    deadlines : ndarray, shape (M,)  [s]
        Rising, the first the least at which every client can do one sample; a single infinity when
        there is no latency budget.
    rounds, least_backoff : float
        Least T and rho that the table is used for: they bound what a client may spend.
    """
    K, M = clients.alpha.size, deadlines.size
    air, table = np.empty(prices.size), np.empty((prices.size, M))
    caps, batch = np.empty(K), np.empty(K)
    for p in range(prices.size):
        air[p], _ = backoff_term(limits, prices[p], least_backoff, 1.0)
        table[p] = np.inf
    for j in range(max(1, M - 1)):
        last = deadlines[min(j + 1, M - 1)]
        middle = 0.5 * (deadlines[j] + last)
        if not fill_caps(clients, rounds, last, least_backoff, caps):
            caps[:] = 1.0  # no plan has a deadline in this cell: any bound holds
        for p in range(prices.size):
            if M == 1:
                table[p, 0], _ = clients_bound(clients, last, 1.0, prices[p], caps, batch)
                continue
            bend = (last - deadlines[j]) / middle
            longer, _ = clients_bound(clients, middle, 1 - bend, prices[p], caps, batch)
            sooner, _ = clients_bound(clients, middle, 1 + bend, prices[p], caps, batch)
            table[p, j] = min(table[p, j], sooner)
            table[p, j + 1] = min(table[p, j + 1], longer)
    for p in range(prices.size):
        _convexify(deadlines, table[p])
    return DualTable(prices, air, deadlines, table)


@compiled
def _convexify(x: Real, y: Real) -> None:
    """Replace y by its lower convex hull over x."""
    hull = np.empty(x.size, np.int64)
    n = 0
    for i in range(x.size):
        while n >= 2:
            a, b = hull[n - 2], hull[n - 1]
            if (y[b] - y[a]) * (x[i] - x[a]) >= (y[i] - y[a]) * (x[b] - x[a]):
                n -= 1
            else:
                break
        hull[n] = i
        n += 1
    for h in range(n - 1):
        a, b = hull[h], hull[h + 1]
        for i in range(a + 1, b):
            y[i] = y[a] + (y[b] - y[a]) * (x[i] - x[a]) / (x[b] - x[a])


@compiled
def _cell_of(x: Real, value: float) -> int:
    """Cell of the rising grid x that holds the value; the first or last outside."""
    low, high = 0, x.size - 2
    while low < high:
        middle = (low + high + 1) // 2
        if x[middle] <= value:
            low = middle
        else:
            high = middle - 1
    return low


@compiled
def _priced(table: DualTable, limits: Limits, rounds: float, samples: float, p: int) -> float:
    """Dual value of a round at price p: minimum over the server's time."""
    x, y, price = table.deadlines, table.clients[p], table.prices[p]
    constant = table.air[p] + price * (limits.fixed - limits.energy / rounds)
    slow = samples * limits.server_slow
    if x.size == 1:
        return float(constant + y[0] + price * server_cost(limits, samples, slow) / rounds)
    longest = deadline_at(limits, rounds, samples * limits.server_fast)
    shortest = max(x[0], deadline_at(limits, rounds, slow))
    if longest < x[0] * (1 - 1e-12):
        return np.inf
    longest = max(longest, x[0])
    shortest = min(shortest, longest)
    left, right = _cell_of(x, shortest), _cell_of(x, longest)
    cubic = 2 * price * limits.server_cubic * samples**3
    while left < right:  # the first cell at whose end the cost rises
        cell = (left + right) // 2
        slope = (y[cell + 1] - y[cell]) / (x[cell + 1] - x[cell])
        time = limits.latency - rounds * (x[cell + 1] + limits.round_s)
        if time <= 0 or slope * time**3 + cubic >= 0:
            right = cell
        else:
            left = cell + 1
    slope = (y[left + 1] - y[left]) / (x[left + 1] - x[left])
    low, high = max(x[left], shortest), min(x[left + 1], longest)
    deadline = high
    if slope < 0 and cubic > 0:
        time = np.cbrt(cubic / -slope)
        deadline = min(high, max(low, deadline_at(limits, rounds, time)))
    elif slope >= 0 and cubic > 0:
        deadline = low
    time = limits.latency - rounds * (deadline + limits.round_s)
    server = price * server_cost(limits, samples, time) / rounds
    return float(constant + y[left] + slope * (deadline - x[left]) + server)


@compiled
def table_bound(
    table: DualTable, limits: Limits, rounds: float, samples: float, start: int
) -> tuple[float, int]:
    """Lower bound of the round problem of (T, T0 B0) and the index of its price.

    The dual is concave in the price: walk uphill from `start`.
    """
    p = start
    best = _priced(table, limits, rounds, samples, p)
    if best == np.inf:
        return best, p
    for step in (1, -1):
        moved = False
        while 0 <= p + step < table.prices.size:
            value = _priced(table, limits, rounds, samples, p + step)
            if value <= best:
                break
            best, p, moved = value, p + step, True
        if moved:
            break
    return best, p


@compiled
def scan_front(
    clients: Clients,
    limits: Limits,
    table: DualTable,
    grid: Grid,
    t: int,
    cut: float,
    price: int,
    at: Integer,
    bounds: Real,
) -> tuple[int, int]:
    """All T0 B0 of one T whose lower bound is below `cut`.

    Intervals of the Pareto front are bounded by the noise of their left and the gap of their right
    end, and halved.

    Parameters
    ----------
    t : int
        Index of T in the grid.
    cut : float
        Value of the best plan known.
    price : int
        Index of the price to start from.
    at, bounds : ndarray, shape (P,)
        Receive indices of the front and their bounds.

    Returns
    -------
    (int, int)
        How many there are, and the index of the last price.
    """
    rounds, shrink, gain = grid.rounds[t], grid.shrink[t], grid.gain[t]
    samples, start = grid.samples, grid.start
    size, count = 0, 1
    first, last = np.empty(128, np.int64), np.empty(128, np.int64)
    first[0], last[0] = 0, samples.size - 1
    batch = np.empty(clients.alpha.size)
    while count > 0:
        count -= 1
        a, b = first[count], last[count]
        noise, price = table_bound(table, limits, rounds, samples[a], price)
        bound = shrink * start[b] + gain * max(noise, 0.0)
        if bound >= cut:
            continue
        if limits.metered:
            deadline = deadline_at(limits, rounds, samples[a] * limits.server_fast)
            limit = (cut - shrink * start[b]) / gain
            other, _ = separable_noise(clients, limits, rounds, deadline, limit, a != b, batch)
            if other == np.inf:
                continue
            if a == b:  # exact without the total budget: a bound with it
                bound = max(bound, shrink * start[b] + gain * other)
        if a != b:
            middle = (a + b) // 2
            first[count], last[count] = a, middle
            first[count + 1], last[count + 1] = middle + 1, b
            count += 2
            continue
        at[size], bounds[size] = a, bound
        size += 1
    return size, price
