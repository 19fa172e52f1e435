"""Plan the remaining rounds anew, with the remaining budgets, when the air is not as planned."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from airtune.bound import pretraining_gap, shift_gap
from airtune.bound.forecast import crossing
from airtune.errors import InputError
from airtune.kinds import Real
from airtune.placement import Estimate
from airtune.planning.alternate import JointPlan, plan_scheme
from airtune.planning.chosen_payload import PayloadChoice
from airtune.planning.expected_radio import ExpectedRadio, RadioTurn
from airtune.planning.objective import Objective
from airtune.planning.repetition import Repetition
from airtune.planning.resources import PlanInputs
from airtune.planning.result import FixedCosts, Plan
from airtune.radio.quantisers.coding import Coding


@dataclass(frozen=True)
class Spent:
    """What has been spent when a round ends, and where the antennas are.

    Attributes
    ----------
    round : int
        Rounds done.
    positions : ndarray, float, shape (N, 2)  [wavelengths]
    latency_s, movement_s : float  [s]
        Of all components, and of whole movements, also beside computing.
    energy_j : float  [J]
        Of all components.
    client_energy_j : ndarray, float, shape (K,)  [J]
    loss : float or None
        Validation loss where it was measured after the round.
    """

    round: int
    positions: Real
    latency_s: float
    movement_s: float
    energy_j: float
    client_energy_j: Real
    loss: float | None = None


@dataclass(frozen=True)
class CurrentPlan:
    """A plan and when it was made.

    Attributes
    ----------
    joint : JointPlan
    gap : float
        Bound on the gap of the loss before its first round.
    round : int
        Rounds done before.
    movement_s : float
        Time of the movements before [s].
    """

    joint: JointPlan
    gap: float
    round: int = 0
    movement_s: float = 0.0

    @classmethod
    def first(cls, repetition: Repetition, joint: JointPlan) -> CurrentPlan:
        """Return the plan that a run begins with."""
        plan, bound = joint.plan, repetition.constants
        start = float(pretraining_gap(bound, plan.pretraining_steps, plan.pretraining_batch))
        return cls(joint, start + shift_gap(bound))

    @property
    def last_round(self) -> int:
        """The round in which the run ends."""
        return self.round + self.joint.plan.rounds

    def to_dict(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold, as plain JSON types."""
        costs = {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in asdict(self.joint.expected.costs).items()
        }
        began = {"gap": self.gap, "round": self.round, "movement_s": self.movement_s}
        return {"joint": self.joint.to_dict(), "costs": costs, "began": began}

    @classmethod
    def from_dict(cls, document: dict[str, Any], repetition: Repetition) -> CurrentPlan:
        """Return the plan of a checkpoint."""
        radio, plan = document["joint"]["radio"], Plan.from_dict(document["joint"])
        costs: dict[str, Any] = {
            name: np.array(value) if isinstance(value, list) else value
            for name, value in document["costs"].items()
        }
        expected = ExpectedRadio(
            positions=np.array(radio["positions"]),
            participants=plan.participants,
            weights=repetition.weights(plan.participants),
            mse_star=radio["mse_star"],
            costs=FixedCosts(**costs),
            max_travel=radio["max_travel"],
            repetition=plan.repetition,
            normalise=radio.get("normalise"),
            price_db=radio.get("travel_price_db", 0.0),
            error=Estimate(**radio["expected_error"]) if "expected_error" in radio else None,
        )
        coding, payload = (document["joint"].get(name) for name in ("coding", "payload"))
        joint = JointPlan(
            plan,
            expected,
            radio["scheme"],
            (),
            None if coding is None else Coding.from_dict(coding),
            None if payload is None else PayloadChoice.from_dict(payload),
        )
        return cls(joint, **document["began"])

    def gap_after(self, repetition: Repetition, rounds: int) -> float:
        """Bound on the gap after so many rounds of this plan (system model, section 6)."""
        shrink, plan = repetition.constants.contraction, self.joint.plan
        added = plan.bound.batch_noise + plan.bound.air_noise + plan.bound.bias  # in all its rounds
        return shrink**rounds * self.gap + (1 - shrink**rounds) / (1 - shrink**plan.rounds) * added


def drift(radio: RadioTurn, current: CurrentPlan, spent: Spent) -> dict[str, float]:
    """How far the air is off the plan: present over planned error and time of a movement.

    The error is looked at as the plan did, with the weights known before any update, for the
    antennas where they are.

    Returns
    -------
    dict
        `mse_ratio` and `movement_ratio`; ratios to a planned 0 are left out.
    """
    expected, rounds = current.joint.expected, spent.round - current.round
    ratios = {}
    if expected.mse_star > 0:
        turn = radio if radio.most_sendings == 1 else replace(radio, sendings=expected.repetition)
        now = turn.at(current.joint.plan.participants, spent.positions)
        ratios["mse_ratio"] = now.mse_star / expected.mse_star
    if expected.costs.move_s > 0:
        movement_s = (spent.movement_s - current.movement_s) / rounds
        ratio = movement_s / expected.costs.move_s
        # who moves when needed only is below the plan as a rule, not off it
        spared = radio.repetition.scenario.planning.movement == "when-needed"
        ratios["movement_ratio"] = max(ratio, 1.0) if spared else ratio
    return ratios


def plan_rest(
    repetition: Repetition, scheme: str, current: CurrentPlan, spent: Spent
) -> JointPlan | None:
    """Plan the remaining rounds with what is left of the budgets; None when it is too little."""
    inputs = rest_of(
        repetition.inputs,
        current,
        spent,
        current.gap_after(repetition, spent.round - current.round),
    )
    radio = RadioTurn(repetition, scheme, spent.round + 1, spent.positions)
    try:
        return replace(plan_scheme(radio, inputs), payload=current.joint.payload)
    except InputError:
        return None


def rest_of(inputs: PlanInputs, current: CurrentPlan, spent: Spent, gap: float) -> PlanInputs:
    """Return the run that is left: its start is the gap reached, phase 1 is over.

    Given rounds stay given; planned ones are at most those of the scenario.  What is predicted goes
    on from where the error-free run has the loss that was measured; where none was, that which the
    plan predicted.
    """
    given = inputs.rounds[0] == inputs.rounds[1]
    left = (current.last_round if given else inputs.rounds[1]) - spent.round
    clients = replace(inputs.clients, budget_j=inputs.clients.budget_j - spent.client_energy_j)
    return replace(
        inputs,
        bound=replace(inputs.bound, delta_pre=gap, W1=0.0),
        clients=clients,
        rounds=(left if given else 1, left),
        steps=(0, 0),
        batches=(1, 1),
        charged=False,
        latency_s=inputs.latency_s - spent.latency_s,
        energy_j=inputs.energy_j - spent.energy_j,
        objective=objective_of_rest(inputs.objective, current, spent),
    )


def objective_of_rest(
    objective: Objective | None, current: CurrentPlan, spent: Spent
) -> Objective | None:
    """Return the objective of the rounds that are left; None: the bound."""
    forecast = current.joint.plan.forecast
    if objective is None or forecast is None:
        return objective
    loss, done = spent.loss, spent.round - current.round
    if loss is None and done < len(forecast.losses):
        loss = forecast.losses[done]
    if loss is None:
        return objective.after(spent.round / max(forecast.burden, 1.0))
    return objective.after(min(crossing(objective.curve, loss), len(objective.curve) - 1.0))


def _predicted(plan: Plan) -> dict[str, Any]:
    """Return the rounds that are predicted from now on; nothing where the bound is minimised."""
    return {} if plan.forecast is None else {"predicted_rounds": plan.forecast.rounds}


def check(
    repetition: Repetition, scheme: str, current: CurrentPlan, spent: Spent
) -> tuple[CurrentPlan, dict[str, Any]] | None:
    """Plan anew if it is time to look and the air is off the plan by more than the factor.

    Returns
    -------
    (CurrentPlan, dict) or None
        The plan from now on (the old one when the budgets left allow no other) and what to report;
        None when all is as planned.
    """
    settings = repetition.scenario.planning
    done = spent.round - current.round
    due = done > 0 and done % settings.replan_every == 0 and spent.round < current.last_round
    if settings.replan_factor is None or not due:
        return None
    radio = RadioTurn(repetition, scheme, spent.round, spent.positions, coding=current.joint.coding)
    ratios = drift(radio, current, spent)
    limit = settings.replan_factor
    if all(1 / limit <= ratio <= limit for ratio in ratios.values()):
        return None
    joint = plan_rest(repetition, scheme, current, spent)
    if joint is None:
        return current, {**ratios, "accepted": False}
    gap = current.gap_after(repetition, done)
    report = {
        **ratios,
        "accepted": True,
        "rounds": joint.plan.rounds,
        "bound": joint.plan.bound.total,
        **_predicted(joint.plan),
    }
    return CurrentPlan(joint, gap, spent.round, spent.movement_s), report
