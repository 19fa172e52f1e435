"""Time against energy to the target: the plans of which no other is better in both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from airtune.errors import InputError
from airtune.kinds import Mask
from airtune.planning.alternate import JointPlan
from airtune.planning.law import of_scheme
from airtune.planning.plans import turn_of
from airtune.planning.repetition import Repetition
from airtune.planning.resources import PlanInputs, try_plan
from airtune.planning.result import Plan

POINTS = 12
"""Plans of least energy within a time, besides the fastest and the thriftiest."""


@dataclass(frozen=True)
class ParetoPoint:
    """A plan of the front.

    Attributes
    ----------
    objective : str
        What it minimises: ``time``, ``energy``, ``energy-delay``, or ``within`` where it is the
        plan of least energy within a time.
    plan : Plan
    """

    objective: str
    plan: Plan

    @property
    def time_s(self) -> float:
        """Predicted time to the target [s]."""
        assert self.plan.forecast is not None
        return float(self.plan.forecast.time_s or np.inf)

    @property
    def energy_j(self) -> float:
        """Predicted energy to the target [J]."""
        assert self.plan.forecast is not None
        return float(self.plan.forecast.energy_j or np.inf)

    def to_dict(self) -> dict[str, Any]:
        """Return the point as plain JSON types, with its plan."""
        return {
            "objective": self.objective,
            "time_s": self.time_s,
            "energy_j": self.energy_j,
            "plan": self.plan.to_dict(),
        }


def pareto_front(repetition: Repetition, joint: JointPlan) -> list[ParetoPoint]:
    """Return plans from the fastest to the thriftiest, on the air of a joint plan.

    The antennas and the participants are those of the joint plan; rounds, batches, clocks,
    and back-off are planned anew for each point, also where the scenario gives the rounds.  In
    between the energy is minimised within times of even ratios, so the points are on the front up
    to their certificates.

    Parameters
    ----------
    repetition : Repetition
        With a pilot, and an objective that is predicted.
    joint : JointPlan

    Returns
    -------
    list of ParetoPoint
        Rising in time, falling in energy.

    Raises
    ------
    InputError
        No plan within the budgets is predicted to reach the target.
    """
    inputs, present = repetition.inputs, joint.plan.participants
    assert inputs.objective is not None
    turn = turn_of(repetition, joint)
    objective, rounds = of_scheme(inputs.objective, turn), (1, inputs.rounds[1])
    inputs = replace(inputs, objective=objective, rounds=rounds)

    def best(name: str, latency_s: float = np.inf) -> Plan | None:
        return _best(inputs, joint, present, name, latency_s)

    ends = {name: best(name) for name in ("time", "energy", "energy-delay")}
    points = [ParetoPoint(name, plan) for name, plan in ends.items() if plan is not None]
    if len(points) < 3:
        raise InputError(
            "--pareto: no plan within the budgets is predicted to reach the loss "
            f"{objective.target:.4g} in training.rounds = {inputs.rounds[1]}: raise "
            "planning.target_loss or the budgets, or training.rounds where the target is set"
        )
    fastest, slowest = points[0].time_s, points[1].time_s
    for limit in np.geomspace(fastest, max(fastest, slowest), POINTS + 2)[1:-1]:
        plan = best("energy", float(limit))
        if plan is not None:
            points.append(ParetoPoint("within", plan))
    points.sort(key=lambda point: (point.time_s, point.energy_j))
    front: list[ParetoPoint] = []
    for point in points:
        if not front or point.energy_j < front[-1].energy_j * (1 - 1e-9):
            front.append(point)
    return front


def _best(
    inputs: PlanInputs, joint: JointPlan, present: Mask, name: str, time_s: float
) -> Plan | None:
    """Return the plan of an objective within a time to the target; None where there is none.

    The time is a budget of the rounds to the target, so the margin of the rounds is left out.
    """
    assert inputs.objective is not None
    margin = inputs.objective.margin if not np.isfinite(time_s) else 1.0
    objective = replace(inputs.objective, name=name, margin=margin)
    limited = replace(inputs, objective=objective, latency_s=min(inputs.latency_s, time_s))
    expected = joint.expected
    plan = try_plan(limited, expected.mse_star, expected.costs, present)
    if plan is None or plan.forecast is None or plan.forecast.rounds is None:
        return None
    return replace(plan, repetition=expected.repetition)
