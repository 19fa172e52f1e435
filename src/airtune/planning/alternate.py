"""The joint plan: turns of radio, resources and participation (system model, section 8).

    minimise   gap_T      over T0, T, B0, {B_k} integers; {f_k}, f0, rho; S; r, w

Every turn answers with the decisions of the others held; its answer is accepted only if some plan
within the budgets has a lower bound with it, so the bound never rises.  The resource turn is exact,
so it is solved again for every answer of another turn.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from airtune.allocation import fewest_sendings
from airtune.errors import InputError
from airtune.kinds import Mask
from airtune.placement import Estimate
from airtune.planning.choices import MovementChoice, PayloadChoice
from airtune.planning.coding import fastest_coding
from airtune.planning.expected_radio import ExpectedRadio, RadioTurn
from airtune.planning.law import of_scheme
from airtune.planning.participation import best_participants
from airtune.planning.prices import find_price, travel_price
from airtune.planning.resources import PlanInputs, try_plan
from airtune.planning.result import Plan, everybody
from airtune.planning.shortage import shortage
from airtune.radio.quantisers.coding import Coding

ROUNDING = 1e-12
SWEEPS = 8
"""Most times that all turns are taken."""

CODINGS = 4
"""Most codings of the updates for which a run is planned, each for the plan before."""

TRAVEL_SHARES = (0.5, 0.25, 0.1, 0.0)
"""Shorter limits of the travel that are tried, as shares of the longest."""

SHORTER = 1 - 1e-6
"""Of the time of computing, what a way may take, so that rounding does no harm."""


@dataclass(frozen=True)
class TraceEntry:
    """An accepted result of a turn, and the bound with it, or what is minimised in its place."""

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
    payload : PayloadChoice or None
        What is sent of an update, where that was planned.
    movement : MovementChoice or None
        When the antennas move, where that was planned.
    """

    plan: Plan
    expected: ExpectedRadio
    scheme: str
    trace: tuple[TraceEntry, ...]
    coding: Coding | None = None
    payload: PayloadChoice | None = None
    movement: MovementChoice | None = None

    @property
    def rank(self) -> tuple[float, float]:
        """What is predicted with the plan, and its energy, which decides among equal values."""
        forecast = self.plan.forecast
        energy = None if forecast is None else forecast.energy_j
        return self.plan.value, float("inf") if energy is None else energy

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
                "normalise": self.expected.normalise,
                "travel_price_db": self.expected.price_db,
                **_estimated(self.expected.error),
            },
            **({} if self.coding is None else {"coding": self.coding.to_dict()}),
            **({} if self.payload is None else {"payload": self.payload.to_dict()}),
            **({} if self.movement is None else {"movement": self.movement.to_dict()}),
            "trace": [
                {"turn": entry.turn, _traced(self.plan): entry.bound} for entry in self.trace
            ],
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

    Without `planning.alternate`, and without an objective that is predicted, the antennas are
    placed first, then the resources are planned, and participation with them if it is to be
    planned.  Arguments and errors are those of :func:`plan_scheme`.
    """
    settings = radio.repetition.scenario.planning
    if inputs.objective is not None:
        inputs = replace(inputs, objective=of_scheme(inputs.objective, radio))
    if radio.movement == "priced":
        radio = replace(radio, price_db=find_price(radio, inputs))
    first = radio.place(everybody(radio.repetition.omega))
    search = _Alternation(radio, inputs)
    search.offer_shorter_way(first)
    turns = settings.alternate or inputs.objective is not None
    taken = not search.offer("start", first) and turns
    if taken:
        search.take_radio_turn(first.participants, None)
    if search.best is None and settings.participation == "planned":
        search.take_participation_turn(first)
    if search.best is None and first.costs.beside_s > 0:
        search.offer_staying(first)
    if search.best is None:
        raise InputError(search.shortage())
    for _ in range(SWEEPS):
        before = search.bound
        if settings.participation == "planned":
            search.take_participation_turn(search.best.expected)
        # what is predicted has all its ways in one turn, and everybody takes part
        if turns and not (taken and inputs.objective is not None):
            search.take_radio_turn(search.best.expected.participants, search.best)
        if inputs.objective is not None or search.bound >= before * (1 - 1e-9):
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
        self.short: list[ExpectedRadio] = []
        """Airs without a plan that are offered whatever the budgets are, until one has a plan."""

    @property
    def bound(self) -> float:
        return float("inf") if self.best is None else self.best.plan.value

    def offer(self, turn: str, expected: ExpectedRadio, *, told: bool = True) -> bool:
        """Take the resource turn for an expected radio; accept it if the bound falls.

        It is `told` of if it has no plan, but not where it depends on the budgets.
        """
        found = self.tried(expected) if told else self.solve(expected)
        if found is None or not found[1].value < self.bound * (1 - ROUNDING):
            return False
        expected, plan = found
        self.best = JointPlan(plan, expected, self.radio.scheme_name, ())
        self.trace.append(TraceEntry(turn, plan.value))
        return True

    def tried(self, expected: ExpectedRadio) -> tuple[ExpectedRadio, Plan] | None:
        """Solve, and note an air that has no plan."""
        found = self.solve(expected)
        if found is None and self.best is None:
            self.short.append(expected)
        return found

    def solve(self, expected: ExpectedRadio) -> tuple[ExpectedRadio, Plan] | None:
        """Take the resource turn, and decide how often symbols are sent, if the plan does.

        What is predicted and cannot be below the best plan so far is not looked for.
        """
        most = self.radio.most_sendings
        below = self.bound if most == 1 else float("inf")  # more sendings may lead below it

        def with_sendings(count: int) -> tuple[ExpectedRadio, Plan] | None:
            air = self.radio.repeating(expected, count)
            plan = try_plan(self.inputs, air.mse_star, air.costs, air.participants, below)
            return None if plan is None else (air, replace(plan, repetition=air.repetition))

        return fewest_sendings(with_sendings, lambda found: found[1].value, most)

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
        self.offer("travel", self.radio.place(expected.participants, limit), told=False)

    def shortage(self) -> str:
        """Say which budgets are short."""
        airs = [(air.mse_star, air.costs, air.participants) for air in self.short]
        return shortage(self.inputs, airs)

    def offer_staying(self, expected: ExpectedRadio) -> None:
        """Offer antennas that stay, where the way would fit in but for its time.

        Their air with the energy of the way decides: a plan shortens ways to the time that there
        is, not for their joules.
        """
        air, way = self.radio.at(expected.participants, self.radio.start, 0.0), expected.costs
        costs = replace(air.costs, move_j=way.move_j, first_move_j=way.first_move_j)
        if self.tried(replace(air, costs=costs)) is not None:
            self.offer("travel", air)

    def take_radio_turn(self, participants: Mask, current: JointPlan | None) -> None:
        """Place anew under shorter limits, and at the price that time and energy of travel have.

        What is predicted needs no price: it is a mean over rounds, and each keeps the limit.
        """
        if not self.radio.scheme.array.moves:
            return
        longest = self.radio.longest_travel
        price = 0.0
        if current is not None and self.inputs.objective is None:
            value = current.plan.value
            price = travel_price(self.radio, self.inputs, current.expected, value)
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
            air = self.radio.at(mask, expected.positions, expected.max_travel, expected.price_db)
            found = self.tried(air)
            return float("inf") if found is None else found[1].value

        mask = best_participants(value, expected.participants)
        if not np.array_equal(mask, expected.participants) or self.best is None:
            air = self.radio.at(mask, expected.positions, expected.max_travel, expected.price_db)
            self.offer("participation", air)


def _traced(plan: Plan) -> str:
    """Return the name of what a trace holds."""
    return "bound" if plan.forecast is None else "value"


def _estimated(error: Estimate | None) -> dict[str, Any]:
    """Return an expected error by sampling as plain JSON types; nothing where there is none."""
    return {} if error is None else {"expected_error": asdict(error)}
