"""Exact round problem under a total energy budget: branch and bound on a relaxation.

The batches are a knapsack with convex costs, coupled through one deadline and one back-off.  Cells
of server time are bounded by the priced relaxation of :mod:`airtune.allocation.lagrangian`; where
clients have budgets of their own, the back-off is cut into bands first, for it fixes how much they
may compute.  Within a cell every deviation of a batch from the priced optimum has a known least
cost; batches are enumerated as long as the sum of these costs leaves the bound below the best value
known.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from airtune.allocation.enumeration import Best, Cell, enumerate_batches
from airtune.allocation.improvement import improve
from airtune.allocation.kernels import (
    Clients,
    RoundProblem,
    best_backoff,
    deadline_at,
    fill_caps,
    noise_of,
    server_cost,
    server_time_span,
)
from airtune.allocation.lagrangian import cell_bound, tune_price
from airtune.allocation.problem import BACKOFF_MIN
from airtune.compiled import compiled
from airtune.kinds import Real

_CELLS = 200
_BANDS = 64


class RoundSolution(NamedTuple):
    """Answer of :func:`solve_round`.

    Attributes
    ----------
    lower : float
        No choice has less noise; at most the value.
    value : float
        Noise of the best choice; infinity where nothing is below the cut.
    backoff, server_time : float
        rho and the time of pre-training [s] of this choice.
    price : float
        Of energy.
    nodes : int
        Nodes left of the enumeration.
    bands : int
        Bands of back-offs that were bounded.
    """

    lower: float
    value: float
    backoff: float
    server_time: float
    price: float
    nodes: int
    bands: int


class _Band(NamedTuple):
    """A band of back-offs `rho` with the price and the server time [s] tuned for it."""

    rho: tuple[float, float]
    price: float
    time: float


@compiled
def _least_energy(clients: Clients) -> float:
    """Energy of one sample of each client at its lowest clock  [J]."""
    total = 0.0
    for k in range(clients.alpha.size):
        total += clients.slow[k]
    return total


@compiled
def _admissible_times(problem: RoundProblem) -> tuple[float, float]:
    """Server times that leave time for batches of one and do not use up the budget."""
    clients, limits, rounds, samples = problem
    low, high = server_time_span(problem, np.ones(clients.alpha.size))
    if samples > 0 and low <= high:
        left = limits.energy - rounds * (limits.fixed + _least_energy(clients))
        least = np.sqrt(limits.server_cubic * samples**3 / left) if left > 0 else np.inf
        if least > high * (1 + 1e-9):
            return 1.0, 0.0
        low = max(low, min(high, least * (1 - 1e-12)))
    return low, high


@compiled
def _fill_caps_at(problem: RoundProblem, time: float, backoff: float, caps: Real) -> bool:
    """Largest batches at a server time, see :func:`airtune.allocation.kernels.fill_caps`."""
    deadline = deadline_at(problem.limits, problem.rounds, time)
    return fill_caps(problem.clients, problem.rounds, deadline, backoff, caps)


@compiled
def _close_band(
    problem: RoundProblem,
    cut: float,
    band: _Band,
    span: tuple[float, float],
    nodes: int,
    batch: Real,
) -> tuple[float, Best]:
    """Bound all server times of a band of back-offs; enumerate what stays open if `nodes` > 0.

    Returns
    -------
    (float, Best)
        Lower bound of the band, and the best choice (value infinity: none below `cut`).
    """
    rho, price, time = band
    K = batch.size
    caps, inner_caps, trial = np.empty(K), np.empty(K), np.empty(K)
    best, limit, lower = Best(np.inf, 0.0, 0.0, nodes), cut, np.inf
    first, last = np.empty(_CELLS + 2), np.empty(_CELLS + 2)
    first[0], last[0] = span
    count, visited = 1, 0
    search = nodes > 0
    widest = 0.0  # how far the relaxation lies below the limit; a cell need not be much finer
    if _fill_caps_at(problem, time, rho[0], caps):
        at_best, _ = cell_bound(problem, price, caps, (time, time), rho, trial)
        widest = max(0.0, limit - at_best)
    while count > 0:
        count -= 1
        visited += 1
        early, late = first[count], last[count]
        if not _fill_caps_at(problem, early, rho[0], caps):
            continue
        ends = cell_bound(problem, price, caps, (early, late), rho, trial)
        bound = min(ends[0], ends[1])
        if bound >= limit:
            continue
        middle = 0.5 * (early + late)
        inner = np.inf
        if _fill_caps_at(problem, middle, rho[0], inner_caps):
            inner, _ = cell_bound(problem, price, inner_caps, (middle, middle), rho, trial)
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
            tried = _enumerate(problem, band, (early, late), ends, caps, limit, nodes, trial)
            nodes = tried.nodes
            if tried.backoff > 0:
                best, limit = tried, tried.value
                batch[:] = trial
        if nodes <= 0 or not search:
            lower = min(lower, bound)
    return min(lower, limit), Best(best.value, best.backoff, best.server_time, nodes)


@compiled
def _enumerate(
    problem: RoundProblem,
    band: _Band,
    span: tuple[float, float],
    ends: tuple[float, float],
    caps: Real,
    limit: float,
    nodes: int,
    batch: Real,
) -> Best:
    """Enumerate the batches of one cell of server times `span`."""
    early, late = span
    deadline = deadline_at(problem.limits, problem.rounds, 0.5 * (early + late))
    bend = (late - early) / (problem.rounds * deadline) if early < late else 0.0
    shares = _shares(problem, early, late)
    cell = Cell(band.price, band.rho, ends, shares, deadline, bend, caps)
    return enumerate_batches(problem, cell, limit, nodes, batch)


@compiled
def _shares(problem: RoundProblem, early: float, late: float) -> tuple[float, float]:
    """What the server leaves of the energy of a round at both ends, by its tangent  [J]."""
    _, limits, rounds, samples = problem
    middle = 0.5 * (early + late)
    server = server_cost(limits, samples, middle)
    slope = 0.0
    if samples > 0 and early < late:
        slope = limits.server_cubic * samples**3 / middle**3 * (late - early)
    share = limits.energy / rounds - limits.fixed
    return share - (server + slope) / rounds, share - (server - slope) / rounds


@compiled
def _settled(problem: RoundProblem, time: float, rho: tuple[float, float]) -> bool:
    """Whether splitting a band of back-offs further would change no client's largest batch."""
    if not problem.limits.metered or rho[1] <= rho[0] * (1 + 1e-6):
        return True
    K = problem.clients.alpha.size
    low, high = np.empty(K), np.empty(K)
    if not _fill_caps_at(problem, time, rho[0], low):
        return False
    if not _fill_caps_at(problem, time, rho[1], high):
        return False
    changed = 0
    for k in range(K):
        changed += low[k] != high[k]
    return changed == 0


@compiled
def solve_round(
    problem: RoundProblem, cut: float, guess: float, sweeps: int, nodes: int, batch: Real
) -> RoundSolution:
    """Round problem of (T, T0 B0) below `cut` (system model, section 8).

    Parameters
    ----------
    problem : RoundProblem
    cut : float
        A value that is known to be reached.
    guess : float
        Price of energy to start from, > 0.
    sweeps : int
        Alternations of price and server time.
    nodes : int
        Limit of the enumeration; 0 gives the relaxation and a good plan only.
    batch : ndarray, float, shape (K,)
        Receives the batches of the value returned, if it is below `cut`.
    """
    clients, limits = problem.clients, problem.limits
    trial = np.ones(batch.size)
    span = _admissible_times(problem)
    top, _ = best_backoff(problem, trial)
    if span[0] > span[1] or top < 0:
        return RoundSolution(np.inf, np.inf, 0.0, 0.0, guess, nodes, 0)
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
        price, time = tune_price(problem, guess, span, rho, sweeps, trial)
        guess = price if price > 0 else guess
        if visited == 1:
            at, paid = time, price
        band = _Band(rho, price, time)
        closed, _ = _close_band(problem, limit, band, span, 0, batch)
        if closed >= limit:
            continue
        improve(problem, time, trial)
        backoff, when = best_backoff(problem, trial)
        if backoff > 0 and noise_of(clients, limits, trial, backoff) < limit:
            limit = noise_of(clients, limits, trial, backoff)
            value, best_rho, best_time, paid = limit, backoff, when, price
            batch[:] = trial
        if closed >= limit:
            continue
        if visited < _BANDS and not _settled(problem, time, rho):
            middle = np.sqrt(rho[0] * rho[1])
            lows[count], highs[count] = rho[0], middle
            lows[count + 1], highs[count + 1] = middle, rho[1]
            count += 2
            continue
        if nodes > 0:
            bound, tried = _close_band(problem, limit, band, span, nodes, trial)
            nodes = tried.nodes
            if tried.backoff > 0:
                value, best_rho, best_time = tried.value, tried.backoff, tried.server_time
                limit = tried.value
                batch[:] = trial
            lower = min(lower, max(bound, closed))
        else:
            lower = min(lower, closed)
    when = at if best_rho == 0 else best_time
    return RoundSolution(min(lower, limit), value, best_rho, when, paid, nodes, visited)
