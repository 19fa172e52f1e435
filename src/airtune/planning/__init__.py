"""The joint plan of a run (system model, section 8), and what it is made of.

A :class:`Repetition` is what is known before the first round; :func:`plan_run` plans a scheme's run
on it, :func:`plan_scenario` does the same for a scenario by itself, :func:`plan_problem` solves the
resource half with all constants given.

    alternate         turns of radio, resources and participation until the bound stops falling
    resources         the resource turn: PlanInputs and an expected radio -> Plan
    expected_radio    the radio turn: places of the antennas, MSE* and what a round costs
    overheads         pilots, reports and broadcast of a mean round
    many_reports      pilots and reports of more clients than can report at once
    participation     the participation turn: who takes part
    objective         what is minimised where it is predicted, and the forecast of a plan
    pilot             figures of a few error-free rounds, and the objective that they make
    law               the constant that a scheme's errors have in the forecast
    search            the resource turn by what is predicted
    least_cost        least predicted time, energy or their product
    pareto            plans from the fastest to the thriftiest
    result            Plan, and the costs of a round that no allocation chooses
    plans             plans of several schemes, and the pre-training that they ask for
    margins           what limits a plan; the bound over T
    replan            plan the rest of a run anew when the air is not as planned
    known_rounds      the radio turn on the mean of the rounds that are known
    budgets           plan it anew, or end it, when a budget would not be kept
    deviation         accounts of a run against its plan
    movement_choice   when the antennas move, by what is predicted
    scenario_plan     a scenario's plan without a run
    problem_file      planning problems with all constants given
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airtune.planning.alternate import JointPlan
    from airtune.planning.plans import plan_all, plan_run, planned_pretraining
    from airtune.planning.problem_file import plan_problem
    from airtune.planning.repetition import Repetition
    from airtune.planning.resources import PlanInputs
    from airtune.planning.result import FixedCosts, Plan
    from airtune.planning.scenario_plan import ScenarioPlan, plan_scenario
    from airtune.planning.shortage import make_plan

_HOMES = {
    "FixedCosts": "result",
    "JointPlan": "alternate",
    "Plan": "result",
    "PlanInputs": "resources",
    "Repetition": "repetition",
    "ScenarioPlan": "scenario_plan",
    "make_plan": "shortage",
    "plan_all": "plans",
    "plan_problem": "problem_file",
    "plan_run": "plans",
    "plan_scenario": "scenario_plan",
    "planned_pretraining": "plans",
}

__all__ = [
    "FixedCosts",
    "JointPlan",
    "Plan",
    "PlanInputs",
    "Repetition",
    "ScenarioPlan",
    "make_plan",
    "plan_all",
    "plan_problem",
    "plan_run",
    "plan_scenario",
    "planned_pretraining",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used: a problem file needs neither radio nor learning."""
    if name not in _HOMES:
        raise AttributeError(f"module 'airtune.planning' has no attribute {name!r}")
    return getattr(import_module(f"airtune.planning.{_HOMES[name]}"), name)
