"""The payload turn: what is sent of an update, by what is predicted (`aggregation.payload`).

Every payload has a pilot of its own, with its own step, so that the curve without errors is that of
what is sent, and so is the constant of the errors.  A plan is made with each, to one target, and
that of the least predicted value is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from airtune.errors import InfeasibleError, InputError
from airtune.learning.payload import PAYLOADS
from airtune.planning.alternate import JointPlan
from airtune.planning.choices import PayloadChoice, PredictedPayload
from airtune.planning.objective import UNREACHABLE
from airtune.planning.pilot import SHARE, Pilot
from airtune.planning.plans import plan_run
from airtune.planning.repetition import Repetition
from airtune.registry import PROPOSAL
from airtune.scenario import Scenario
from airtune.scenario.radio import PLANNED_PAYLOAD

REFERENCE = "lora"
"""Payload whose pilot sets the target where the scenario gives none."""

Pilots = Mapping[str, Pilot]
"""Pilots by the payload that they sent."""


def is_planned(scenario: Scenario) -> bool:
    """Tell whether the payload is left to the plan."""
    return scenario.aggregation.payload == PLANNED_PAYLOAD


def check_chosen(scenario: Scenario) -> None:
    """Refuse to run rounds whose payload is still left to the plan.

    Raises
    ------
    InputError
        It is.
    """
    if is_planned(scenario):
        raise InputError(
            "aggregation.payload = planned: must be chosen by a plan before the rounds "
            "(airtune.planning.payload_choice)"
        )


def candidates(scenario: Scenario) -> tuple[str, ...]:
    """Return the payloads among which is chosen: those of a size where one is given.

    Examples
    --------
    >>> from airtune.scenario import Aggregation, Planning
    >>> open_one, timed = Aggregation(payload="planned"), Planning(objective="time")
    >>> candidates(Scenario(aggregation=open_one, planning=timed))
    ('lora', 'ffa', 'rolora')
    """
    sized = scenario.aggregation.payload_size is not None
    return tuple(name for name, kind in PAYLOADS.items() if sized or not kind.sized)


def with_payload(scenario: Scenario, payload: str) -> Scenario:
    """Return a scenario with one of its candidates."""
    size = scenario.aggregation.payload_size if PAYLOADS[payload].sized else None
    changed = {"payload": payload, "payload_size": size}
    return scenario.model_copy(
        update={"aggregation": scenario.aggregation.model_copy(update=changed)}
    )


def resolved(scenario: Scenario, joint: JointPlan) -> Scenario:
    """Return a scenario with the payload that a plan has chosen; as it is where it is named.

    It aims at the target of the plan, that of `lora`, whatever the curve of the chosen payload: so
    do plans of the rounds that are left, and those from the fastest to the thriftiest.
    """
    if joint.payload is None:
        return scenario
    chosen, forecast = with_payload(scenario, joint.payload.payload), joint.plan.forecast
    return chosen if forecast is None else _aiming(chosen, forecast.target)


def _aiming(scenario: Scenario, target: float) -> Scenario:
    aimed = scenario.planning.model_copy(update={"target_loss": target})
    return scenario.model_copy(update={"planning": aimed})


def pilot_of(pilots: Pilots, joint: JointPlan) -> Pilot | None:
    """Return the pilot that a plan is made of; None where it needs none."""
    return pilots.get("" if joint.payload is None else joint.payload.payload)


def with_chosen_payload(repetition: Repetition, joint: JointPlan, pilots: Pilots) -> Repetition:
    """Return a repetition with the payload that a plan has chosen, and the pilot of it."""
    scenario, pilot = resolved(repetition.scenario, joint), pilot_of(pilots, joint)
    if joint.payload is None:
        return replace(repetition, pilot=pilot)
    return replace(
        repetition, scenario=scenario, pilot=pilot, channel=repetition.paths, _schemes={}
    )


def plan_with_payload(repetition: Repetition, scheme: str, pilots: Pilots) -> JointPlan:
    """Plan the run of a scheme with the payload of least predicted value, of equal ones that of
    least energy.

    Parameters
    ----------
    repetition : Repetition
        Of the scenario with the payload left open.
    scheme : str
        A shared plan is made for the air of the proposal, and so is the choice.
    pilots : mapping of str to Pilot
        One for each of :func:`candidates`.

    Raises
    ------
    InfeasibleError
        No budget can be met with any payload; the message is that of `lora`.
    InputError
        A pilot is missing.
    """
    scenario, found, refused = repetition.scenario, dict[str, JointPlan](), dict[str, str]()
    names = candidates(scenario)
    missing = [name for name in names if name not in pilots]
    if missing:
        raise InputError(
            f"aggregation.payload = planned: needs the figures of a pilot with {missing[0]}, which "
            "`airtune plan` and a run make; allowed without one is a payload by its name"
        )
    target = scenario.planning.target_loss
    if target is None:
        target = pilots[REFERENCE].curve().target(SHARE, scenario.training.rounds)
    scenario, numbers = _aiming(scenario, target), {}
    for name in names:
        own = with_payload(scenario, name)
        known = replace(
            repetition,
            scenario=own,
            pilot=pilots[name],
            channel=repetition.paths,
            _schemes={},
        )
        try:
            found[name] = plan_run(known, scheme)
        except InputError as error:
            if name == REFERENCE and not isinstance(error, InfeasibleError):
                raise
            refused[name] = str(error)
            continue
        numbers[name] = int(known.matrix_sizes.sum())
    if not found:
        raise InfeasibleError(refused[REFERENCE])
    best = min(found, key=lambda name: (*found[name].rank, names.index(name)))
    told: dict[str, PredictedPayload | str] = {
        name: _predicted(found[name], numbers[name]) if name in found else refused[name]
        for name in names
    }
    size = scenario.aggregation.payload_size if PAYLOADS[best].sized else None
    return replace(found[best], payload=PayloadChoice(best, size, told))


def _predicted(joint: JointPlan, numbers: int) -> PredictedPayload:
    forecast = joint.plan.forecast
    assert forecast is not None
    value = forecast.value if forecast.value < UNREACHABLE else None
    return PredictedPayload(
        numbers, value, forecast.rounds, forecast.time_s, forecast.energy_j, forecast.loss
    )


def plan_payloads(
    repetition: Repetition, schemes: tuple[str, ...], pilots: Pilots
) -> dict[str, JointPlan]:
    """Plan the runs of several schemes, each with the payload of least predicted value.

    A shared plan, and the choice with it, is made once, for the air of the proposal.
    """
    if repetition.scenario.plan == "own":
        return {scheme: plan_with_payload(repetition, scheme, pilots) for scheme in schemes}
    return dict.fromkeys(schemes, plan_with_payload(repetition, PROPOSAL, pilots))
