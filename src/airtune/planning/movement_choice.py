"""When the antennas move, by what is predicted (`planning.movement: planned`).

Each policy gets the best plan that it has, on the same drawn rounds, through which the antennas go
as the policy says; the plan of least predicted value is the run's.  That of one known round would
not do: antennas that stay hear well in it and ever worse after it, and those that move when needed
may not need to in most rounds.
"""

from __future__ import annotations

from dataclasses import replace

from airtune.errors import InputError
from airtune.planning.alternate import JointPlan, plan_scheme
from airtune.planning.choices import MovementChoice, PredictedMovement
from airtune.planning.expected_radio import RadioTurn
from airtune.planning.objective import UNREACHABLE
from airtune.planning.repetition import Repetition

CANDIDATES = ("when-needed", "each-round", "once", "priced")
"""Policies among which is chosen; of equal ones that of least energy, then the first.

Not `statistical`: how often its places are taken anew is decided by draws in the run.
"""


def is_planned(repetition: Repetition, scheme: str) -> bool:
    """Return whether the plan of a scheme chooses the policy: arrays without drives have none."""
    open_ = repetition.scenario.planning.movement == "planned"
    return open_ and repetition.scheme(scheme).array.moves


def moving(repetition: Repetition, policy: str) -> Repetition:
    """Return a repetition in which antennas move by one of the candidates."""
    scenario = repetition.scenario
    planning = scenario.planning.model_copy(update={"movement": policy})
    scenario = scenario.model_copy(update={"planning": planning})
    return replace(
        repetition, scenario=scenario, channel=repetition.paths, movement_chosen=True, _schemes={}
    )


def with_movement(repetition: Repetition, joint: JointPlan) -> Repetition:
    """Return a repetition with the policy that a plan has chosen; as it is where none was."""
    open_ = repetition.scenario.planning.movement == "planned"
    return (
        repetition
        if joint.movement is None or not open_
        else moving(repetition, joint.movement.policy)
    )


def plan_with_movement(repetition: Repetition, scheme: str) -> JointPlan:
    """Plan the run of a scheme with the policy of least predicted value, of equal ones that of
    least energy.

    Parameters
    ----------
    repetition : Repetition
        Of the scenario with the policy left open.
    scheme : str
        Its array has drives.

    Raises
    ------
    InputError
        No budget can be met with any policy; the message is that of the first.
    """
    found, told = dict[str, JointPlan](), dict[str, PredictedMovement | str]()
    start = repetition.scheme(scheme).array.start()
    for policy in CANDIDATES:
        known = moving(repetition, policy)
        try:
            joint = plan_scheme(RadioTurn(known, scheme, 1, start), known.inputs)
        except InputError as error:
            told[policy] = str(error)
            continue
        found[policy], told[policy] = joint, _predicted(joint)
    if not found:
        raise InputError(str(told[CANDIDATES[0]]))
    best = min(found, key=lambda policy: (*found[policy].rank, CANDIDATES.index(policy)))
    return replace(found[best], movement=MovementChoice(best, told))


def _predicted(joint: JointPlan) -> PredictedMovement:
    forecast, costs = joint.plan.forecast, joint.expected.costs
    assert forecast is not None
    return PredictedMovement(
        value=forecast.value if forecast.value < UNREACHABLE else None,
        rounds=forecast.rounds,
        time_s=forecast.time_s,
        energy_j=forecast.energy_j,
        loss=forecast.loss,
        mse=forecast.mse,
        move_s=costs.move_s,
        move_j=costs.move_j,
    )
