"""Exact round problem under a total energy budget: branch and bound on a relaxation.

The batches are a knapsack with convex costs, coupled through one deadline and one back-off.  Cells
of server time are bounded by the priced relaxation of :mod:`airtune.allocation.lagrangian`; where
clients have budgets of their own, the back-off is cut into bands first, for it fixes how much they
may compute.  Within a cell every deviation of a batch from the priced optimum has a known least
cost; batches are enumerated as long as the sum of these costs leaves the bound below the best value
known.
"""

from __future__ import annotations

import numpy as np

from airtune.allocation.compiled import compiled
from airtune.allocation.enumeration import deviations, enumerate_batches
from airtune.allocation.improvement import improve
from airtune.allocation.kernels import (
    Clients,
    FloatArray,
    Limits,
    best_backoff,
    deadline_at,
    fill_caps,
    noise_of,
    server_cost,
    server_time_span,
)
from airtune.allocation.lagrangian import cell_bound, tune_price
from airtune.allocation.problem import BACKOFF_MIN

_CELLS = 200
_BANDS = 64


@compiled
def _least_energy(clients: Clients) -> float:
    """Energy of one sample of each client at its lowest clock  [J]."""
    total = 0.0
    for k in range(clients.alpha.size):
        total += clients.slow[k]
    return total


@compiled
def _admissible_times(
    clients: Clients, limits: Limits, rounds: float, samples: float
) -> tuple[float, float]:
    """Server times that leave time for batches of one and do not use up the budget."""
    low, high = server_time_span(clients, limits, rounds, samples, np.ones(clients.alpha.size))
    if samples > 0 and low <= high:
        left = limits.energy - rounds * (limits.fixed + _least_energy(clients))
        least = np.sqrt(limits.server_cubic * samples**3 / left) if left > 0 else np.inf
        if least > high * (1 + 1e-9):
            return 1.0, 0.0
        low = max(low, min(high, least * (1 - 1e-12)))
    return low, high


@compiled
def _close_band(
    clients: Clients,
    limits: Limits,
    rounds: float,
    samples: float,
    cut: float,
    price: float,
    time: float,
    span: tuple[float, float],
    rho: tuple[float, float],
    nodes: int,
    batch: FloatArray,
) -> tuple[float, float, float, float, int]:
    """Bound all server times of a band of back-offs; enumerate what stays open if `nodes` > 0.

    Returns
    -------
    (float, float, float, float, int)
        Lower bound of the band, value (inf: none below `cut`), rho, server time, nodes left.
    """
    K = batch.size
    caps, inner_caps, trial = np.empty(K), np.empty(K), np.empty(K)
    value, best_rho, best_time, limit, lower = np.inf, 0.0, 0.0, cut, np.inf
    first, last = np.empty(_CELLS + 2), np.empty(_CELLS + 2)
    first[0], last[0] = span
    count, visited = 1, 0
    search = nodes > 0
    widest = 0.0  # how far the relaxation lies below the limit; a cell need not be much finer
    if fill_caps(clients, rounds, deadline_at(limits, rounds, time), rho[0], caps):
        at_best, _ = cell_bound(
            clients, limits, rounds, samples, price, caps, time, time, rho, trial
        )
        widest = max(0.0, limit - at_best)
    while count > 0:
        count -= 1
        visited += 1
        early, late = first[count], last[count]
        if not fill_caps(clients, rounds, deadline_at(limits, rounds, early), rho[0], caps):
            continue
        ends = cell_bound(clients, limits, rounds, samples, price, caps, early, late, rho, trial)
        bound = min(ends[0], ends[1])
        if bound >= limit:
            continue
        middle = 0.5 * (early + late)
        inner = np.inf
        if fill_caps(clients, rounds, deadline_at(limits, rounds, middle), rho[0], inner_caps):
            inner, _ = cell_bound(
                clients, limits, rounds, samples, price, inner_caps, middle, middle, rho, trial
            )
        widest = max(widest, limit - inner)
        fine = inner - bound <= max(0.1 * (limit - bound), 0.03 * widest, 1e-12 * abs(bound))
        if early < late and not fine and visited < _CELLS:
            margin = 0.05 * (late - early)
            at = time if early + margin < time < late - margin else middle
            first[count], last[count] = early, at
            first[count + 1], last[count + 1] = at, late
            count += 2
            continue
        if nodes > 0:
            deadline = deadline_at(limits, rounds, middle)
            bend = (late - early) / (rounds * deadline) if early < late else 0.0
            sizes, table = deviations(clients, deadline, bend, price, caps, limit, ends)
            shares = _shares(limits, rounds, samples, early, late)
            found, backoff, at, nodes = enumerate_batches(
                clients,
                limits,
                rounds,
                samples,
                limit,
                ends,
                shares,
                rho,
                price,
                caps,
                deadline,
                bend,
                sizes,
                table,
                nodes,
                trial,
            )
            if backoff > 0:
                value, best_rho, best_time, limit = found, backoff, at, found
                batch[:] = trial
        if nodes <= 0 or not search:
            lower = min(lower, bound)
    return min(lower, limit), value, best_rho, best_time, nodes


@compiled
def _shares(
    limits: Limits, rounds: float, samples: float, early: float, late: float
) -> tuple[float, float]:
    """What the server leaves of the energy of a round at both ends, by its tangent  [J]."""
    middle = 0.5 * (early + late)
    server = server_cost(limits, samples, middle)
    slope = 0.0
    if samples > 0 and early < late:
        slope = limits.server_cubic * samples**3 / middle**3 * (late - early)
    share = limits.energy / rounds - limits.fixed
    return share - (server + slope) / rounds, share - (server - slope) / rounds


@compiled
def _settled(
    clients: Clients, limits: Limits, rounds: float, time: float, rho: tuple[float, float]
) -> bool:
    """Whether splitting a band of back-offs further would change no client's largest batch."""
    if not limits.metered or rho[1] <= rho[0] * (1 + 1e-6):
        return True
    K = clients.alpha.size
    low, high = np.empty(K), np.empty(K)
    deadline = deadline_at(limits, rounds, time)
    if not fill_caps(clients, rounds, deadline, rho[0], low):
        return False
    if not fill_caps(clients, rounds, deadline, rho[1], high):
        return False
    changed = 0
    for k in range(K):
        changed += low[k] != high[k]
    return changed == 0


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
) -> tuple[float, float, float, float, float, int, int]:
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
    (float, float, float, float, float, int, int)
        Lower bound (at most the value), value (inf: nothing below `cut`), rho, server time, price,
        nodes left, and bands of back-offs bounded.
    """
    K = batch.size
    trial = np.ones(K)
    span = _admissible_times(clients, limits, rounds, samples)
    top, _ = best_backoff(clients, limits, rounds, samples, trial)
    if span[0] > span[1] or top < 0:
        return np.inf, np.inf, 0.0, 0.0, guess, nodes, 0
    floor = BACKOFF_MIN if limits.radio > 0 else 1.0
    if limits.air == 0:
        top = floor
    value, best_rho, best_time, limit, lower = np.inf, 0.0, 0.0, cut, np.inf
    lows, highs = np.empty(_BANDS + 2), np.empty(_BANDS + 2)
    lows[0], highs[0] = min(top, max(floor, limits.air / cut)), top
    count, visited, at, paid = 1, 0, 0.0, 0.0
    while count > 0:
        count -= 1
        visited += 1
        rho = (lows[count], highs[count])
        price, time = tune_price(clients, limits, rounds, samples, guess, span, rho, sweeps, trial)
        guess = price if price > 0 else guess
        if visited == 1:
            at, paid = time, price
        closed = _close_band(
            clients, limits, rounds, samples, limit, price, time, span, rho, 0, batch
        )
        if closed[0] >= limit:
            continue
        improve(clients, limits, rounds, samples, time, trial)
        backoff, when = best_backoff(clients, limits, rounds, samples, trial)
        if backoff > 0 and noise_of(clients, limits, trial, backoff) < limit:
            limit = noise_of(clients, limits, trial, backoff)
            value, best_rho, best_time, paid = limit, backoff, when, price
            batch[:] = trial
        if closed[0] >= limit:
            continue
        if visited < _BANDS and not _settled(clients, limits, rounds, time, rho):
            middle = np.sqrt(rho[0] * rho[1])
            lows[count], highs[count] = rho[0], middle
            lows[count + 1], highs[count + 1] = middle, rho[1]
            count += 2
            continue
        if nodes > 0:
            bound, found, backoff, when, nodes = _close_band(
                clients, limits, rounds, samples, limit, price, time, span, rho, nodes, trial
            )
            if backoff > 0:
                value, best_rho, best_time, limit = found, backoff, when, found
                batch[:] = trial
            lower = min(lower, max(bound, closed[0]))
        else:
            lower = min(lower, closed[0])
    when = at if best_rho == 0 else best_time
    return min(lower, limit), value, best_rho, when, paid, nodes, visited
