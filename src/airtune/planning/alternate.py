"""The joint plan: turns of radio, resources and participation (system model, section 8).

    minimise   gap_T      over T0, T, B0, {B_k} integers; {f_k}, f0, rho; S; r, w

Every turn answers with the decisions of the others held; its answer is accepted only if some plan
within the budgets has a lower bound with it, so the bound never rises.  The resource turn is exact,
so it is solved again for every answer of another turn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from airtune.errors import InputError
from airtune.kinds import Mask
from airtune.planning.coding import fastest_coding
from airtune.planning.expected_radio import ExpectedRadio, RadioTurn
from airtune.planning.participation import best_participants
from airtune.planning.resources import PlanInputs, make_plan, try_plan
from airtune.planning.result import Plan, everybody
from airtune.radio.quantisers.coding import Coding

ROUNDING = 1e-12
SWEEPS = 8
"""Most times that all turns are taken."""

CODINGS = 4
"""Most codings of the updates for which a run is planned, each for the plan before."""

TRAVEL_SHARES = (0.5, 0.25, 0.1, 0.0)
"""Shorter limits of the travel that are tried, as shares of the longest."""

DIFFERENCE = 0.1
"""Step of the finite differences: wavelengths of travel, and tens of dB of the air's error."""

SHORTER = 1 - 1e-6
"""Of the time of computing, what a way may take, so that rounding does no harm."""

NO_TRAVEL_DB = 100.0
"""Price of travel where none can be afforded [dB a wavelength]."""


@dataclass(frozen=True)
class TraceEntry:
    """An accepted result of a turn, and the bound with it."""

    turn: str
    bound: float


@dataclass(frozen=True)
class JointPlan:
    """Resources and radio of a run, and how they came about.

    Attributes
    ----------
    plan : Plan
        Rounds, batches, clocks, back-off, participants and their bound.
    expected : ExpectedRadio
        The air that it is made for.
    scheme : str
        Name of the scheme whose air that is.
    trace : tuple of TraceEntry
        Bound after each accepted answer; it never rises.
    coding : Coding or None
        How the updates of the scheme that runs are coded, where that was planned.
    """

    plan: Plan
    expected: ExpectedRadio
    scheme: str
    trace: tuple[TraceEntry, ...]
    coding: Coding | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain JSON types."""
        return {
            **self.plan.to_dict(),
            "radio": {
                "scheme": self.scheme,
                "positions": self.expected.positions.tolist(),
                "mse_star": float(self.expected.mse_star),
                "max_travel": self.expected.max_travel,
                "transmitting": self.expected.costs.transmitting,
            },
            **({} if self.coding is None else {"coding": self.coding.to_dict()}),
            "trace": [{"turn": entry.turn, "bound": entry.bound} for entry in self.trace],
        }


def plan_scheme(radio: RadioTurn, inputs: PlanInputs) -> JointPlan:
    """Plan a run on the air of a scheme, and how its updates are coded where that is open.

    The coding is that of least predicted time for the plan that was made with the one before, until
    it stays; at most :data:`CODINGS` of them, and none with which a budget cannot be met.

    Parameters
    ----------
    radio : RadioTurn
        The scheme on the air of one round, and the settings of the plan.
    inputs : PlanInputs
        Who computes what, and the budgets.

    Returns
    -------
    JointPlan

    Raises
    ------
    InputError
        When a budget cannot be met; the message names it and the least value that would do.
    """
    joint = _plan_scheme(radio, inputs)
    for _ in range(CODINGS if radio.scheme.air.plans_coding else 0):
        coding = fastest_coding(radio, joint.plan, joint.expected)
        if coding is None or coding == joint.coding:
            break
        radio = replace(radio, coding=coding)
        try:
            joint = replace(_plan_scheme(radio, inputs), coding=coding)
        except InputError:  # more bits than the budgets bear
            break
    return joint


def _plan_scheme(radio: RadioTurn, inputs: PlanInputs) -> JointPlan:
    """Plan a run on the air of a scheme with the coding that it has.

    Without `planning.alternate` the antennas are placed first, then the resources are planned, and
    participation with them if it is to be planned.

    Parameters
    ----------
    radio : RadioTurn
        The scheme on the air of one round, and the settings of the plan.
    inputs : PlanInputs
        Who computes what, and the budgets.

    Returns
    -------
    JointPlan

    Raises
    ------
    InputError
        When a budget cannot be met; the message names it and the least value that would do.
    """
    settings = radio.repetition.scenario.planning
    first = radio.place(everybody(radio.repetition.omega))
    search = _Alternation(radio, inputs)
    search.offer_shorter_way(first)
    if not search.offer("start", first) and settings.alternate:
        search.take_radio_turn(first.participants, None)
    if search.best is None and settings.participation == "planned":
        search.take_participation_turn(first)
    if search.best is None:
        make_plan(inputs, first.mse_star, first.costs, first.participants)  # says what is short
        raise AssertionError("the resource turn answered twice in different ways")
    for _ in range(SWEEPS):
        before = search.bound
        if settings.participation == "planned":
            search.take_participation_turn(search.best.expected)
        if settings.alternate:
            search.take_radio_turn(search.best.expected.participants, search.best)
        if search.bound >= before * (1 - 1e-9):
            break
    expected = search.best.expected
    limit = radio.travel_within(search.best.plan.compute_deadline_s, expected.max_travel)
    expected = replace(expected, max_travel=limit)
    return replace(search.best, expected=expected, trace=tuple(search.trace))


class _Alternation:
    """The best joint plan so far; an expected radio is accepted only if it lowers the bound."""

    def __init__(self, radio: RadioTurn, inputs: PlanInputs) -> None:
        self.radio, self.inputs = radio, inputs
        self.best: JointPlan | None = None
        self.trace: list[TraceEntry] = []

    @property
    def bound(self) -> float:
        return float("inf") if self.best is None else self.best.plan.bound.total

    def offer(self, turn: str, expected: ExpectedRadio) -> bool:
        """Take the resource turn for an expected radio; accept it if the bound falls."""
        plan = try_plan(self.inputs, expected.mse_star, expected.costs, expected.participants)
        if plan is None or not plan.bound.total < self.bound * (1 - ROUNDING):
            return False
        self.best = JointPlan(plan, expected, self.radio.scheme_name, ())
        self.trace.append(TraceEntry(turn, plan.bound.total))
        return True

    def offer_shorter_way(self, expected: ExpectedRadio) -> None:
        """Place within the time of computing, where the way takes longer than the plan leaves.

        Only for antennas that move while the clients compute: without the movement the plan tells
        this time.
        """
        costs = expected.costs
        if costs.beside_s == 0:
            return
        still = replace(costs, move_s=0.0, first_move_s=0.0)
        plan = try_plan(self.inputs, expected.mse_star, still, expected.participants)
        if plan is None or plan.compute_deadline_s >= costs.beside_s:
            return
        limit = self.radio.travel_within(plan.compute_deadline_s * SHORTER, expected.max_travel)
        self.offer("travel", self.radio.place(expected.participants, limit))

    def take_radio_turn(self, participants: Mask, current: JointPlan | None) -> None:
        """Place anew under shorter limits, and at the price that time and energy of travel have."""
        if not self.radio.scheme.array.moves:
            return
        longest = self.radio.longest_travel
        price = 0.0 if current is None else travel_price(self.radio, self.inputs, current)
        if price > 0:
            self.offer("radio", self.radio.place(participants, price_db=price))
        for share in TRAVEL_SHARES:
            if share == 0.0:
                staying = self.radio.at(participants, self.radio.start, 0.0)
                self.offer("radio", staying)
            else:
                self.offer("radio", self.radio.place(participants, share * longest))

    def take_participation_turn(self, expected: ExpectedRadio) -> None:
        """Choose who takes part with the antennas where they are."""

        def value(mask: Mask) -> float:
            air = self.radio.at(mask, expected.positions, expected.max_travel)
            plan = try_plan(self.inputs, air.mse_star, air.costs, mask)
            return float("inf") if plan is None else plan.bound.total

        mask = best_participants(value, expected.participants)
        if not np.array_equal(mask, expected.participants) or self.best is None:
            self.offer(
                "participation", self.radio.at(mask, expected.positions, expected.max_travel)
            )


def travel_price(radio: RadioTurn, inputs: PlanInputs, current: JointPlan) -> float:
    """Gain [dB] that one more wavelength of travel must bring, at the margin of the resource turn.

    The bound's rise with time and energy of a round over its fall with the error of the air, both
    from the resource turn solved again with a small change.

    Parameters
    ----------
    radio : RadioTurn
    inputs : PlanInputs
    current : JointPlan
        The plan at whose margin the price is taken.
    """
    expected, bound = current.expected, current.plan.bound.total

    def bound_with(mse_factor: float, travel: float) -> float:
        time, energy = travel * radio.wavelength_time, travel * radio.wavelength_energy
        costs = expected.costs
        if radio.moves_once:
            costs = replace(
                costs,
                first_move_s=costs.first_move_s + time,
                first_move_j=costs.first_move_j + energy,
            )
        else:
            costs = replace(costs, move_s=costs.move_s + time, move_j=costs.move_j + energy)
        plan = try_plan(inputs, expected.mse_star * mse_factor, costs, expected.participants)
        return float("inf") if plan is None else plan.bound.total

    fall = (bound - bound_with(10 ** (-DIFFERENCE), 0.0)) / (10 * DIFFERENCE)  # for each dB
    rise = (bound_with(1.0, DIFFERENCE) - bound) / DIFFERENCE  # for each wavelength
    if not np.isfinite(rise):
        return NO_TRAVEL_DB
    return float(max(rise, 0.0) / fall) if fall > 0 else 0.0
