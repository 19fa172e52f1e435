"""The contract of where an array faces from round to round."""

from __future__ import annotations

from typing import Protocol

from airtune.planning.result import FixedCosts
from airtune.radio.facing import Facing
from airtune.radio.movement import Movement
from airtune.schemes import RadioRound


class Turning(Protocol):
    """Where an array faces in each round, and what it costs to turn it."""

    @property
    def key(self) -> tuple[object, str]:
        """The kind of array, and whether it is ``mounted`` or ``turned``."""

    def of(self, round_index: int) -> Facing:
        """Return where the array faces in a round; before the first one for 0."""

    def way(self, round_index: int) -> tuple[float, float]:
        """Return time [s] and energy [J] of the turn in a round."""

    def before(self, radio: RadioRound) -> RadioRound | None:
        """Return a round as the array sees it before it turns; None where it does not turn."""

    def moved(self, round_index: int, movement: Movement) -> Movement:
        """Return the movement of a round with the turn, while the antennas move."""

    def booked(self, costs: FixedCosts, round_index: int) -> FixedCosts:
        """Return what a plan counts for the rounds from this one on."""
