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
from airtune.planning.choices import MovementChoice, PayloadChoice
from airtune.planning.expected_radio import ExpectedRadio, RadioTurn
from airtune.planning.known_rounds import KnownRounds
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
    placed_error : float or None
        Expected error over v^2 when the antennas were placed for many blocks; None where they are
        not.
    """

    round: int
    positions: Real
    latency_s: float
    movement_s: float
    energy_j: float
    client_energy_j: Real
    loss: float | None = None
    placed_error: float | None = None

    @property
    def accounts(self) -> Real:
        """Time [s], energy [J] and each client's energy [J], shape (2 + K,)."""
        return accounts_of(self.latency_s, self.energy_j, self.client_energy_j)


def accounts_of(latency_s: float, energy_j: float, client_energy_j: Real) -> Real:
    """Return what budgets limit as one array, shape (2 + K,)."""
    return np.concatenate([[latency_s, energy_j], client_energy_j])


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
    accounts : ndarray, float, shape (2 + K,), or None
        What had been spent before (:attr:`Spent.accounts`); None: not known.
    asked : int or None
        The round in which the run was to end before a plan was made for its budgets; None where
        none was.
    cut_by : str or None
        The budget for which it ends earlier, as in the section `budget`.
    ended : int or None
        The round after which not one more fitted into a budget.
    """

    joint: JointPlan
    gap: float
    round: int = 0
    movement_s: float = 0.0
    accounts: Real | None = None
    asked: int | None = None
    cut_by: str | None = None
    ended: int | None = None

    @classmethod
    def first(cls, repetition: Repetition, joint: JointPlan) -> CurrentPlan:
        """Return the plan that a run begins with."""
        plan, bound = joint.plan, repetition.constants
        start = float(pretraining_gap(bound, plan.pretraining_steps, plan.pretraining_batch))
        none = np.zeros_like(plan.client_energy_j)
        before = accounts_of(plan.latency_s.pretraining, plan.energy_j.pretraining, none)
        return cls(joint, start + shift_gap(bound), accounts=before)

    @property
    def last_round(self) -> int:
        """The round in which the run ends."""
        return self.round + self.joint.plan.rounds if self.ended is None else self.ended

    @property
    def most_rounds(self) -> int:
        """The round in which the run ends where no budget is in the way."""
        return self.last_round if self.asked is None else self.asked

    def followed_by(self, joint: JointPlan, gap: float, spent: Spent) -> CurrentPlan:
        """Return the plan of the rounds that are left; `gap` is the bound on the gap by now."""
        new = CurrentPlan(joint, gap, spent.round, spent.movement_s, spent.accounts, self.asked)
        return replace(new, cut_by=self.cut_by) if new.last_round < new.most_rounds else new

    def to_dict(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold, as plain JSON types."""
        costs = {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in asdict(self.joint.expected.costs).items()
        }
        names = ("gap", "round", "movement_s", "asked", "cut_by", "ended")
        began: dict[str, Any] = {name: getattr(self, name) for name in names}
        if self.accounts is not None:
            began["accounts"] = self.accounts.tolist()
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
        chosen = (document["joint"].get(name) for name in ("coding", "payload", "movement"))
        coding, payload, movement = chosen
        joint = JointPlan(
            plan,
            expected,
            radio["scheme"],
            (),
            None if coding is None else Coding.from_dict(coding),
            None if payload is None else PayloadChoice.from_dict(payload),
            None if movement is None else MovementChoice.from_dict(movement),
        )
        began = dict(document["began"])
        if "accounts" in began:  # not told by older versions
            began["accounts"] = np.array(began["accounts"])
        return cls(joint, **began)

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
        present, limit = current.joint.plan.participants, expected.max_travel
        now = turn.at(present, spent.positions, limit, expected.price_db)
        ratios["mse_ratio"] = now.mse_star / expected.mse_star
    if expected.costs.move_s > 0:
        moving_s = spent.movement_s - current.movement_s - expected.costs.first_move_s
        ratio = max(moving_s, 0.0) / rounds / expected.costs.move_s
        # who moves when needed only is below the plan as a rule, not off it
        spared = radio.repetition.scenario.planning.movement == "when-needed"
        ratios["movement_ratio"] = max(ratio, 1.0) if spared else ratio
    return ratios


def plan_rest(
    repetition: Repetition,
    scheme: str,
    current: CurrentPlan,
    spent: Spent,
    rounds: int | None = None,
    known: int | None = None,
) -> JointPlan | None:
    """Plan the remaining rounds with what is left of the budgets; None when it is too little.

    With `rounds` they are so many, whatever the scenario says; `known` rounds, the one ahead and
    those before it, tell of the air (:class:`airtune.planning.known_rounds.KnownRounds`), by
    default what a plan looks at before the run.
    """
    inputs = rest_of(
        repetition.inputs,
        current,
        spent,
        current.gap_after(repetition, spent.round - current.round),
    )
    if rounds is not None:
        inputs = replace(inputs, rounds=(rounds, rounds))
    radio = RadioTurn(repetition, scheme, spent.round + 1, spent.positions)
    if known is not None:
        radio = KnownRounds(repetition, scheme, spent.round + 1, spent.positions, known=known)
    try:
        joint, before = plan_scheme(radio, inputs), current.joint
        return replace(joint, payload=before.payload, movement=before.movement)
    except InputError:
        return None


def rest_of(inputs: PlanInputs, current: CurrentPlan, spent: Spent, gap: float) -> PlanInputs:
    """Return the run that is left: its start is the gap reached, phase 1 is over.

    Given rounds stay given; planned ones are at most those of the scenario.  What is predicted goes
    on from where the error-free run has the loss that was measured; where none was, that which the
    plan predicted.
    """
    given = inputs.rounds[0] == inputs.rounds[1]
    left = (current.most_rounds if given else inputs.rounds[1]) - spent.round
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


def told_of(plan: Plan) -> dict[str, Any]:
    """Return what a line of metrics tells of an accepted plan."""
    predicted = {} if plan.forecast is None else {"predicted_rounds": plan.forecast.rounds}
    return {"accepted": True, "rounds": plan.rounds, "bound": plan.bound.total, **predicted}


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
    return current.followed_by(joint, gap, spent), {**ratios, **told_of(joint.plan)}
