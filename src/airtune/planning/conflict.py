"""Say which budget cannot be met, and the least value that could."""

from __future__ import annotations

import math

import numpy as np

from airtune.planning.feasibility import is_feasible, least_budget
from airtune.planning.problem import ResourceProblem

Budget = int | str  # a client's number, "latency" or "energy"


def explain_conflict(problem: ResourceProblem) -> str:
    """Describe why no plan meets the budgets of an infeasible problem.

    Names every budget that alone could be raised, with the least value that would do (rounded up)
    and all others kept; if there is none, a smallest set that has to be raised together, each with
    the least value it needs once the others of the set are lifted.
    """
    finite = _finite_budgets(problem)
    single = []
    for budget in finite:
        least = _least(problem, budget)
        if least is not None:
            single.append(_phrase(problem, budget, least))
    if single:
        return "no plan meets the budgets: " + ", or ".join(single) + " (all others kept)"
    together = _smallest_set(problem, finite)
    phrases = []
    for budget in together:
        others = _lifted(problem, [other for other in together if other != budget])
        least = _least(others, budget)
        phrases.append(_phrase(problem, budget, math.inf if least is None else least))
    return (
        "no plan meets the budgets, and no single one can be raised to change that; these conflict "
        "and must be raised together: " + ", and ".join(phrases)
    )


def _finite_budgets(problem: ResourceProblem) -> list[Budget]:
    budgets: list[Budget] = []
    if math.isfinite(problem.latency_s):
        budgets.append("latency")
    if math.isfinite(problem.energy_j):
        budgets.append("energy")
    return budgets + [int(k) for k in np.flatnonzero(np.isfinite(problem.clients.budget_j))]


def _value(problem: ResourceProblem, budget: Budget) -> float:
    if budget == "latency":
        return problem.latency_s
    if budget == "energy":
        return problem.energy_j
    return float(problem.clients.budget_j[int(budget)])


def _changed(problem: ResourceProblem, budget: Budget, value: float) -> ResourceProblem:
    if budget == "latency":
        return problem.with_budgets(latency_s=value)
    if budget == "energy":
        return problem.with_budgets(energy_j=value)
    client_j = problem.clients.budget_j.copy()
    client_j[int(budget)] = value
    return problem.with_budgets(client_j=client_j)


def _least(problem: ResourceProblem, budget: Budget) -> float | None:
    return least_budget(lambda value: _changed(problem, budget, value), _value(problem, budget))


def _lifted(problem: ResourceProblem, budgets: list[Budget]) -> ResourceProblem:
    for budget in budgets:
        problem = _changed(problem, budget, math.inf)
    return problem


def _smallest_set(problem: ResourceProblem, budgets: list[Budget]) -> list[Budget]:
    """Leave out of the set whatever need not be lifted; what stays is needed."""
    kept = list(budgets)
    for budget in budgets:
        fewer = [other for other in kept if other != budget]
        if is_feasible(_lifted(problem, fewer)):
            kept = fewer
    return kept


def _phrase(problem: ResourceProblem, budget: Budget, least: float) -> str:
    names = {"latency": "latency_budget_s", "energy": "energy_budget_j"}
    name = names[budget] if isinstance(budget, str) else f"clients[{budget}].energy_budget_j"
    return f"{name} = {_value(problem, budget):.9g} must be at least {least!r}"
