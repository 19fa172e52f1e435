"""The policy `all`: everybody transmits."""

from __future__ import annotations

from typing import ClassVar

from airtune.scheduling.base import Candidates, Choice, Policy, renormalised


class Everybody(Policy):
    """All clients that may transmit do."""

    about: ClassVar[str] = "everybody transmits"
    looks_at_channels: ClassVar[bool] = False

    def select(self, candidates: Candidates) -> Choice:
        """Return all candidates."""
        return renormalised(candidates.clients, candidates.omega)
