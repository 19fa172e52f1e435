"""Array policies: where the base station's antennas are in each round."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from airtune.kinds import Real
from airtune.scenario import Scenario
from airtune.schemes.link import Link, RadioRound


class ArrayPolicy(ABC):
    """Decides where the antennas are; by itself they stay where they start.

    Attributes
    ----------
    about : str
        One line for the table of schemes.
    moves : bool
        Whether other places cost time and energy: antennas are carried there by drives.
    """

    about: str
    moves: ClassVar[bool] = False

    @abstractmethod
    def start(self, scenario: Scenario, seed: int) -> Real:
        """Return the positions before the first round, shape (N, 2) [wavelengths]."""

    def place(self, radio: RadioRound, effective_weights: Real, positions: Real) -> Real:
        """Return the positions of a round, given nu_k of the last round and the last positions."""
        return positions

    def link(self, radio: RadioRound, effective_weights: Real, positions: Real) -> Link:
        """Return what antennas at `positions` hear in a round, given nu_k of the last one."""
        return radio.at(positions)
