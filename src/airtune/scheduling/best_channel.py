"""The policy `best-channel`: the strongest clients."""

from __future__ import annotations

from typing import ClassVar

from airtune.scheduling.base import Candidates, Choice, Policy, renormalised, strongest


class BestChannel(Policy):
    """The strongest clients: the largest mean received power over the array's region."""

    about: ClassVar[str] = "strongest received power"

    def select(self, candidates: Candidates) -> Choice:
        """Return the candidates of the largest mean SINR."""
        chosen = strongest(candidates.sinr, candidates.clients, candidates.limit)
        return renormalised(chosen, candidates.omega)
