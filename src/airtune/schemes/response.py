"""What antennas in place receive of the transmitters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from airtune.kinds import Integer, Real
from airtune.radio.channels.base import Transmitters
from airtune.radio.impairments import muted
from airtune.radio.transmission import Air, air_at
from airtune.radio.units import LinkBudget


@dataclass(frozen=True)
class Response:
    """What antennas in place receive of the transmitters, computed for the clients asked for only.

    Attributes
    ----------
    transmitters : Transmitters
        True or perceived paths.
    positions : ndarray, float, shape (N, 2)
        Antenna positions [wavelengths].
    budget : LinkBudget
    dead : ndarray, int, or None
        Antennas that hear nobody.
    """

    transmitters: Transmitters
    positions: Real
    budget: LinkBudget
    dead: Integer | None = None

    def of(self, clients: Integer) -> Air:
        """Return the air of these clients (indices)."""
        return self._heard(air_at(self.transmitters.of(clients), self.positions, self.budget))

    @cached_property
    def everybody(self) -> Air:
        """The air of all clients."""
        return self._heard(air_at(self.transmitters, self.positions, self.budget))

    def _heard(self, air: Air) -> Air:
        return air if self.dead is None else muted(air, self.dead)
