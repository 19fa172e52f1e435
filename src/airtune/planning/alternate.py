"""Alternation of radio, resource and participation blocks (system model, section 8).

Every block answers with the others held; its answer is accepted only if some plan within the
budgets has a lower bound with it, so the bound never rises.  The resource block is exact, so it is
solved again for every answer of another block.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airtune.planning.expected_radio import ExpectedRadio, RadioTurn
from airtune.planning.participation import best_participants
from airtune.planning.resources import PlanInputs, make_plan, try_plan
from airtune.planning.result import Plan, everybody

ROUNDING = 1e-12
SWEEPS = 8
SHARES_OF_WAY = (0.5, 0.25, 0.1, 0.0)
STEP = 0.1


@dataclass(frozen=True)
class Step:
    """An accepted answer of a block, and the bound with it."""

    block: str
    bound: float


@dataclass(frozen=True)
class JointPlan:
    """Resources and radio of a run, and how they were found.

    Attributes
    ----------
    plan : Plan
        Rounds, batches, clocks, back-off, participants and their bound.
    expected : ExpectedRadio
        The air that it is made for.
    scheme : str
        Name of the scheme whose air that is.
    trace : tuple of Step
        Bound after each accepted answer; it never rises.
    """

    plan: Plan
    expected: ExpectedRadio
    scheme: str
    trace: tuple[Step, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain JSON types."""
        return {
            **self.plan.to_dict(),
            "radio": {
                "scheme": self.scheme,
                "positions": self.expected.positions.tolist(),
                "mse_star": float(self.expected.mse_star),
                "max_travel": self.expected.max_travel,
                "together": self.expected.costs.together,
            },
            "trace": [{"block": step.block, "bound": step.bound} for step in self.trace],
        }


def plan_scheme(block: RadioTurn, inputs: PlanInputs) -> JointPlan:
    """Plan a run on the air of a scheme.

    Without `planning.alternate` the antennas are placed first, then the resources are planned, and
    participation with them if it is to be planned.

    Raises
    ------
    InputError
        When a budget cannot be met; the message names it and the least value that would do.
    """
    settings = block.repetition.scenario.planning
    first = block.place(everybody(block.repetition.omega))
    search = _Alternation(block, inputs)
    if not search.offer("start", first) and settings.alternate:
        search.radio(first.participants, None)
    if search.best is None and settings.participation == "planned":
        search.participation(first)
    if search.best is None:
        make_plan(inputs, first.mse_star, first.costs, first.participants)  # says what is short
        raise AssertionError("a plan was found where there was none")
    for _ in range(SWEEPS):
        before = search.bound
        if settings.participation == "planned":
            search.participation(search.best.expected)
        if settings.alternate:
            search.radio(search.best.expected.participants, search.best)
        if search.bound >= before * (1 - 1e-9):
            break
    return replace(search.best, trace=tuple(search.trace))


class _Alternation:
    """The best joint plan so far; offers that are no better are refused."""

    def __init__(self, block: RadioTurn, inputs: PlanInputs) -> None:
        self.block, self.inputs = block, inputs
        self.best: JointPlan | None = None
        self.trace: list[Step] = []

    @property
    def bound(self) -> float:
        return float("inf") if self.best is None else self.best.plan.bound.total

    def offer(self, name: str, expected: ExpectedRadio) -> bool:
        """Solve the resource block for an expected; accept it if the bound falls."""
        plan = try_plan(self.inputs, expected.mse_star, expected.costs, expected.participants)
        if plan is None or not plan.bound.total < self.bound * (1 - ROUNDING):
            return False
        self.best = JointPlan(plan, expected, self.block.scheme_name, ())
        self.trace.append(Step(name, plan.bound.total))
        return True

    def radio(self, participants: NDArray[np.bool_], found: JointPlan | None) -> None:
        """Place anew at shorter ways, and at the price that time and energy of a way now have."""
        if not self.block.scheme.array.moves:
            return
        longest = self.block.longest_travel
        price = 0.0 if found is None else price_of_way(self.block, self.inputs, found)
        if price > 0:
            self.offer("radio", self.block.place(participants, price_db=price))
        for share in SHARES_OF_WAY:
            if share == 0.0:
                stay = self.block.at(participants, self.block.start, 0.0)
                self.offer("radio", stay)
            else:
                self.offer("radio", self.block.place(participants, share * longest))

    def participation(self, expected: ExpectedRadio) -> None:
        """Choose who takes part with the antennas where they are."""

        def value(mask: NDArray[np.bool_]) -> float:
            air = self.block.at(mask, expected.positions, expected.max_travel)
            plan = try_plan(self.inputs, air.mse_star, air.costs, mask)
            return float("inf") if plan is None else plan.bound.total

        mask = best_participants(value, expected.participants)
        if not np.array_equal(mask, expected.participants) or self.best is None:
            self.offer(
                "participation", self.block.at(mask, expected.positions, expected.max_travel)
            )


def price_of_way(block: RadioTurn, inputs: PlanInputs, found: JointPlan) -> float:
    """Gain [dB] that one more wavelength of way must bring, at the margin of the resource block.

    The bound's rise with time and energy of a round over its fall with the error of the air, both
    from the resource block solved again with a small change.
    """
    expected, bound = found.expected, found.plan.bound.total

    def changed(mse_factor: float, way: float) -> float:
        time, energy = way * block.wavelength_time, way * block.wavelength_energy
        costs = expected.costs
        if block.moves_once:
            costs = replace(
                costs,
                first_move_s=costs.first_move_s + time,
                first_move_j=costs.first_move_j + energy,
            )
        else:
            costs = replace(costs, move_s=costs.move_s + time, move_j=costs.move_j + energy)
        plan = try_plan(inputs, expected.mse_star * mse_factor, costs, expected.participants)
        return float("inf") if plan is None else plan.bound.total

    fall = (bound - changed(10 ** (-STEP), 0.0)) / (10 * STEP)  # for each dB
    rise = (changed(1.0, STEP) - bound) / STEP  # for each wavelength
    if not np.isfinite(rise):
        return 100.0  # no way at all
    return float(max(rise, 0.0) / fall) if fall > 0 else 0.0
