"""Where the antennas go in a round (`planning.movement`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airtune.kinds import Real
from airtune.planning.alternate import JointPlan
from airtune.planning.repetition import Repetition
from airtune.schemes import BuiltScheme, Forecast, Link, RadioRound, Travel


@dataclass(frozen=True)
class Standing:
    """What decides where the antennas go in the next round.

    Attributes
    ----------
    repetition : Repetition
    scheme : BuiltScheme
    joint : JointPlan
        The plan that the rounds follow.
    done : int
        Rounds done.
    positions : ndarray, float, shape (N, 2)
        Where the antennas are [wavelengths].
    weights : ndarray, float, shape (K,)
        nu_k that are expected of the round; 0 for who is not selected.
    """

    repetition: Repetition
    scheme: BuiltScheme
    joint: JointPlan
    done: int
    positions: Real
    weights: Real

    def place(self, radio: RadioRound, travel: Travel | None = None) -> Real:
        """Return the best places of a round within the travel, shape (N, 2) [wavelengths]."""
        return self.scheme.array.place(radio, self.weights, self.positions, travel)

    @property
    def travel(self) -> Travel:
        """How far the plan lets the antennas go, and what distance must bring."""
        settings = self.repetition.scenario.placement
        return Travel(self.joint.expected.max_travel, settings.travel_price_db)


def target(now: Standing, radio: RadioRound, forecast: Callable[[Link], Forecast]) -> Real:
    """Return where the antennas go in a round, in no order (`planning.movement`).

    Parameters
    ----------
    now : Standing
    radio : RadioRound
    forecast : callable
        Forecast of the round with a link.

    Returns
    -------
    ndarray, float, shape (N, 2)  [wavelengths]
    """
    planning, array, joint = now.repetition.scenario.planning, now.scheme.array, now.joint
    movement = planning.movement if array.moves else "each-round"
    if movement == "once":
        if joint.scheme == now.scheme.name:
            return joint.expected.positions
        return now.positions if now.done > 0 else now.place(radio)
    if movement == "when-needed":
        link = array.link(radio, now.weights, now.positions)
        if forecast(link).error(joint.plan.power_backoff) <= planning.quality:
            return now.positions
    return now.place(radio, now.travel)
