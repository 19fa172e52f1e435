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

from airtune.joint_plan.outlook import Outlook, RadioBlock
from airtune.planning.participation import best_participants
from airtune.planning.plan import Run, make_plan, try_plan
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
    outlook : Outlook
        The air that it is made for.
    scheme : str
        Name of the scheme whose air that is.
    trace : tuple of Step
        Bound after each accepted answer; it never rises.
    """

    plan: Plan
    outlook: Outlook
    scheme: str
    trace: tuple[Step, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain JSON types."""
        return {
            **self.plan.to_dict(),
            "radio": {
                "scheme": self.scheme,
                "positions": self.outlook.positions.tolist(),
                "mse_star": float(self.outlook.mse_star),
                "max_travel": self.outlook.max_travel,
                "together": self.outlook.costs.together,
            },
            "trace": [{"block": step.block, "bound": step.bound} for step in self.trace],
        }


def plan_scheme(block: RadioBlock, run: Run) -> JointPlan:
    """Plan a run on the air of a scheme.

    Without `planning.alternate` the antennas are placed first, then the resources are planned, and
    participation with them if it is to be planned.

    Raises
    ------
    InputError
        When a budget cannot be met; the message names it and the least value that would do.
    """
    settings = block.site.scenario.planning
    first = block.place(everybody(block.site.omega))
    search = _Alternation(block, run)
    if not search.offer("start", first) and settings.alternate:
        search.radio(first.participants, None)
    if search.best is None and settings.participation == "planned":
        search.participation(first)
    if search.best is None:
        make_plan(run, first.mse_star, first.costs, first.participants)  # says what is short
        raise AssertionError("a plan was found where there was none")
    for _ in range(SWEEPS):
        before = search.bound
        if settings.participation == "planned":
            search.participation(search.best.outlook)
        if settings.alternate:
            search.radio(search.best.outlook.participants, search.best)
        if search.bound >= before * (1 - 1e-9):
            break
    return replace(search.best, trace=tuple(search.trace))


class _Alternation:
    """The best joint plan so far; offers that are no better are refused."""

    def __init__(self, block: RadioBlock, run: Run) -> None:
        self.block, self.run = block, run
        self.best: JointPlan | None = None
        self.trace: list[Step] = []

    @property
    def bound(self) -> float:
        return float("inf") if self.best is None else self.best.plan.bound.total

    def offer(self, name: str, outlook: Outlook) -> bool:
        """Solve the resource block for an outlook; accept it if the bound falls."""
        plan = try_plan(self.run, outlook.mse_star, outlook.costs, outlook.participants)
        if plan is None or not plan.bound.total < self.bound * (1 - ROUNDING):
            return False
        self.best = JointPlan(plan, outlook, self.block.scheme_name, ())
        self.trace.append(Step(name, plan.bound.total))
        return True

    def radio(self, participants: NDArray[np.bool_], found: JointPlan | None) -> None:
        """Place anew at shorter ways, and at the price that time and energy of a way now have."""
        if not self.block.scheme.array.moves:
            return
        longest = self.block.longest_way
        price = 0.0 if found is None else price_of_way(self.block, self.run, found)
        if price > 0:
            self.offer("radio", self.block.place(participants, price_db=price))
        for share in SHARES_OF_WAY:
            if share == 0.0:
                stay = self.block.at(participants, self.block.start, 0.0)
                self.offer("radio", stay)
            else:
                self.offer("radio", self.block.place(participants, share * longest))

    def participation(self, outlook: Outlook) -> None:
        """Choose who takes part with the antennas where they are."""

        def value(mask: NDArray[np.bool_]) -> float:
            air = self.block.at(mask, outlook.positions, outlook.max_travel)
            plan = try_plan(self.run, air.mse_star, air.costs, mask)
            return float("inf") if plan is None else plan.bound.total

        mask = best_participants(value, outlook.participants)
        if not np.array_equal(mask, outlook.participants) or self.best is None:
            self.offer("participation", self.block.at(mask, outlook.positions, outlook.max_travel))


def price_of_way(block: RadioBlock, run: Run, found: JointPlan) -> float:
    """Gain [dB] that one more wavelength of way must bring, at the margin of the resource block.

    The bound's rise with time and energy of a round over its fall with the error of the air, both
    from the resource block solved again with a small change.
    """
    outlook, bound = found.outlook, found.plan.bound.total

    def changed(mse_factor: float, way: float) -> float:
        time, energy = way * block.wavelength_time, way * block.wavelength_energy
        costs = outlook.costs
        if block.moves_once:
            costs = replace(
                costs,
                first_move_s=costs.first_move_s + time,
                first_move_j=costs.first_move_j + energy,
            )
        else:
            costs = replace(costs, move_s=costs.move_s + time, move_j=costs.move_j + energy)
        plan = try_plan(run, outlook.mse_star * mse_factor, costs, outlook.participants)
        return float("inf") if plan is None else plan.bound.total

    fall = (bound - changed(10 ** (-STEP), 0.0)) / (10 * STEP)  # for each dB
    rise = (changed(1.0, STEP) - bound) / STEP  # for each wavelength
    if not np.isfinite(rise):
        return 100.0  # no way at all
    return float(max(rise, 0.0) / fall) if fall > 0 else 0.0
