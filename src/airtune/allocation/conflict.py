"""Budgets that cannot be met, and the least values that could be."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from airtune.allocation.feasibility import is_feasible, least_budget
from airtune.allocation.problem import ResourceProblem


@dataclass(frozen=True)
class AdjustableBudget:
    """A budget that can be raised.

    Attributes
    ----------
    name : str
        As the user knows it.
    value : float
        As set.
    change : callable
        Returns a problem with the budget set to a value.
    """

    name: str
    value: float
    change: Callable[[ResourceProblem, float], ResourceProblem]

    @classmethod
    def of_client(cls, name: str, client: int, value: float) -> Self:
        """Return one client's energy budget."""

        def change(problem: ResourceProblem, value: float) -> ResourceProblem:
            client_j = problem.clients.budget_j / problem.clients.share
            client_j[client] = value
            return problem.with_budgets(client_j=client_j)

        return cls(name, value, change)


class Conflict(NamedTuple):
    """What has to be raised.

    Attributes
    ----------
    budgets : list of (AdjustableBudget, float)
        Each with the least value that would do, rounded up.
    jointly : bool
        False: any one of them could be raised with all others unchanged.  True: no single budget
        helps, and these are a smallest set to be raised together, each with the least value that it
        needs once the others of the set are lifted.
    """

    budgets: list[tuple[AdjustableBudget, float]]
    jointly: bool


def conflict_of(problem: ResourceProblem, budgets: Sequence[AdjustableBudget]) -> Conflict:
    """Find the budgets to raise, with the least values that would do.

    Parameters
    ----------
    problem : ResourceProblem
        Infeasible.
    budgets : sequence of AdjustableBudget
        All its finite budgets.

    Examples
    --------
    A round takes 0.6 s besides computing, and the slower client 0.1 s for one sample:

    >>> from airtune.allocation.examples import two_clients
    >>> problem = two_clients(latency_s=0.6)
    >>> latency = AdjustableBudget("latency", 0.6, lambda p, x: p.with_budgets(latency_s=x))
    >>> conflict = conflict_of(problem, [latency])
    >>> [(budget.name, round(least, 6)) for budget, least in conflict.budgets], conflict.jointly
    ([('latency', 0.7)], False)
    """
    single = [(budget, _least(problem, budget)) for budget in budgets]
    helpful = [(budget, least) for budget, least in single if least is not None]
    if helpful:
        return Conflict(helpful, jointly=False)
    conflicting = _smallest_set(problem, list(budgets))
    raised = []
    for budget in conflicting:
        others = [other for other in conflicting if other != budget]
        least = _least(_lifted(problem, others), budget)
        raised.append((budget, math.inf if least is None else least))
    return Conflict(raised, jointly=True)


def explain_conflict(problem: ResourceProblem) -> str:
    """Describe why no plan meets the budgets of a problem file.

    Examples
    --------
    >>> from airtune.allocation.examples import two_clients
    >>> problem = two_clients(latency_s=0.6)
    >>> explain_conflict(problem).split(" must")[0]
    'no plan meets the budgets: latency_budget_s = 0.6'
    """
    conflict = conflict_of(problem, _budgets_of(problem))
    phrases = [f"{b.name} = {b.value:.9g} must be at least {x!r}" for b, x in conflict.budgets]
    if not conflict.jointly:
        return "no plan meets the budgets: " + ", or ".join(phrases) + " (all others kept)"
    return (
        "no plan meets the budgets, and no single one can be raised to change that; these conflict "
        "and must be raised together: " + ", and ".join(phrases)
    )


def _budgets_of(problem: ResourceProblem) -> list[AdjustableBudget]:
    """Finite budgets by the names of their fields in a problem file."""
    budgets, clients = [], problem.clients.budget_j
    if math.isfinite(problem.latency_s):
        budgets.append(
            AdjustableBudget(
                "latency_budget_s", problem.latency_s, lambda p, x: p.with_budgets(latency_s=x)
            )
        )
    if math.isfinite(problem.energy_j):
        budgets.append(
            AdjustableBudget(
                "energy_budget_j", problem.energy_j, lambda p, x: p.with_budgets(energy_j=x)
            )
        )
    return budgets + [
        AdjustableBudget.of_client(f"clients[{k}].energy_budget_j", int(k), float(clients[k]))
        for k in np.flatnonzero(np.isfinite(clients))
    ]


def _least(problem: ResourceProblem, budget: AdjustableBudget) -> float | None:
    return least_budget(lambda value: budget.change(problem, value), budget.value)


def _lifted(problem: ResourceProblem, budgets: Sequence[AdjustableBudget]) -> ResourceProblem:
    for budget in budgets:
        problem = budget.change(problem, math.inf)
    return problem


def _smallest_set(
    problem: ResourceProblem, budgets: list[AdjustableBudget]
) -> list[AdjustableBudget]:
    """Leave out of the set whatever need not be lifted; what stays is needed."""
    needed = list(budgets)
    for budget in budgets:
        fewer = [other for other in needed if other != budget]
        if is_feasible(_lifted(problem, fewer)):
            needed = fewer
    return needed
