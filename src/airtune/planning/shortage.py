"""Budgets that cannot be met, and the least values that would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from airtune.allocation import AdjustableBudget, Conflict, ResourceProblem, conflict_of, is_feasible
from airtune.errors import InputError
from airtune.kinds import Mask, Real
from airtune.planning.resources import PlanInputs, resource_problem, try_plan
from airtune.planning.result import FixedCosts, Plan, everybody

LATENCY, ENERGY, CLIENT = "budget.latency_s", "budget.energy_j", "budget.client_energy_j"

NAMED = 3
"""Most budgets that are named, but for a client's, where each has its own."""

Air = tuple[float, FixedCosts, Mask]
"""MSE at full power, costs of a round besides computing, participants."""


def make_plan(
    inputs: PlanInputs,
    mse_star: float,
    costs: FixedCosts,
    participants: Mask | None = None,
) -> Plan:
    """Plan a run for the air it meets.

    The result is exact (system model, section 8) up to its certificate: no admissible choice has a
    bound below the certificate's, and of those with the same bound it takes the least energy that
    was met.

    Parameters
    ----------
    inputs : PlanInputs
    mse_star : float
        MSE of the participants' aggregation at full power (0 for an error-free one).
    costs : FixedCosts
        What a round with these participants costs besides computing; arrays of shape (K,).
    participants : ndarray of bool, shape (K,), optional
        Who takes part, all by default.  The others' weights are shared out in proportion, and the
        bias of their absence is part of the bound.

    Returns
    -------
    Plan

    Raises
    ------
    InputError
        When a budget cannot be met; the message names it and the least value that would do.
    """
    present = everybody(inputs.clients.omega) if participants is None else participants
    plan = try_plan(inputs, mse_star, costs, present)
    if plan is None:
        raise InputError(shortage(inputs, [(mse_star, costs, present)]))
    return plan


def shortage(inputs: PlanInputs, airs: Sequence[Air]) -> str:
    """Say which budgets to raise, and to what, where :func:`try_plan` has no plan on any air.

    Parameters
    ----------
    inputs : PlanInputs
    airs : sequence of (float, FixedCosts, ndarray of bool)
        What may be planned for; one with a plan is enough.

    Returns
    -------
    str
    """
    runs = [run for air in airs for run in _runs(inputs, *air)]
    shared, clients = inputs.shared_client_budget, inputs.clients.budget_j
    given = {LATENCY: inputs.latency_s, ENERGY: inputs.energy_j}
    if shared:
        given[CLIENT] = float(clients[0])
    else:
        given |= {f"{CLIENT}[{client}]": float(joules) for client, joules in enumerate(clients)}
    finite = [AdjustableBudget(name, value) for name, value in given.items() if np.isfinite(value)]

    def feasible(values: Sequence[float]) -> bool:
        raised = {budget.name: value for budget, value in zip(finite, values, strict=True)}
        latency_s, energy_j, *client_j = (given | raised).values()
        each_j = np.full_like(clients, client_j[0]) if shared else np.array(client_j)
        return any(run.keeps(latency_s, energy_j, each_j) for run in runs)

    return _said(inputs, conflict_of(feasible, finite))


@dataclass(frozen=True)
class _Run:
    """A problem, and what is spent besides it, once and in any case.

    Attributes
    ----------
    problem : ResourceProblem
    first_s, first_j : float
        Latency [s] and energy [J] of what the first round has more than every round.
    participants : ndarray of bool, shape (K,)
    """

    problem: ResourceProblem
    first_s: float
    first_j: float
    participants: Mask

    def keeps(self, latency_s: float, energy_j: float, client_j: Real) -> bool:
        """Whether it can be met with these budgets."""
        budgets = latency_s - self.first_s, energy_j - self.first_j, client_j[self.participants]
        return is_feasible(self.problem.with_budgets(*budgets))


def _runs(inputs: PlanInputs, mse_star: float, costs: FixedCosts, present: Mask) -> list[_Run]:
    """Return the problems that :func:`try_plan` solves for an air."""
    ways = [costs]
    if costs.overlap and costs.first_move_s > 0:
        ways.append(costs.serial_first)
    return [
        _Run(resource_problem(inputs, mse_star, way, present), way.first_s, way.first_j, present)
        for way in ways
    ]


def _said(inputs: PlanInputs, conflict: Conflict) -> str:
    """Say which budgets of a scenario to raise, to which values."""
    told = [f"{b.name} = {b.value:.9g} to at least {least!r}" for b, least in conflict.budgets]
    clients = [number for number, one in enumerate(told) if one.startswith(f"{CLIENT}[")]
    left_out = clients[max(1, NAMED - (len(told) - len(clients))) :]
    told = [one for number, one in enumerate(told) if number not in left_out]
    raises = (" and " if conflict.jointly else " or ").join(told)
    if left_out:
        more = f"{len(left_out)} more of {CLIENT}"
        if conflict.jointly:  # raising all of them to the largest does, too
            most_j = max(conflict.budgets[number][1] for number in left_out)
            more += f" to at least {most_j!r} each"
        raises += f" and {more}" if conflict.jointly else f" or one of {more}"
    fewest, most = inputs.rounds
    hint = " (or lower training.rounds)" if fewest > 1 and fewest == most else ""
    return (
        f"the budgets cannot be met in {fewest} round{'s' * (fewest > 1)} even with batches of one "
        f"sample: raise {raises}{' together' * conflict.jointly}{hint}"
    )
