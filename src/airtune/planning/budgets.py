"""Keep the budgets of a run: plan the rest anew when one would be exceeded, or end the run.

A plan counts every round like the first, or like the mean of drawn ones.  After each round the rest
is projected, and looked at by the paths of the round ahead; what is planned then counts the mean of
the rounds that are known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from airtune.allocation import is_feasible
from airtune.kinds import Real
from airtune.planning import known_rounds, replan
from airtune.planning.alternate import JointPlan
from airtune.planning.draws import ManyBlocks
from airtune.planning.expected_radio import ExpectedRadio, RadioTurn
from airtune.planning.known_rounds import KnownRounds
from airtune.planning.repetition import Repetition
from airtune.planning.replan import CurrentPlan, Spent, accounts_of
from airtune.planning.resources import resource_problem, sampling_means
from airtune.planning.result import FixedCosts
from airtune.schemes import Travel

TOLERANCE = 0.05
"""Of what is left of a budget, by which the rest may be projected to exceed it.

Early in a run much is left and little is known, and later rounds can make up for it; in the last
round 5 % of what that round may spend is at most 2.5 % of the budget.
"""

NEAR_END = 3
"""Rounds: with less left in a budget, the way of the round ahead is known before it is gone."""

NAMES = ("latency_s", "energy_j", "client_energy_j")
"""Budgets as in the section `budget`, in the order of :attr:`Spent.accounts`."""


@dataclass(frozen=True)
class OneRound(RadioTurn):
    """The radio turn of one round by itself, whatever `planning.movement` plans for others."""

    @property
    def movement(self) -> str:
        """When the antennas move: in this round, if at all."""
        return "each-round"

    @property
    def walks(self) -> bool:
        """Whether the air is a mean over drawn rounds: no, it is that of this one."""
        return False


def check(
    repetition: Repetition, scheme: str, current: CurrentPlan, spent: Spent
) -> tuple[CurrentPlan, dict[str, Any]] | None:
    """Plan anew if a budget would not be kept, or else if the air is off the plan.

    Returns
    -------
    (CurrentPlan, dict) or None
        The plan from now on and what to report; None when the plan stays.  Where not one more
        round fits into a budget, :attr:`CurrentPlan.ended` is this round.
    """
    scenario = repetition.scenario
    if scenario.planning.keeps_budgets(scenario.plan) and _goes_on(repetition, current, spent):
        found = _keep(repetition, scheme, current, spent)
        if found is not None:
            return found
    return replan.check(repetition, scheme, current, spent)


def _goes_on(repetition: Repetition, current: CurrentPlan, spent: Spent) -> bool:
    """Whether there are rounds left, or some that were taken away and may fit by now."""
    if spent.round < current.last_round:
        return True
    if current.ended is not None or spent.round >= current.most_rounds:
        return False
    objective = replan.objective_of_rest(repetition.inputs.objective, current, spent)
    return objective is None or objective.name == "loss" or objective.needed > 0


def _keep(
    repetition: Repetition, scheme: str, current: CurrentPlan, spent: Spent
) -> tuple[CurrentPlan, dict[str, Any]] | None:
    """Plan the rest anew if a budget asks for it; None where none does."""
    budgets, done = budgets_of(repetition), spent.round - current.round
    if done == 0 or not np.isfinite(budgets).any():
        return None
    ahead, each = expected_rounds(repetition, scheme, current, spent)
    more = current.last_round - spent.round
    rest = ahead + (more - 1) * each if more else 0.0 * each
    left = budgets - spent.accounts
    over = (rest > 0) & (rest > (1 + TOLERANCE) * left)
    # once the air has made it necessary, what better air saves is planned for, too
    near = more < _last(repetition, scheme)
    often = near or done % repetition.scenario.planning.replan_every == 0
    if not (over.any() or (current.asked is not None and often)):
        return None
    shares = (spent.accounts + rest) / budgets
    worst = int(np.argmax(np.where(over, shares, 0.0) if over.any() else shares))
    name = NAMES[min(worst, 2)]
    report = {"budget": name, "projected": float(shares[worst])}
    asked = replace(current, asked=current.most_rounds)
    new = _followed(repetition, scheme, asked, spent)
    if new is not None:
        if new.last_round < new.most_rounds and over.any():
            new = replace(new, cut_by=name)
        return new, {**report, **replan.told_of(new.joint.plan)}
    if not over.any():
        return None
    # a plan books ways that need not be taken: one more round may fit all the same
    if np.all((ahead == 0) | (ahead <= (1 + TOLERANCE) * left)):
        return current, {**report, "accepted": False}
    ended = replace(asked, cut_by=name, ended=spent.round)
    return ended, {**report, "accepted": False, "ended": True}


def _last(repetition: Repetition, scheme: str) -> int:
    """Return with how few rounds to come the rest is looked at after each of them.

    With antennas on drives after the last one only: where they will go is chosen by reports that no
    plan has, and what a plan leaves unspent pays for it.
    """
    return 1 if repetition.scheme(scheme).array.moves else NEAR_END


def _followed(
    repetition: Repetition, scheme: str, current: CurrentPlan, spent: Spent
) -> CurrentPlan | None:
    """Return the plan of the rest that fits into the budgets; None: none does.

    It is made for the mean of as many known rounds as are left to come, and of fewer of them where
    the round ahead, which is one of the rest, would then not fit; at last for this one alone.
    """
    gap = current.gap_after(repetition, spent.round - current.round)
    # what rounds before cost antennas with drives is not known: see `KnownRounds`
    moves = repetition.scheme(scheme).array.moves
    known = 1 if moves else min(known_rounds.MOST, current.most_rounds - spent.round)
    while True:
        joint = replan.plan_rest(repetition, scheme, current, spent, known=known)
        if joint is None:
            joint = _plan_fewer(repetition, scheme, current, spent, known)
        if joint is not None:
            new = current.followed_by(joint, gap, spent)
            # rounds that are left are there to be planned, as well as it goes
            if (known == 1 and spent.round < current.last_round) or _fits(
                repetition, scheme, new, spent
            ):
                return new
        if known == 1:
            return None
        known = max(1, min(known // 2, known if joint is None else joint.plan.rounds))


def _fits(repetition: Repetition, scheme: str, new: CurrentPlan, spent: Spent) -> bool:
    """Whether a new plan keeps the budgets with the round ahead as it is known to be.

    Where drives move the antennas in it, they may go as far as the plan lets them.
    """
    ahead, each = expected_rounds(repetition, scheme, replace(new, accounts=None), spent)
    turn = OneRound(repetition, scheme, spent.round + 1, spent.positions)
    if turn.scheme.array.moves and repetition.scenario.planning.movement != "once":
        limit = new.joint.expected.max_travel
        way = turn.longest_travel if limit is None else limit
        way += repetition.refinement_way(turn.scheme.array)
        ahead[:2] += way * turn.wavelength_time, way * turn.wavelength_energy
    rest = ahead + (new.joint.plan.rounds - 1) * each
    left = (1 + TOLERANCE) * (budgets_of(repetition) - spent.accounts)
    return bool(np.all((rest == 0) | (rest <= left)))


def expected_rounds(
    repetition: Repetition, scheme: str, current: CurrentPlan, spent: Spent
) -> tuple[Real, Real]:
    """Return what the round ahead and each one after it will spend.

    Each: the mean of the rounds in which the plan has been followed, or the plan's own figure where
    that is greater: the plan counts the power limit for every upload, which no round has to spend
    and any may, and the mean knows what rounds have cost besides.  The round ahead: the same, with
    pilots, upload and broadcast at its paths, which are known when it opens, and the antennas where
    they are, and the turn of the array.  Where less than :data:`NEAR_END` such rounds are left in a
    budget, the way that the antennas would go is looked at, too.

    Returns
    -------
    ahead, each : ndarray, float, shape (2 + K,)
        Time [s], energy [J] and each client's energy [J].
    """
    joint, left = current.joint, budgets_of(repetition) - spent.accounts
    planned, mean = planned_round(joint), np.zeros_like(left)
    if current.accounts is not None:
        since = spent.accounts - current.accounts - first_way(joint)
        mean = since / (spent.round - current.round)
    turn = OneRound(
        repetition,
        scheme,
        spent.round + 1,
        spent.positions,
        sendings=joint.expected.repetition,
        coding=joint.coding,
    )
    if turn.most_sendings == 1:
        turn = replace(turn, sendings=None)
    standing = turn.at(joint.plan.participants, spent.positions)
    before = joint.expected.costs
    ahead = planned + _sending(repetition, joint, standing.costs)
    ahead -= _sending(repetition, joint, before)
    moves = turn.scheme.array.moves and repetition.scenario.planning.movement != "once"
    if moves and np.any(left < NEAR_END * ahead):
        there = _moved(turn, joint, standing, spent)
        ahead += _sending(repetition, joint, there) - _sending(repetition, joint, standing.costs)
        ahead += _moving(joint, there) - _moving(joint, before)
    if repetition.facings is not None:
        turn_s, turn_j = repetition.facings.way(spent.round + 1)
        ahead += _moving(joint, replace(before, move_s=turn_s, move_j=turn_j))
    return np.maximum(mean, ahead), np.maximum(mean, planned)


def _moved(turn: OneRound, joint: JointPlan, standing: ExpectedRadio, spent: Spent) -> FixedCosts:
    """Return what the round ahead costs with the way that the antennas would go in it.

    Pilots, upload and broadcast are those of where they are, where a round by itself says where
    they go: they hear no worse there.  Places for many blocks may be worse in this one.
    """
    planning, expected = turn.repetition.scenario.planning, joint.expected
    if planning.movement == "statistical":
        repetition, present = turn.repetition, expected.participants
        price = repetition.scenario.placement.travel_price_db
        places, _, _ = ManyBlocks(
            repetition,
            turn.scheme,
            turn.round,
            repetition.weights(present),
            joint.plan.power_backoff,
            Travel(expected.max_travel, price),
        ).aim(spent.positions, spent.placed_error)
        return turn.at(present, places).costs
    if planning.movement == "when-needed" and standing.mse_star <= planning.quality:
        return standing.costs
    placed = turn.place(expected.participants, expected.max_travel, expected.price_db)
    return replace(standing.costs, move_s=placed.costs.move_s, move_j=placed.costs.move_j)


def budgets_of(repetition: Repetition) -> Real:
    """Return the budgets of a run, shape (2 + K,): :attr:`Spent.accounts`; infinity is no limit."""
    inputs = repetition.inputs
    return accounts_of(inputs.latency_s, inputs.energy_j, inputs.clients.budget_j)


def planned_round(joint: JointPlan) -> Real:
    """Return what a plan counts for each round, shape (2 + K,): :attr:`Spent.accounts`."""
    plan = joint.plan
    latency = plan.latency_s.total - plan.latency_s.pretraining
    energy = plan.energy_j.total - plan.energy_j.pretraining
    return (accounts_of(latency, energy, plan.client_energy_j) - first_way(joint)) / plan.rounds


def first_way(joint: JointPlan) -> Real:
    """Return what a plan counts once, for its first way and broadcast, shape (2 + K,)."""
    plan, costs = joint.plan, joint.expected.costs
    way = accounts_of(plan.latency_s.movement, plan.energy_j.movement, 0.0 * plan.client_energy_j)
    once = way - plan.rounds * _moving(joint, costs)
    way = np.maximum(once, 0.0) if costs.first_move_s > 0 else 0.0 * once
    first = costs.first_downlink_s, costs.first_downlink_j
    return way + accounts_of(*first, 0.0 * plan.client_energy_j)


def _moving(joint: JointPlan, costs: FixedCosts) -> Real:
    """Return what the movement of a round takes with a plan, shape (2 + K,)."""
    beside = joint.plan.latency_s.compute / joint.plan.rounds if costs.overlap else 0.0
    return accounts_of(
        max(0.0, costs.move_s - beside), costs.move_j, 0.0 * joint.plan.client_energy_j
    )


def _sending(repetition: Repetition, joint: JointPlan, costs: FixedCosts) -> Real:
    """Return what pilots, upload and broadcast of a round take with a plan, shape (2 + K,)."""
    present, omega = joint.plan.participants, repetition.inputs.clients.omega
    backoff = joint.plan.power_backoff if costs.backoff else 1.0
    clients = backoff * costs.uplink_j + costs.uplink_fixed_j + costs.pilot_j
    clients = np.where(present, clients, 0.0)
    means = sampling_means(omega[present], costs.of(present))
    shares = 1.0 if means is None else means.share
    energy = costs.round_j - costs.move_j + float((shares * clients[present]).sum())
    return accounts_of(costs.uplink_s + costs.downlink_s + costs.pilot_s, energy, clients)


def _plan_fewer(
    repetition: Repetition, scheme: str, current: CurrentPlan, spent: Spent, known: int
) -> JointPlan | None:
    """Plan the most rounds that are left and fit where their number was given; None: none does."""
    most = current.most_rounds - spent.round
    if repetition.inputs.rounds[0] < repetition.inputs.rounds[1]:
        return None
    gap = current.gap_after(repetition, spent.round - current.round)
    inputs = replan.rest_of(repetition.inputs, current, spent, gap)
    present = current.joint.plan.participants
    turn = KnownRounds(repetition, scheme, spent.round + 1, spent.positions, known=known)
    air = turn.place(present)
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        some = replace(inputs, rounds=(middle, middle))
        fits = any(
            is_feasible(resource_problem(some, air.mse_star, costs, present))
            for costs in (air.costs, air.costs.serial_first)
        )
        low, high = (middle, high) if fits else (low, middle)
    for rounds in range(max(low, min(most - 1, 1)), 0, -1):
        joint = replan.plan_rest(repetition, scheme, current, spent, rounds, known=known)
        if joint is not None:
            return joint
    return None
