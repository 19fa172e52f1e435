"""Search without a total energy budget: the clients separate (system model, section 8).

For given T and T0 B0 the server runs at f_max (its energy is nobody's budget), every client takes
its largest batch, and only the back-off couples them.  T is enumerated in the order of a lower
bound; T0 B0 along its Pareto front by halving intervals: the noise of a round does not fall when
pre-training takes longer, so the noise at the left end and the gap at the right end bound the
whole interval.
"""

from __future__ import annotations

import numpy as np

from airtune.allocation.kernels import (
    Clients,
    Grid,
    Limits,
    compute_cost,
    deadline_at,
    fill_caps,
    noise_of,
)
from airtune.allocation.problem import BACKOFF_MIN, ROUNDING
from airtune.compiled import compiled
from airtune.kinds import Integer, Real

_INTERVALS = 10_000_000
"""Intervals of the back-off at most; each ends at another batch of a client."""


@compiled
def _largest_backoff(
    clients: Clients, limits: Limits, rounds: float, deadline: float, batch: Real
) -> float:
    """Largest rho <= 1 at which all clients can afford `batch` by the deadline."""
    rho = 1.0
    for k in range(batch.size):
        if clients.radio[k] > 0 and np.isfinite(clients.budget[k]):
            energy = compute_cost(clients, k, batch[k], clients.cubic[k] / deadline**2)
            left = clients.budget[k] / rounds - clients.fixed[k] - energy
            rho = min(rho, left / clients.radio[k])
    return rho


@compiled
def separable_noise(
    clients: Clients,
    limits: Limits,
    rounds: float,
    deadline: float,
    cut: float,
    any_below: bool,
    batch: Real,
) -> tuple[float, float]:
    """Least noise of a round below `cut`, and its rho; (inf, 0) when there is none.

    Intervals of rho are bounded by the batches of their lower end with the air noise of their upper
    end.  The batches of the lower end stay affordable up to some rho in the interval: there the
    noise is attained, and the interval shrinks to what lies beyond.

    Parameters
    ----------
    any_below : bool
        Return the first value below `cut`, not the least.
    batch : ndarray, shape (K,)
        Receives the batches of the value returned.
    """
    caps = np.ones(batch.size)
    floor = BACKOFF_MIN if limits.radio > 0 else 1.0
    if deadline <= 0:
        return np.inf, 0.0
    top = _largest_backoff(clients, limits, rounds, deadline, caps)
    if top < floor and top >= floor * (1 - 1e-9):
        top = floor
    if top < floor or not fill_caps(clients, rounds, deadline, floor, caps):
        return np.inf, 0.0
    best, best_rho = cut, 0.0
    if limits.air == 0:
        top = floor
    elif limits.radio == 0:
        floor = top
    lows, highs = np.empty(64), np.empty(64)
    lows[0], highs[0], count = floor, top, 1
    if top > floor:  # first look at full power
        lows[1], highs[1], count = top, top, 2
    visited = 0
    while count > 0:
        count -= 1
        visited += 1
        if visited > _INTERVALS:
            raise ArithmeticError("the search over the back-off does not end")
        low, high = lows[count], highs[count]
        if not fill_caps(clients, rounds, deadline, low, caps):
            continue
        if noise_of(clients, limits, caps, high) >= best:
            continue
        reach = min(high, max(low, _largest_backoff(clients, limits, rounds, deadline, caps)))
        noise = noise_of(clients, limits, caps, reach)
        if noise < best:
            best, best_rho = noise, reach
            batch[:] = caps
            if any_below:
                return best, best_rho
        beyond = reach * (1 + 4 * ROUNDING)
        if beyond < high:
            middle = 0.5 * (beyond + high)
            if count + 2 > lows.size or middle <= beyond or middle >= high:
                lows[count], highs[count] = beyond, high
                count += 1
            else:
                lows[count], highs[count] = beyond, middle
                lows[count + 1], highs[count + 1] = middle, high
                count += 2
    if best_rho == 0.0:
        return np.inf, 0.0
    return best, best_rho


@compiled
def rounds_bounds(
    clients: Clients,
    limits: Limits,
    grid: Grid,
) -> Real:
    """Lower bound of the objective for every T: best pre-training at the cost of the least."""
    rounds, samples, least_start = grid.rounds, grid.samples[0], grid.start[-1]
    caps, batch = np.empty(clients.alpha.size), np.ones(clients.alpha.size)
    bounds = np.full(rounds.size, np.inf)
    floor = BACKOFF_MIN if limits.radio > 0 else 1.0
    for i in range(rounds.size):
        deadline = deadline_at(limits, rounds[i], samples * limits.server_fast)
        if not fill_caps(clients, rounds[i], deadline, floor, caps):
            break
        top = max(floor, _largest_backoff(clients, limits, rounds[i], deadline, batch))
        noise = noise_of(clients, limits, caps, top)
        bounds[i] = grid.shrink[i] * least_start + grid.gain[i] * noise
    return bounds


@compiled
def search_separable(
    clients: Clients,
    limits: Limits,
    grid: Grid,
    bounds: Real,
    order: Integer,
    cut: float,
    batch: Real,
) -> tuple[float, int, int, float]:
    """Best plan below `cut` without a total energy budget.

    Parameters
    ----------
    bounds, order : ndarray, shape (T,)
        Lower bounds of :func:`rounds_bounds` and the order in which they rise.
    cut : float
        A value that is known to be reached.
    batch : ndarray, shape (K,)
        Receives the batches.

    Returns
    -------
    (float, int, int, float)
        Objective, index of T, index of T0 B0, rho; index -1 when nothing is below `cut`.
    """
    rounds, shrink, gain, samples, start = grid
    best, best_t, best_p, best_rho = cut, -1, -1, 0.0
    trial = np.empty(batch.size)
    first, last = np.empty(128, np.int64), np.empty(128, np.int64)
    for t in order:
        if not bounds[t] < best:
            break
        first[0], last[0], count = 0, samples.size - 1, 1
        while count > 0:
            count -= 1
            a, b = first[count], last[count]
            limit = (best - shrink[t] * start[b]) / gain[t]
            deadline = deadline_at(limits, rounds[t], samples[a] * limits.server_fast)
            noise, rho = separable_noise(clients, limits, rounds[t], deadline, limit, a != b, trial)
            if noise == np.inf:
                continue
            value = shrink[t] * start[a] + gain[t] * noise
            if value < best:
                best, best_t, best_p, best_rho = value, t, a, rho
                batch[:] = trial
            if a != b:
                middle = (a + b) // 2
                first[count], last[count] = a, middle
                first[count + 1], last[count + 1] = middle + 1, b
                count += 2
    return best, best_t, best_p, best_rho
