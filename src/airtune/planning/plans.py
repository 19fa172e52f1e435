"""Plans of the schemes of a repetition, and the pre-training that they ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from airtune.errors import InfeasibleError, InputError, computable
from airtune.planning.alternate import JointPlan, plan_scheme
from airtune.planning.coding import fastest_coding
from airtune.planning.expected_radio import RadioTurn
from airtune.planning.forward import for_scheme
from airtune.planning.movement_choice import is_planned, plan_with_movement, with_movement
from airtune.planning.repetition import Repetition
from airtune.planning.result import Plan
from airtune.registry import PROPOSAL
from airtune.scenario import Scenario


def plan_run(repetition: Repetition, scheme: str) -> JointPlan:
    """Plan the run of a scheme; a shared plan is made for the air of the proposal.

    Parameters
    ----------
    repetition : Repetition
        Clients, air and budgets of one seed.
    scheme : str
        Name of the scheme.

    Returns
    -------
    JointPlan

    Raises
    ------
    InfeasibleError
        When a budget cannot be met; the message names the scheme, the budget and the least value
        that would do.
    """
    planned = PROPOSAL if repetition.scenario.plan == "shared" else scheme
    repetition = for_scheme(repetition, planned)
    start = repetition.scheme(planned).array.start()
    try:
        with computable("the plan"):
            if is_planned(repetition, planned):
                return plan_with_movement(repetition, planned)
            return plan_scheme(RadioTurn(repetition, planned, 1, start), repetition.inputs)
    except InputError as error:
        raise InfeasibleError(f"plan of {planned!r}: {error}") from None


def turn_of(repetition: Repetition, joint: JointPlan) -> RadioTurn:
    """Return the radio turn of a plan's scheme before the first round, with the plan's coding."""
    start = repetition.scheme(joint.scheme).array.start()
    return RadioTurn(repetition, joint.scheme, 1, start, coding=joint.coding)


def with_coding(repetition: Repetition, scheme: str, joint: JointPlan) -> JointPlan:
    """Return a plan with the coding of the updates of the scheme that runs.

    A plan of its own has it; for a shared one it is that of least predicted time at its batches and
    clocks, on the scheme's own air.

    Parameters
    ----------
    repetition : Repetition
    scheme : str
        Name of the scheme that runs.
    joint : JointPlan
        Its own plan or a shared one.
    """
    if joint.scheme == scheme:
        return joint
    repetition = for_scheme(repetition, scheme)
    built = repetition.scheme(scheme)
    if not built.air.plans_coding:
        return joint
    radio = RadioTurn(repetition, scheme, 1, built.array.start())
    expected, plan = radio.place(joint.plan.participants, joint.expected.max_travel), joint.plan
    if repetition.payload.computing != 1.0:  # not what the clients of the shared plan compute
        seconds = repetition.cycles_per_sample * plan.batch_sizes / plan.frequencies
        compute = plan.rounds * float(np.max(seconds))
        plan = replace(plan, latency_s=replace(plan.latency_s, compute=compute))
    return replace(joint, coding=fastest_coding(radio, plan, expected))


def with_plan(
    repetition: Repetition, scheme: str, plan: JointPlan | None = None
) -> tuple[Repetition, JointPlan]:
    """Return the repetition of a scheme as its run needs it, and the plan of the run.

    Parameters
    ----------
    repetition : Repetition
    scheme : str
        Name of the scheme that runs.
    plan : JointPlan, optional
        Its own plan or a shared one; made here by default.

    Returns
    -------
    Repetition
        Of the scheme, with the movement policy where the plan has chosen one.
    JointPlan
        With the coding of the scheme's updates.
    """
    repetition = for_scheme(repetition, scheme)
    joint = plan_run(repetition, scheme) if plan is None else plan
    repetition = with_movement(repetition, joint)
    return repetition, with_coding(repetition, scheme, joint)


def plan_all(repetition: Repetition, schemes: Sequence[str]) -> dict[str, JointPlan]:
    """Plan the runs of several schemes, by their names; a shared plan is made once."""
    if repetition.scenario.plan == "own":
        return {scheme: plan_run(repetition, scheme) for scheme in schemes}
    for scheme in schemes:
        for_scheme(repetition, scheme)  # says what does not go together
    return dict.fromkeys(schemes, plan_run(repetition, PROPOSAL))


def planned_pretraining(scenario: Scenario, plan: Plan) -> Scenario:
    """Return the scenario with phase 1 as planned: T0 steps of B0 samples."""
    return with_pretraining(scenario, plan.pretraining_steps, plan.pretraining_batch)


def with_pretraining(scenario: Scenario, steps: int, batch_size: int) -> Scenario:
    """Return the scenario with a planned phase 1; as it is where phase 1 is not planned."""
    if scenario.planning.pretraining == "fixed":
        return scenario
    phase = scenario.pretraining.model_copy(update={"steps": steps, "batch_size": batch_size})
    return scenario.model_copy(update={"pretraining": phase})
