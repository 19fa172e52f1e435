"""The price of a way: what one more wavelength of travel must bring [dB].

With a total energy budget it is the ratio of two multipliers of the resource turn: how much the
bound rises with time and energy of a round, over how much it falls with the error of the air.
Without one energy has no multiplier, and the price of least predicted energy to a target is
searched for: joules of a round times the rounds that the law of :mod:`airtune.bound.forecast` has
the error cost.  Both are taken on a walk of drawn blocks, as a run meets them.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from airtune.bound.forecast import RULES_CHI, slowdown
from airtune.planning.expected_radio import ExpectedRadio, RadioTurn
from airtune.planning.resources import PlanInputs, try_plan
from airtune.planning.result import Plan, everybody

DIFFERENCE = 0.1
"""Step of the finite differences: wavelengths of travel, and tens of dB of the air's error."""

NO_TRAVEL_DB = 100.0
"""Price of travel where none can be afforded [dB a wavelength]."""

PRICES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, NO_TRAVEL_DB)
"""Prices that are tried where energy has no budget, until nothing moves [dB a wavelength].

What is predicted need not fall or rise with them: places jump.
"""

WORTH = 0.01
"""Share of the energy that a higher price must save: a walk of few blocks tells no less."""

FIRST = 0.25
"""First price that is tried above the scenario's [dB a wavelength]."""

HALVINGS = 3
"""How often the interval of the price at the margin is halved."""


def find_price(radio: RadioTurn, inputs: PlanInputs) -> float:
    """Return the price of a way for a plan [dB a wavelength], at least the scenario's.

    Parameters
    ----------
    radio : RadioTurn
    inputs : PlanInputs
    """
    if np.isfinite(inputs.energy_j) and inputs.objective is None:
        return _at_the_margin(radio, inputs)
    best = _least(radio)
    least, moves = _predicted(radio, inputs, best)
    for price in PRICES:
        if price > best and moves:
            joules, moves = _predicted(radio, inputs, price)
            if joules < least * (1 - WORTH):
                best, least = price, joules
    if math.isinf(least) and _planned(radio, inputs, best)[1] is None:
        return max(best, NO_TRAVEL_DB)  # no budget is kept with any: not for the sake of a way
    return best


def _least(radio: RadioTurn) -> float:
    return float(radio.repetition.scenario.placement.travel_price_db)


def _at_the_margin(radio: RadioTurn, inputs: PlanInputs) -> float:
    """Return the least price that is no lower than the multipliers of the plan with that price.

    A price with which no plan keeps the budgets is too low, too.  From :data:`FIRST` on it is
    doubled until it is high enough, then halved in between.  :data:`NO_TRAVEL_DB` is always high
    enough: with a budget that a way would just exceed and air that is good enough the multipliers
    have no price at which they meet.
    """

    def too_low(price: float) -> bool:
        if price >= NO_TRAVEL_DB:
            return False
        expected, plan = _planned(radio, inputs, price)
        return plan is None or price < travel_price(radio, inputs, expected, plan.value)

    low = _least(radio)
    if not too_low(low):
        return low
    high = min(max(FIRST, 2 * low), NO_TRAVEL_DB)
    while too_low(high):
        low, high = high, min(2 * high, NO_TRAVEL_DB)
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if too_low(middle) else (low, middle)
    return high


def _predicted(radio: RadioTurn, inputs: PlanInputs, price: float) -> tuple[float, bool]:
    """Return the predicted energy to a target [J], and whether antennas move.

    It is known up to a factor that no price changes.  Where the plan minimises what is predicted,
    it is that.
    """
    expected, plan = _planned(radio, inputs, price)
    moves = expected.costs.move_j + expected.costs.move_s > 0
    if plan is None:
        return math.inf, moves
    if plan.forecast is not None:
        return plan.forecast.value, moves
    error = expected.mse_star / plan.power_backoff + expected.costs.misalignment
    round_j = (plan.energy_j.total - plan.energy_j.pretraining) / plan.rounds
    return round_j * float(slowdown(error, RULES_CHI)), moves


def _planned(
    radio: RadioTurn, inputs: PlanInputs, price: float
) -> tuple[ExpectedRadio, Plan | None]:
    expected = radio.place(everybody(radio.repetition.omega), price_db=price)
    return expected, try_plan(inputs, expected.mse_star, expected.costs, expected.participants)


def travel_price(
    radio: RadioTurn, inputs: PlanInputs, expected: ExpectedRadio, bound: float
) -> float:
    """Gain [dB] that one more wavelength of travel must bring, at the margin of the resource turn.

    The bound's rise with time and energy of a round over its fall with the error of the air, both
    from the resource turn solved again with a small change.

    Parameters
    ----------
    radio : RadioTurn
    inputs : PlanInputs
    expected : ExpectedRadio
        The air of the plan at whose margin the price is taken.
    bound : float
        Bound of that plan, or what it minimises in its place.
    """

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
        return float("inf") if plan is None else plan.value

    fall = (bound - bound_with(10 ** (-DIFFERENCE), 0.0)) / (10 * DIFFERENCE)  # for each dB
    rise = (bound_with(1.0, DIFFERENCE) - bound) / DIFFERENCE  # for each wavelength
    if not np.isfinite(rise):
        return NO_TRAVEL_DB
    return float(max(rise, 0.0) / fall) if fall > 0 else 0.0
