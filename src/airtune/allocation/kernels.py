"""Compiled pieces of the round problem that both searches share.

The round problem of (T, T0 B0), system model, section 8:  minimise
sum_k alpha_k / B_k + G^2 MSE* / rho  over batches, clocks and back-off, with
alpha_k = sigma_g^2 omega_k^2.  With the deadline D of a round's computing client k spends
e_k(B, D) = max(slow_k B, cubic_k B^3 / D^2),  at the clock f_min or the slowest one in time.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike

from airtune.allocation.problem import BACKOFF_MIN, ROUNDING, ResourceProblem
from airtune.compiled import compiled
from airtune.kinds import Mask, Real

INFEASIBLE = -1.0
_HALVINGS = 60
_CORRECTIONS = 64
"""Steps by one after a division that is rounded; finite numbers need one or two."""


class Clients(Protocol):
    """Record array of the clients' constants, shape (K,); units as in `problem.Processors`.

    `alpha` is sigma_g^2 omega_k^2, `slow` kappa c f_min^2 [J a sample], `cubic` kappa c^3 [J s^2],
    `twin` tells that the client equals the one before it.
    """

    alpha: Real
    cycles: Real
    slow: Real
    cubic: Real
    f_max: Real
    batch_max: Real
    radio: Real
    fixed: Real
    budget: Real
    twin: Mask


class Limits(Protocol):
    """Record of the constants shared by the clients.

    `air` is G^2 MSE*, `radio` and `fixed` [J] sum the clients' energies of a round (`fixed` with
    what nobody pays), `beside_s` [s] the least time for computing, `server_cubic` kappa_0 c_0^3,
    `server_fast` and `server_slow` [s] the time of one sample at f_max and f_min.
    """

    air: float
    radio: float
    fixed: float
    latency: float
    energy: float
    round_s: float
    beside_s: float
    server_cubic: float
    server_fast: float
    server_slow: float
    metered: bool


class Grid(NamedTuple):
    """Enumerated choices: T with its factors (T,), Pareto front of pre-training (P,).

    Attributes
    ----------
    rounds, shrink, gain : ndarray, float, shape (T,)
        T, (1 - eta mu)^T and the factor of the noise.
    samples, start : ndarray, float, shape (P,)
        T0 B0 rising, and the gap Delta_0 falling; `start` may be negative, for the floor of a bias
        is taken out of it.
    """

    rounds: Real
    shrink: Real
    gain: Real
    samples: Real
    start: Real


class RoundProblem(NamedTuple):
    """The round problem of one (T, T0 B0): constants, `rounds` T and `samples` T0 B0."""

    clients: Clients
    limits: Limits
    rounds: float
    samples: float


def kernel_data(problem: ResourceProblem) -> tuple[Clients, Limits]:
    """Arrange a problem for the kernels; budgets get the slack of rounding."""
    c, s = problem.clients, problem.server
    alpha = problem.bound.sigma_g_sq * c.omega**2
    columns = (alpha, c.cycles, c.kappa, c.f_min, c.f_max, c.batch_max, c.radio_j, c.fixed_j)
    table = np.column_stack([*columns, c.budget_j])
    twin = np.zeros(alpha.shape, dtype=np.bool_)
    twin[1:] = np.all(table[1:] == table[:-1], axis=1)
    clients = _record(
        alpha.shape,
        alpha=alpha,
        cycles=c.cycles,
        slow=c.kappa * c.cycles * c.f_min**2,
        cubic=c.kappa * c.cycles**3,
        f_max=c.f_max,
        batch_max=np.where(alpha > 0, c.batch_max, 1.0),  # a weightless sample only costs
        radio=c.radio_j,
        fixed=c.fixed_j,
        budget=c.budget_j * (1 + ROUNDING),
        twin=twin,
    )
    limits = _record(
        (1,),
        air=problem.bound.G_sq * problem.mse_star,
        radio=c.radio_j.sum(),
        fixed=c.fixed_j.sum() + problem.round_j,
        latency=problem.latency_s,
        energy=problem.energy_j * (1 + ROUNDING),
        round_s=problem.round_s,
        beside_s=problem.beside_s,
        server_cubic=s.kappa * s.cycles**3,
        server_fast=s.cycles / s.f_max,
        server_slow=s.cycles / s.f_min,
        metered=np.any(np.isfinite(c.budget_j)),
    )
    return cast("Clients", clients), cast("Limits", limits[0])


def _record(shape: tuple[int, ...], **columns: ArrayLike) -> np.recarray[Any, Any]:
    """Record array of the columns; kernels take one argument, which compiles in half the time."""
    values = {name: np.asarray(column) for name, column in columns.items()}
    dtypes = [(name, np.bool_ if v.dtype == bool else np.float64) for name, v in values.items()]
    record = np.recarray(shape, dtype=np.dtype(dtypes, align=True))
    for name, value in values.items():
        record[name] = value
    return record


@compiled
def deadline_at(limits: Limits, rounds: float, server_time: float) -> float:
    """D = (tau - s) / T - fixed times  [s]; 0 where it is shorter than what is done beside it."""
    deadline = (limits.latency - server_time) / rounds - limits.round_s
    if limits.beside_s > 0 and deadline < limits.beside_s - ROUNDING * limits.latency / rounds:
        return 0.0
    return deadline


@compiled
def server_cost(limits: Limits, samples: float, server_time: float) -> float:
    """Energy of pre-training in `server_time`  [J]."""
    if samples == 0:
        return 0.0
    energy: float = limits.server_cubic * samples**3 / server_time**2
    return energy


@compiled
def fill_caps(clients: Clients, rounds: float, deadline: float, backoff: float, caps: Real) -> bool:
    """Write the largest batches into `caps`, (K,); False when some client cannot do one sample.

    B = floor min{B_max, D f_max / c, e / slow, (e D^2 / cubic)^(1/3)},  e = E/T - fixed - rho p u
    (system model, section 8).
    """
    if deadline <= 0:
        return False
    for k in range(caps.size):
        cap = clients.batch_max[k]
        in_time = deadline * clients.f_max[k] / clients.cycles[k] * (1 + ROUNDING)
        if in_time < cap:
            cap = np.floor(in_time)
        if np.isfinite(clients.budget[k]):
            allowance = clients.budget[k] / rounds - clients.fixed[k] - backoff * clients.radio[k]
            allowance *= 1 + ROUNDING
            if allowance <= 0:
                return False
            gain = clients.cubic[k] / deadline**2
            batch = min(cap, allowance / clients.slow[k])
            if gain > 0:
                batch = min(batch, np.cbrt(allowance / gain))
            batch = np.floor(batch)
            for _ in range(_CORRECTIONS):
                if not (
                    batch + 1 <= cap and compute_cost(clients, k, batch + 1, gain) <= allowance
                ):
                    break
                batch += 1
            for _ in range(_CORRECTIONS):
                if not (batch >= 1 and compute_cost(clients, k, batch, gain) > allowance):
                    break
                batch -= 1
            if batch >= 1 and compute_cost(clients, k, batch, gain) > allowance:
                return False  # no number of samples is affordable in this arithmetic
            cap = batch
        if cap < 1:
            return False
        caps[k] = cap
    return True


@compiled
def compute_cost(clients: Clients, k: int, batch: float, gain: float) -> float:
    """e_k(B, D) with gain = cubic_k / D^2  [J]."""
    return float(max(clients.slow[k] * batch, gain * batch**3))


@compiled
def backoff_term(limits: Limits, price: float, low: float, high: float) -> tuple[float, float]:
    """Least air noise plus priced radio energy, air/rho + price R rho over [low, high]; and rho."""
    rho = high
    if price > 0 and limits.radio > 0:
        rho = min(high, max(low, np.sqrt(limits.air / (price * limits.radio))))
    return limits.air / rho + price * limits.radio * rho, rho


@compiled
def _server_slope(problem: RoundProblem, batch: Real, time: float) -> float:
    """Derivative of the total energy in the server's time  [W]."""
    clients, limits, rounds, samples = problem
    limit = deadline_at(limits, rounds, time)
    if limit <= 0:
        return float(np.inf)
    grows = 0.0
    for k in range(batch.size):
        if clients.cubic[k] * batch[k] ** 2 > clients.slow[k] * limit**2:
            grows += clients.cubic[k] * batch[k] ** 3
    slope: float = 2 * grows / limit**3 - 2 * limits.server_cubic * samples**3 / time**3
    return slope


@compiled
def server_time_span(problem: RoundProblem, batch: Real) -> tuple[float, float]:
    """Shortest and longest server time that leave the clients time for `batch`; empty if lo > hi.

    Budgets count only for clients without radio energy; the others' limit the back-off.
    """
    clients, limits, rounds, samples = problem
    needed = limits.beside_s
    for k in range(batch.size):
        needed = max(needed, clients.cycles[k] * batch[k] / clients.f_max[k])
        if clients.radio[k] == 0 and np.isfinite(clients.budget[k]):
            allowance = (clients.budget[k] / rounds - clients.fixed[k]) * (1 + ROUNDING)
            if allowance < clients.slow[k] * batch[k]:
                return 1.0, 0.0
            if clients.slow[k] > 0:  # never more time than the lowest clock takes
                slowest = np.sqrt(clients.cubic[k] / clients.slow[k]) * batch[k]
                exact = np.sqrt(clients.cubic[k] * batch[k] / allowance) * batch[k]
                needed = max(needed, min(slowest, exact))
    low, high = samples * limits.server_fast, samples * limits.server_slow
    if np.isinf(limits.latency):
        return high, high
    latest = limits.latency - rounds * (needed + limits.round_s)
    if latest < low and latest >= low - 1e-12 * limits.latency:
        latest = low
    return low, min(high, latest)


@compiled
def cheapest_time(problem: RoundProblem, batch: Real, low: float, high: float) -> float:
    """Server time in [low, high] with the least total energy (convex; its slope is halved)."""
    if problem.samples == 0 or np.isinf(problem.limits.latency):
        return high
    if _server_slope(problem, batch, high) <= 0:
        return high
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if _server_slope(problem, batch, middle) > 0:
            high = middle
        else:
            low = middle
        if high - low <= 1e-15 * high:
            break
    return low


@compiled
def _backoff_at(problem: RoundProblem, batch: Real, time: float) -> tuple[float, float]:
    """Back-off that the total budget, and that the clients' budgets, allow at a server time."""
    clients, limits, rounds, samples = problem
    limit = deadline_at(limits, rounds, time)
    left = limits.energy / rounds - limits.fixed - server_cost(limits, samples, time) / rounds
    own = np.inf
    for k in range(batch.size):
        energy = compute_cost(clients, k, batch[k], clients.cubic[k] / limit**2)
        left -= energy
        if clients.radio[k] > 0 and np.isfinite(clients.budget[k]):
            allowance = clients.budget[k] / rounds - clients.fixed[k] - energy
            own = min(own, allowance / clients.radio[k])
    if np.isnan(left):
        return np.inf, own
    if limits.radio > 0:
        return left / limits.radio, own
    return (np.inf if left >= -1e-12 * limits.energy / rounds else INFEASIBLE), own


@compiled
def best_backoff(problem: RoundProblem, batch: Real) -> tuple[float, float]:
    """Largest back-off of given batches over all server times, and that time; rho -1: none.

    In the server's time s the clients' limits fall, the total's rises up to the cheapest time:
    the best s is the crossing, or an end.
    """
    limits = problem.limits
    low, high = server_time_span(problem, batch)
    if low > high:
        return INFEASIBLE, 0.0
    late = cheapest_time(problem, batch, low, high)
    total, own = _backoff_at(problem, batch, late)
    if own < min(total, 1.0):
        early = low
        for _ in range(_HALVINGS):
            middle = 0.5 * (early + late)
            total, own = _backoff_at(problem, batch, middle)
            if own < min(total, 1.0):
                late = middle
            else:
                early = middle
        total, own = _backoff_at(problem, batch, early)
        late = early
    rho = min(1.0, total, own)
    if limits.radio == 0:
        return (1.0 if rho >= 0 else INFEASIBLE), late
    if rho < BACKOFF_MIN * (1 - 1e-9):
        return INFEASIBLE, late
    if limits.air == 0:
        return BACKOFF_MIN, late
    return max(rho, BACKOFF_MIN), late


@compiled
def noise_of(clients: Clients, limits: Limits, batch: Real, backoff: float) -> float:
    """sum_k alpha_k / B_k + G^2 MSE* / rho."""
    noise = limits.air / backoff
    for k in range(batch.size):
        noise += clients.alpha[k] / batch[k]
    return noise
