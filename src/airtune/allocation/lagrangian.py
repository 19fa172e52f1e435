"""One-multiplier relaxation of the round problem under a total energy budget.

With a price on energy the clients separate again.  What couples them besides is the server's time
s, which fixes the deadline D.  Every e_k(B, D) is convex in D, so its tangent at the middle of an
interval of s lies below it; with tangents the priced cost of a batch is linear in s, its minimum
over batches concave, and the smaller of the two ends of the interval bounds the whole interval.
The error is of second order in the width.
"""

from __future__ import annotations

import numpy as np

from airtune.allocation.kernels import (
    Clients,
    RoundProblem,
    backoff_term,
    cheapest_time,
    compute_cost,
    deadline_at,
    fill_caps,
    server_cost,
)
from airtune.compiled import compiled
from airtune.kinds import Real

_CORRECTIONS = 64
"""Steps by one after a root that is rounded; finite numbers need one or two."""


@compiled
def priced_cost(
    alpha: float, slow: float, gain: float, tilt: float, price: float, b: float
) -> float:
    """alpha / B + price e(B): slow B while the lowest clock is in time, else tilt gain B^3."""
    if gain * b * b <= slow:
        return alpha / b + price * slow * b
    return alpha / b + price * tilt * gain * b * b * b


@compiled
def best_batch(
    alpha: float, slow: float, gain: float, tilt: float, price: float, cap: float
) -> tuple[float, float]:
    """Minimise :func:`priced_cost` over whole B in [1, cap]; the cost and B.

    On either side of the kink the cost is convex: its minimiser is next to the stationary point.
    """
    if price == 0 or cap == 1:
        return priced_cost(alpha, slow, gain, tilt, price, cap), cap
    kink = cap
    if gain * cap * cap > slow:
        kink = np.floor(np.sqrt(slow / gain))
        for _ in range(_CORRECTIONS):
            if not gain * (kink + 1) * (kink + 1) <= slow:
                break
            kink += 1
        for _ in range(_CORRECTIONS):
            if not gain * kink * kink > slow:
                break
            kink -= 1
    best, argument = np.inf, 1.0
    if kink >= 1:
        b = min(kink, max(1.0, np.floor(np.sqrt(alpha / (price * slow)))))
        best, argument = alpha / b + price * slow * b, b
        b = min(kink, b + 1)
        cost = alpha / b + price * slow * b
        if cost < best:
            best, argument = cost, b
    if kink < cap:
        cubic = price * tilt * gain
        b = cap
        if cubic > 0:
            b = min(cap, max(kink + 1, np.floor(np.sqrt(np.sqrt(alpha / (3 * cubic))))))
        cost = alpha / b + cubic * b * b * b
        if cost < best:
            best, argument = cost, b
        b = min(cap, b + 1)
        cost = alpha / b + cubic * b * b * b
        if cost < best:
            best, argument = cost, b
    return best, argument


@compiled
def clients_bound(
    clients: Clients, deadline: float, tilt: float, price: float, caps: Real, batch: Real
) -> tuple[float, float]:
    """Least priced cost of all clients and their energy; `batch` receives the minimisers."""
    total, energy = 0.0, 0.0
    for k in range(caps.size):
        gain = clients.cubic[k] / deadline**2
        cost, b = best_batch(clients.alpha[k], clients.slow[k], gain, tilt, price, caps[k])
        batch[k] = b
        total += cost
        energy += compute_cost(clients, k, b, gain)
    return total, energy


@compiled
def cell_bound(
    problem: RoundProblem,
    price: float,
    caps: Real,
    span: tuple[float, float],
    rho: tuple[float, float],
    batch: Real,
) -> tuple[float, float]:
    """Lower bounds of the Lagrangian at both ends of an interval `span` of server times.

    `caps` must be the batches allowed at the early end and the lower end of `rho`, the largest in
    the cell. `batch` receives the minimisers at the late end.
    """
    clients, limits, rounds, samples = problem
    early, late = span
    middle = 0.5 * (early + late)
    deadline = deadline_at(limits, rounds, middle)
    air, _ = backoff_term(limits, price, rho[0], rho[1])
    constant = air + price * (
        limits.fixed - limits.energy / rounds + server_cost(limits, samples, middle) / rounds
    )
    if early == late:
        total, _ = clients_bound(clients, deadline, 1.0, price, caps, batch)
        return constant + total, constant + total
    slope = 0.0
    if samples > 0:
        slope = -2 * limits.server_cubic * samples**3 / middle**3
    width = 0.5 * (late - early)
    bend = 2 * width / (rounds * deadline)
    first, _ = clients_bound(clients, deadline, 1 - bend, price, caps, batch)
    last, _ = clients_bound(clients, deadline, 1 + bend, price, caps, batch)
    server = price * slope * width / rounds
    return constant + first - server, constant + last + server


@compiled
def _excess(
    problem: RoundProblem,
    price: float,
    caps: Real,
    time: float,
    rho: tuple[float, float],
    batch: Real,
) -> float:
    """Energy of a round above its share of the budget at the priced optimum  [J]."""
    clients, limits, rounds, samples = problem
    deadline = deadline_at(limits, rounds, time)
    _, energy = clients_bound(clients, deadline, 1.0, price, caps, batch)
    _, backoff = backoff_term(limits, price, rho[0], rho[1])
    server = server_cost(limits, samples, time) / rounds
    share = limits.energy / rounds - limits.fixed
    return energy + backoff * limits.radio + server - share


@compiled
def _price_at(
    problem: RoundProblem,
    guess: float,
    time: float,
    rho: tuple[float, float],
    caps: Real,
    batch: Real,
) -> float:
    """Price at which the priced optimum just meets the budget; 0: slack, infinity: never met."""
    deadline = deadline_at(problem.limits, problem.rounds, time)
    if not fill_caps(problem.clients, problem.rounds, deadline, rho[0], caps):
        caps[:] = 1.0
    if _excess(problem, 0.0, caps, time, rho, batch) <= 0:
        return 0.0
    low, high, dear = 0.0, guess, False
    for doubling in range(200):
        if doubling > 120 and dear:
            return float(np.inf)
        if _excess(problem, high, caps, time, rho, batch) > 0:
            low, high, dear = high, high * 2, True
        elif dear:
            break
        else:
            low, high = high * 0.5, high
            if _excess(problem, low, caps, time, rho, batch) > 0:
                break
            high = low
    for _ in range(14):
        middle = np.sqrt(low * high)
        if _excess(problem, middle, caps, time, rho, batch) > 0:
            low = middle
        else:
            high = middle
    _excess(problem, high, caps, time, rho, batch)
    return high


@compiled
def tune_price(
    problem: RoundProblem,
    guess: float,
    span: tuple[float, float],
    rho: tuple[float, float],
    sweeps: int,
    batch: Real,
) -> tuple[float, float]:
    """Price of energy and server time close to the optimum of the relaxation.

    Alternates the price that just meets the budget with the cheapest server time, within a
    shrinking bracket: where the budget is slack the server should hurry, to leave the clients more
    time. Neither need be exact, for any price and any covering of the server times give a valid
    bound.

    Returns
    -------
    (float, float)
        Price (0: the total budget does not bind) and server time; `batch` receives minimisers that
        meet the budget there, where any do.
    """
    caps, trial = np.ones(batch.size), np.ones(batch.size)
    early, late = span
    time = cheapest_time(problem, caps, early, late)
    price, price_time, last = 0.0, time, guess
    for sweep in range(sweeps):
        tried = _price_at(problem, last, time, rho, caps, trial)
        moved = span[0]
        if tried > 0:
            moved = cheapest_time(problem, trial, span[0], span[1])
        if np.isfinite(tried) or sweep == 0:
            price, price_time = tried, time
            batch[:] = trial
        if np.isfinite(tried) and tried > 0:
            last = tried
        if problem.samples == 0 or np.isinf(problem.limits.latency):
            break
        if moved < time:
            late = time
        else:
            early = time
        if abs(moved - time) <= 1e-4 * time or late - early <= 1e-4 * time:
            break
        inside = tried > 0 and early < moved < late
        time = moved if inside or (sweep == 0 and tried == 0) else 0.5 * (early + late)
    if np.isinf(price):
        price = guess
    return price, price_time
