"""Say which budget cannot be met, and the least value that could."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from airtune.allocation.feasibility import is_feasible, least_budget
from airtune.allocation.problem import ResourceProblem


@dataclass(frozen=True)
class Knob:
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
        """Return the knob of one client's energy budget."""

        def change(problem: ResourceProblem, value: float) -> ResourceProblem:
            client_j = problem.clients.budget_j / problem.clients.share
            client_j[client] = value
            return problem.with_budgets(client_j=client_j)

        return cls(name, value, change)


def least_values(
    problem: ResourceProblem, knobs: Sequence[Knob]
) -> tuple[list[tuple[Knob, float]], bool]:
    """Budgets to raise, each with the least value that would do (rounded up).

    Parameters
    ----------
    problem : ResourceProblem
        Infeasible.
    knobs : sequence of Knob
        All its finite budgets.

    Returns
    -------
    (list of (Knob, float), bool)
        Those that alone could be raised with all others kept, and False; if there are none, a
        smallest set that has to be raised together, each with the least value it needs once the
        others of the set are lifted, and True.
    """
    single = [(knob, _least(problem, knob)) for knob in knobs]
    helpful = [(knob, least) for knob, least in single if least is not None]
    if helpful:
        return helpful, False
    together = _smallest_set(problem, list(knobs))
    found = []
    for knob in together:
        least = _least(_lifted(problem, [other for other in together if other != knob]), knob)
        found.append((knob, math.inf if least is None else least))
    return found, True


def explain_conflict(problem: ResourceProblem) -> str:
    """Describe why no plan meets the budgets of a problem file."""
    found, together = least_values(problem, _knobs(problem))
    phrases = [f"{knob.name} = {knob.value:.9g} must be at least {x!r}" for knob, x in found]
    if not together:
        return "no plan meets the budgets: " + ", or ".join(phrases) + " (all others kept)"
    return (
        "no plan meets the budgets, and no single one can be raised to change that; these conflict "
        "and must be raised together: " + ", and ".join(phrases)
    )


def _knobs(problem: ResourceProblem) -> list[Knob]:
    knobs, clients = [], problem.clients.budget_j
    if math.isfinite(problem.latency_s):
        knobs.append(
            Knob("latency_budget_s", problem.latency_s, lambda p, x: p.with_budgets(latency_s=x))
        )
    if math.isfinite(problem.energy_j):
        knobs.append(
            Knob("energy_budget_j", problem.energy_j, lambda p, x: p.with_budgets(energy_j=x))
        )
    return knobs + [
        Knob.of_client(f"clients[{k}].energy_budget_j", int(k), float(clients[k]))
        for k in np.flatnonzero(np.isfinite(clients))
    ]


def _least(problem: ResourceProblem, knob: Knob) -> float | None:
    return least_budget(lambda value: knob.change(problem, value), knob.value)


def _lifted(problem: ResourceProblem, knobs: Sequence[Knob]) -> ResourceProblem:
    for knob in knobs:
        problem = knob.change(problem, math.inf)
    return problem


def _smallest_set(problem: ResourceProblem, knobs: list[Knob]) -> list[Knob]:
    """Leave out of the set whatever need not be lifted; what stays is needed."""
    kept = list(knobs)
    for knob in knobs:
        fewer = [other for other in kept if other != knob]
        if is_feasible(_lifted(problem, fewer)):
            kept = fewer
    return kept
