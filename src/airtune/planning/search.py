"""The resource turn by what is predicted: rounds, batches, clocks and back-off within the budgets.

For a given number of rounds T the predicted loss falls with one number, the burden of a round, and
this is a product of two sums that the exact solver of the bound can weigh against each other:
``(1 + chi MSE* / rho) (1 - n + n sum_k w_k^2 / B_k / reference)``.  So ``loss`` is a few exact
solutions for each T that matters; ``time``, ``energy`` and ``energy-delay`` are searched by
:mod:`airtune.planning.least_cost`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from airtune.allocation import Allocation, ResourceProblem, allocate, allocation_of, is_feasible
from airtune.bound.convergence import BoundConstants
from airtune.kinds import Mask, Real
from airtune.planning.least_cost import least_cost
from airtune.planning.objective import UNREACHABLE, Forecast, Objective
from airtune.planning.result import Certificate, FixedCosts, Plan, describe, limiting

WEIGHTS = 6
"""Solutions of a product at most, each with the weights that fit the one before."""

SETTLED = 1e-6
"""Relative change of the product at which the weights have settled."""

GAP = 1e-3
"""Relative gap of the error-free progress at which no more numbers of rounds are tried."""


@dataclass(frozen=True)
class _Solved:
    """Least burden of some rounds: the solution, its burden and what none is below."""

    allocation: Allocation
    burden: float
    lower: float


def predicted_plan(
    problem: ResourceProblem,
    objective: Objective,
    costs: FixedCosts,
    present: Mask,
    pretraining: tuple[int, int],
    below: float = np.inf,
) -> Plan | None:
    """Return the plan of least predicted value; None when a budget cannot be met.

    None, too, where time or energy to the target cannot be below a value that is known.  A target
    that no plan within the budgets is predicted to reach is answered by the plan of least predicted
    loss.

    Parameters
    ----------
    problem : ResourceProblem
        Of the participants.
    objective : Objective
    costs : FixedCosts
        Of a round, for all clients.
    present : ndarray, bool, shape (K,)
        Who takes part.
    pretraining : (int, int)
        T0 and B0 to report.
    below : float
        The value that is known.
    """
    if not is_feasible(problem):
        return None
    mine, reference = costs.of(present), objective.reference[present]
    bias = mine.misalignment
    found, lower = None, np.inf
    if objective.name != "loss":
        found, lower = least_cost(problem, objective, reference, bias, below)
        if found is None and below < UNREACHABLE:
            return None
    if found is None:
        at = problem
        allocation, least_loss = _least_loss(problem, objective, reference, bias)
    else:
        latency = found.rounds * (found.window + problem.round_s) + found.server_s
        latency = min(problem.latency_s, latency * (1 + 1e-12))
        at = replace(problem, latency_s=latency, rounds=(found.rounds,) * 2)
        allocation = allocation_of(at, found.rounds, found.batch, found.backoff)
    plan = describe(at, mine, allocation, pretraining)
    forecast = _forecast(problem, objective, plan, mine, reference)
    value = forecast.value
    if found is None and (objective.name == "loss" or value >= UNREACHABLE):
        # What was minimised is the loss.
        value = forecast.loss if forecast.loss is not None else least_loss
        lower = least_loss
    lower = min(lower, value)
    certificate = Certificate(lower, (value - lower) / value if value > 0 else 0.0)
    spent = plan.latency_s.total, plan.energy_j.total, _spent_by_clients(problem, plan)
    limits = limiting(problem, allocation, *spent)
    return replace(plan, forecast=forecast, certificate=certificate, limits=limits)


def _spent_by_clients(problem: ResourceProblem, plan: Plan) -> Real:
    """Return what the clients of a plan spend on average over who transmits [J]."""
    return np.asarray(problem.clients.share * plan.client_energy_j)


def _forecast(
    problem: ResourceProblem, objective: Objective, plan: Plan, costs: FixedCosts, reference: Real
) -> Forecast:
    """Predict a plan of the participants."""
    mse = problem.mse_star / plan.power_backoff + costs.misalignment
    weights = problem.clients.omega
    spread = float(objective.spread(weights, plan.batch_sizes.astype(float)))
    burden = objective.burden(mse, spread, float(objective.spread(weights, reference)))
    once_s = plan.latency_s.pretraining + costs.first_s
    once_j = plan.energy_j.pretraining + costs.first_j
    once = plan.latency_s.total - once_s, plan.energy_j.total - once_j
    rounds = once[0] / plan.rounds, once[1] / plan.rounds
    return Forecast.of(objective, plan.rounds, mse, float(burden), (*rounds, once_s, once_j))


def _least_loss(
    problem: ResourceProblem, objective: Objective, reference: Real, bias: float
) -> tuple[Allocation, float]:
    """Return the solution of least predicted loss, and the loss that none is below.

    More rounds leave less for each: the burden of a round does not fall with T.  So between two
    numbers of rounds no loss is below that of the larger number at the lower burden of the smaller.
    """
    solved: dict[int, _Solved] = {}

    def at(rounds: int) -> _Solved | None:
        if rounds not in solved:
            fixed = replace(problem, rounds=(rounds, rounds))
            if not is_feasible(fixed):
                return None
            solved[rounds] = _least_burden(fixed, objective, reference, bias)
        return solved[rounds]

    first, last = problem.rounds
    at(first)
    while at(last) is None:  # the most rounds with a plan, by halving
        last = _last_feasible(problem, first, last)
    value = {T: float(objective.loss(T, one.burden)) for T, one in solved.items()}
    spans, lower = [(first, last)], np.inf
    while spans:
        a, b = spans.pop()
        bound = float(objective.loss(b, solved[a].lower))
        if b - a <= 1 or bound >= min(value.values()) * (1 - GAP):
            lower = min(lower, bound if b - a > 1 else np.inf)
            continue
        middle = (a + b) // 2
        one = at(middle)
        assert one is not None  # fewer rounds than the last
        value[middle] = float(objective.loss(middle, one.burden))
        spans += [(a, middle), (middle, b)]
    best = min(value, key=lambda T: (value[T], T))
    ends = [float(objective.loss(T, one.lower)) for T, one in solved.items()]
    return solved[best].allocation, min(lower, *ends)


def _last_feasible(problem: ResourceProblem, low: int, high: int) -> int:
    while high - low > 1:
        middle = (low + high) // 2
        if is_feasible(replace(problem, rounds=(middle, middle))):
            low = middle
        else:
            high = middle
    return low


def _least_burden(
    problem: ResourceProblem, objective: Objective, reference: Real, bias: float
) -> _Solved:
    """Return the solution of least burden of given rounds.

    With an Adam-like server the burden is the root of x y, x = 1 + chi MSE and y the energy of the
    mean.  For any weight m > 0 the solver of the bound finds the least ``m x + y / m``, V; weights
    from the last solution, ``m^2 = y / x``, lead to one that no change of the weights improves.  As
    ``y >= m (V - m x)`` for all plans, x y is at least the lesser value of ``m x (V - m x)`` at the
    ends of the interval of x that can be better.
    """
    weights = problem.clients.omega
    far = float(objective.spread(weights, reference))

    def solve(air: float, batch: float) -> tuple[Allocation, float, float]:
        """Return the least ``air MSE* / rho + batch spread``, and (x, y) of it."""
        constants = _weighed(problem.bound, air, batch)
        answer = allocate(replace(problem, bound=constants, beta=0.0))
        mse = problem.mse_star / answer.backoff + bias
        spread = float(objective.spread(weights, answer.batch))
        x = 1.0 if objective.constant is not None else 1.0 + objective.chi * mse
        y = 1.0 + objective.batch_noise * (spread / far - 1.0)
        kept = allocation_of(
            problem, problem.rounds[0], answer.batch, answer.backoff
        )  # with the bound of the run
        return kept, x, y

    def burden(answer: Allocation) -> float:
        mse = problem.mse_star / answer.backoff + bias
        return float(objective.burden(mse, objective.spread(weights, answer.batch), far))

    if objective.plain is not None:
        answer, _, _ = solve(objective.plain.air, objective.plain.batch)
        return _Solved(answer, burden(answer), burden(answer))
    noise = objective.batch_noise / far
    chi = 0.0 if objective.constant is not None else objective.chi
    answer, x, y = solve(chi, noise)
    best, product = answer, x * y
    weight = y / x
    for _ in range(WEIGHTS):
        answer, x, y = solve(weight * chi, noise)
        if x * y < product:
            best, product = answer, x * y
        if abs(y / x / weight - 1.0) < SETTLED:
            break
        weight = y / x
    least_x, least_y = solve(chi, noise * 1e-9)[1], solve(chi * 1e-9, noise)[2]
    total = weight**0.5 * x + y / weight**0.5
    ends = [weight**0.5 * z * (total - weight**0.5 * z) for z in (least_x, product / least_y)]
    lower = max(least_x * least_y, min(ends))
    scale = burden(best) / product**0.5
    return _Solved(best, burden(best), min(scale * max(lower, 0.0) ** 0.5, burden(best)))


def _weighed(bound: BoundConstants, air: float, batch: float) -> BoundConstants:
    """Return constants with which the bound of given rounds is the weighed noise, up to factors."""
    return replace(bound, sigma_g_sq=batch, G_sq=air, delta_pre=0.0, sigma0_sq=0.0, W1=0.0)
