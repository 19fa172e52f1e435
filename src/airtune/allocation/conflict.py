"""Budgets that cannot be met, and the least values that could be."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

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
    """

    name: str
    value: float


class Conflict(NamedTuple):
    """What has to be raised.

    Attributes
    ----------
    budgets : list of (AdjustableBudget, float)
        Each with the least value that would do, rounded up.
    jointly : bool
        False: any one of them could be raised with all others unchanged.  True: no single budget
        helps, and these are a smallest set to be raised together.  Their values do together, and
        none of them can be lower with the others at theirs.
    """

    budgets: list[tuple[AdjustableBudget, float]]
    jointly: bool


def conflict_of(
    feasible: Callable[[Sequence[float]], bool], budgets: Sequence[AdjustableBudget]
) -> Conflict:
    """Find the budgets to raise, with the least values that would do.

    Parameters
    ----------
    feasible : callable
        Whether some plan meets the budgets at these values, in their order; infinity is no limit.
        Not with those that are set.
    budgets : sequence of AdjustableBudget
        All finite budgets.

    Examples
    --------
    A round takes 0.6 s besides computing, and the slower client 0.1 s for one sample:

    >>> from airtune.allocation.examples import two_clients
    >>> problem = two_clients(latency_s=0.6)
    >>> def feasible(values):
    ...     return is_feasible(problem.with_budgets(latency_s=values[0]))
    >>> conflict = conflict_of(feasible, [AdjustableBudget("latency", 0.6)])
    >>> [(budget.name, round(least, 6)) for budget, least in conflict.budgets], conflict.jointly
    ([('latency', 0.7)], False)
    """
    given = [budget.value for budget in budgets]
    single = [_least(feasible, given, index, budgets) for index in range(len(budgets))]
    helpful = [(budget, x) for budget, x in zip(budgets, single, strict=True) if x is not None]
    if helpful:
        return Conflict(helpful, jointly=False)
    raised = _smallest_set(feasible, given)
    lifted = [math.inf if index in raised else value for index, value in enumerate(given)]
    values = list(given)
    for index in raised:
        values[index] = _least(feasible, lifted, index, budgets) or math.inf
    if not feasible(values):  # what one needs with the others lifted is too little for all
        least = list(values)

        def scaled(factor: float) -> list[float]:
            return [x * factor if i in raised else x for i, x in enumerate(least)]

        values = scaled(least_budget(lambda factor: feasible(scaled(factor)), 1.0) or math.inf)
        for index in raised:
            values[index] = _least(feasible, values, index, budgets) or math.inf
    return Conflict([(budgets[index], values[index]) for index in raised], jointly=True)


def explain_conflict(problem: ResourceProblem) -> str:
    """Describe why no plan meets the budgets of a problem file.

    Examples
    --------
    >>> from airtune.allocation.examples import two_clients
    >>> problem = two_clients(latency_s=0.6)
    >>> explain_conflict(problem).split(" must")[0]
    'no plan meets the budgets: latency_budget_s = 0.6'
    """
    budgets = {"latency_budget_s": problem.latency_s, "energy_budget_j": problem.energy_j}
    clients_j = problem.clients.budget_j / problem.clients.share
    budgets |= {f"clients[{k}].energy_budget_j": float(j) for k, j in enumerate(clients_j)}
    finite = [AdjustableBudget(k, v) for k, v in budgets.items() if math.isfinite(v)]

    def feasible(values: Sequence[float]) -> bool:
        raised = {budget.name: value for budget, value in zip(finite, values, strict=True)}
        latency_s, energy_j, *client_j = (budgets | raised).values()
        return is_feasible(problem.with_budgets(latency_s, energy_j, np.array(client_j)))

    conflict = conflict_of(feasible, finite)
    phrases = [f"{b.name} = {b.value:.9g} must be at least {x!r}" for b, x in conflict.budgets]
    if not conflict.jointly:
        return "no plan meets the budgets: " + ", or ".join(phrases) + " (all others kept)"
    return (
        "no plan meets the budgets, and no single one can be raised to change that; these conflict "
        "and must be raised together: " + ", and ".join(phrases)
    )


def _least(
    feasible: Callable[[Sequence[float]], bool],
    values: Sequence[float],
    index: int,
    budgets: Sequence[AdjustableBudget],
) -> float | None:
    """Return the least value of one budget with the others at theirs; None: no value helps."""

    def met(value: float) -> bool:
        return feasible([*values[:index], value, *values[index + 1 :]])

    return least_budget(met, budgets[index].value)


def _smallest_set(feasible: Callable[[Sequence[float]], bool], given: Sequence[float]) -> list[int]:
    """Leave out of the set whatever need not be lifted; what stays is needed."""
    needed = list(range(len(given)))
    for index in range(len(given)):
        fewer = [other for other in needed if other != index]
        if feasible([math.inf if i in fewer else value for i, value in enumerate(given)]):
            needed = fewer
    return needed
