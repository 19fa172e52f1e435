"""Plan the remaining rounds anew, with the remaining budgets, when the air is not as planned."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from airtune.errors import InputError
from airtune.joint_plan.alternate import JointPlan, plan_scheme
from airtune.joint_plan.outlook import Outlook, RadioBlock
from airtune.joint_plan.site import Site
from airtune.planning.bound import pretraining_gap, shift_gap
from airtune.planning.cost import FloatArray
from airtune.planning.plan import Run
from airtune.planning.result import FixedCosts, Plan


@dataclass(frozen=True)
class Books:
    """What has been spent when a round ends, and where the antennas are.

    Attributes
    ----------
    round : rounds done
    positions : ndarray, float, shape (N, 2)  [wavelengths]
    latency_s, movement_s : of all, and of movements
    energy_j : of all
    client_energy_j : ndarray, shape (K,)
    """

    round: int
    positions: FloatArray
    latency_s: float
    movement_s: float
    energy_j: float
    client_energy_j: FloatArray


@dataclass(frozen=True)
class PlanInForce:
    """A plan and when it was made.

    Attributes
    ----------
    joint : JointPlan
    gap : float
        Bound on the gap of the loss before its first round.
    round : int
        Rounds done before.
    movement_s : float
        Booked for movements before [s].
    """

    joint: JointPlan
    gap: float
    round: int = 0
    movement_s: float = 0.0

    @classmethod
    def first(cls, site: Site, joint: JointPlan) -> PlanInForce:
        """Return the plan that a run begins with."""
        plan, bound = joint.plan, site.constants
        start = float(pretraining_gap(bound, plan.pretraining_steps, plan.pretraining_batch))
        return cls(joint, start + shift_gap(bound))

    @property
    def last_round(self) -> int:
        """The round in which the run ends."""
        return self.round + self.joint.plan.rounds

    def to_dict(self) -> dict[str, Any]:
        """Return what a checkpoint has to keep, as plain JSON types."""
        costs = {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in asdict(self.joint.outlook.costs).items()
        }
        began = {"gap": self.gap, "round": self.round, "movement_s": self.movement_s}
        return {"joint": self.joint.to_dict(), "costs": costs, "began": began}

    @classmethod
    def from_dict(cls, document: dict[str, Any], site: Site) -> PlanInForce:
        """Return the plan of a checkpoint."""
        radio, plan = document["joint"]["radio"], Plan.from_dict(document["joint"])
        costs: dict[str, Any] = {
            name: np.array(value) if isinstance(value, list) else value
            for name, value in document["costs"].items()
        }
        outlook = Outlook(
            positions=np.array(radio["positions"]),
            participants=plan.participants,
            weights=site.weights(plan.participants),
            mse_star=radio["mse_star"],
            costs=FixedCosts(**costs),
            max_travel=radio["max_travel"],
        )
        return cls(JointPlan(plan, outlook, radio["scheme"], ()), **document["began"])

    def gap_after(self, site: Site, rounds: int) -> float:
        """Bound on the gap after so many rounds of this plan."""
        kept, plan = site.constants.contraction, self.joint.plan
        added = plan.bound.batch_noise + plan.bound.air_noise + plan.bound.bias  # in all its rounds
        return kept**rounds * self.gap + (1 - kept**rounds) / (1 - kept**plan.rounds) * added


def drift(block: RadioBlock, force: PlanInForce, books: Books) -> dict[str, float]:
    """How far the air is off the plan: present over planned error and time of a movement.

    The error is looked at as the plan did, with the weights known before any update, for the
    antennas where they are.  Ratios to a planned 0 are left out.
    """
    outlook, rounds = force.joint.outlook, books.round - force.round
    ratios = {}
    if outlook.mse_star > 0:
        now = block.at(force.joint.plan.participants, books.positions)
        ratios["mse_ratio"] = now.mse_star / outlook.mse_star
    if outlook.costs.move_s > 0:
        way = (books.movement_s - force.movement_s) / rounds
        ratio = way / outlook.costs.move_s
        # who moves when needed only is below the plan as a rule, not off it
        spared = block.site.scenario.planning.movement == "when-needed"
        ratios["movement_ratio"] = max(ratio, 1.0) if spared else ratio
    return ratios


def plan_rest(site: Site, scheme: str, force: PlanInForce, books: Books) -> JointPlan | None:
    """Plan the remaining rounds with what is left of the budgets; None when it is too little."""
    run = rest_of(site.run, force, books, force.gap_after(site, books.round - force.round))
    block = RadioBlock(site, scheme, books.round + 1, books.positions)
    try:
        return plan_scheme(block, run)
    except InputError:
        return None


def rest_of(run: Run, force: PlanInForce, books: Books, gap: float) -> Run:
    """Return the run that is left: its start is the gap reached, phase 1 is over.

    Given rounds stay given; planned ones are at most those of the scenario.
    """
    given = run.rounds[0] == run.rounds[1]
    left = (force.last_round if given else run.rounds[1]) - books.round
    clients = replace(run.clients, budget_j=run.clients.budget_j - books.client_energy_j)
    return replace(
        run,
        bound=replace(run.bound, delta_pre=gap, W1=0.0),
        clients=clients,
        rounds=(left if given else 1, left),
        steps=(0, 0),
        batches=(1, 1),
        charged=False,
        latency_s=run.latency_s - books.latency_s,
        energy_j=run.energy_j - books.energy_j,
    )


def check(
    site: Site, scheme: str, force: PlanInForce, books: Books
) -> tuple[PlanInForce, dict[str, Any]] | None:
    """Plan anew if it is time to look and the air is off the plan by more than the factor.

    Returns
    -------
    (PlanInForce, dict) or None
        The plan from now on (the old one when the budgets left allow no other) and what to report;
        None when all is as planned.
    """
    settings = site.scenario.planning
    done = books.round - force.round
    due = done > 0 and done % settings.replan_every == 0 and books.round < force.last_round
    if settings.replan_factor is None or not due:
        return None
    ratios = drift(RadioBlock(site, scheme, books.round, books.positions), force, books)
    limit = settings.replan_factor
    if all(1 / limit <= ratio <= limit for ratio in ratios.values()):
        return None
    joint = plan_rest(site, scheme, force, books)
    if joint is None:
        return force, {**ratios, "accepted": False}
    gap = force.gap_after(site, done)
    told = {
        **ratios,
        "accepted": True,
        "rounds": joint.plan.rounds,
        "bound": joint.plan.bound.total,
    }
    return PlanInForce(joint, gap, books.round, books.movement_s), told
