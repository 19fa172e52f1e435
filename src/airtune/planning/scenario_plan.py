"""The plan of a scenario without a run: what `airtune plan SCENARIO` computes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from airtune.bound import BoundParts
from airtune.errors import InputError, clip, computable
from airtune.planning.alternate import JointPlan
from airtune.planning.coherence import Coherence
from airtune.planning.forward import for_scheme
from airtune.planning.margins import Margins, bound_curve, measure_margins
from airtune.planning.movement_choice import with_movement
from airtune.planning.payload_choice import (
    Pilots,
    is_planned,
    plan_with_payload,
    with_chosen_payload,
)
from airtune.planning.pilot import Pilot
from airtune.planning.plans import plan_run
from airtune.planning.repetition import Repetition
from airtune.registry import CHANNELS, PROPOSAL, SCHEMES
from airtune.scenario import Scenario
from airtune.scenario.base import chosen
from airtune.scenario.names import check_names
from airtune.schemes.precoding import aligned


@dataclass(frozen=True)
class ScenarioPlan:
    """A plan with what limits it and the time spent.

    Attributes
    ----------
    repetition : Repetition
    joint : JointPlan
    margins : Margins or None
        None where the plan minimises what is predicted.
    seconds : float
        Time that planning took.
    pilots : mapping of str to Pilot
        Those of all payloads among which was chosen; none where it was not left to the plan.
    """

    repetition: Repetition
    joint: JointPlan
    margins: Margins | None
    seconds: float
    pilots: Pilots = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``airtune plan --json`` prints."""
        document = self.joint.to_dict()
        document["radio"] |= _beamformer(self.repetition, self.joint)
        if self.repetition.facings is not None:
            document["radio"]["rotation_deg"] = list(self.repetition.facings.of(1).angles)
        twin, pilot, coherence = self.repetition.twin, self.repetition.pilot, self.coherence
        scenario = self.repetition.scenario
        return {
            "scenario": scenario.name,
            **({} if twin is None else {"cost_twin": twin.to_dict()}),
            **document,
            **({} if self.margins is None else {"margins": self.margins.to_dict()}),
            **({} if pilot is None else {"pilot": pilot.to_dict()}),
            **({} if coherence is None else {"coherence": coherence.to_dict()}),
            **({} if not self.pilots else {"pilots": _documents(self.pilots)}),
            "keep_budgets": scenario.budget.given
            and scenario.planning.keeps_budgets(scenario.plan),
            "seconds": self.seconds,
        }

    @property
    def coherence(self) -> Coherence | None:
        """How long the paths last, against the times of a round; None where it is not known."""
        return Coherence.of(self.repetition, self.joint)

    def bound_curve(self) -> dict[int, BoundParts | None]:
        """Bound of the best plan of each T in rising order, the T of the plan among them.

        T goes up to the greatest that may be planned, or to twice the given one.
        """
        inputs, plan = replace(self.repetition.inputs, objective=None), self.joint.plan
        most = inputs.rounds[1] if inputs.rounds[0] < inputs.rounds[1] else 2 * inputs.rounds[1]
        curve = bound_curve(inputs, self.joint.expected, most)
        curve[plan.rounds] = plan.bound
        return dict(sorted(curve.items()))


def plan_scenario(
    scenario: Scenario,
    scheme: str | None = None,
    pilot: Pilot | None = None,
    pilots: Pilots | None = None,
) -> ScenarioPlan:
    """Plan a scenario as a run would, for its first seed; nothing is trained.

    Parameters
    ----------
    scenario : Scenario
    scheme : str, optional
        Whose air to plan for; that of the shared plan by default.
    pilot : Pilot, optional
        What a plan predicts from where `planning.objective` is not ``bound``
        (:func:`airtune.study.pilot.find_pilot`).
    pilots : mapping of str to Pilot, optional
        One for each payload among which is chosen, where `aggregation.payload` is planned.

    Returns
    -------
    ScenarioPlan

    Raises
    ------
    InputError
        The scheme is not known, there is no pilot where one is needed, or a budget cannot be met:
        the message names it and the least value that would do.
    """
    check_names(scenario)
    CHANNELS[scenario.radio.channel](scenario.radio, scenario.clients, scenario.seed)
    name = PROPOSAL if scheme is None else chosen(scheme, SCHEMES)
    if name not in SCHEMES:
        raise InputError(f"--scheme {clip(name)}: must be one of {', '.join(SCHEMES)}")
    if name != PROPOSAL:
        scenario = scenario.model_copy(update={"plan": "own"})
    opened = replace(Repetition.open(scenario, scenario.seed), pilot=pilot)
    repetition = for_scheme(opened, name)
    began = time.perf_counter()
    if is_planned(scenario):
        joint = plan_with_payload(repetition, name, pilots or {})
        repetition = with_chosen_payload(repetition, joint, pilots or {})
    else:
        joint = plan_run(repetition, name)
    repetition = with_movement(repetition, joint)
    seconds = time.perf_counter() - began
    if joint.plan.forecast is not None:
        tried = {} if joint.payload is None else dict(pilots or {})
        return ScenarioPlan(repetition, joint, None, seconds, tried)
    with computable("the margins of the plan"):
        margins = measure_margins(repetition.inputs, joint.expected, joint.plan.bound)
    return ScenarioPlan(repetition, joint, margins, seconds)


def _documents(pilots: Pilots) -> dict[str, Any]:
    return {name: one.to_dict() for name, one in pilots.items()}


def _beamformer(repetition: Repetition, joint: JointPlan) -> dict[str, Any]:
    """Return the receive beamformer of the plan and the worst gain; null where there is none."""
    if not joint.expected.costs.backoff:
        return {"beamformer_re": None, "beamformer_im": None, "worst_gain": None}
    weights, positions = joint.expected.weights, joint.expected.positions
    array = repetition.scheme(joint.scheme).array
    link = array.expected_link(repetition.radio(1), weights, positions)
    best = [one.best_beamformer(weights) for one in aligned(link, weights).subbands]
    gains = np.array([one.worst_gain for one in best])
    beamformers = np.array([one.beamformer for one in best])
    if len(best) == 1:
        beamformers = beamformers[0]
    return {
        "beamformer_re": beamformers.real.tolist(),
        "beamformer_im": beamformers.imag.tolist(),
        # the mean error is 1 / worst_gain: harmonic mean of the blocks' gains
        "worst_gain": float(gains[0] if len(best) == 1 else 1.0 / np.mean(1.0 / gains)),
    }
