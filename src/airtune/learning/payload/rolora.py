"""The factors B in odd rounds, the factors A in even ones."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import numpy as np

from airtune.kinds import Integer
from airtune.learning.payload.base import Payload, entries_of, factor_of
from airtune.scenario.costs import CostTwin


class Alternating(Payload):
    """B and A in turn (RoLoRA [1]_): B in round 1, for A has no gradient while B is 0.

    One factor rests in each round, so the product is linear in what is sent and a sum aggregates it
    exactly, whatever the number of local steps.  Each half has a state of the server optimiser of
    its own, with its own count of steps, which rests in the rounds of the other; so do error
    feedback and the last reported scales.

    References
    ----------
    .. [1] S. Chen et al., "Robust federated finetuning of LLMs via alternating optimization of
       LoRA", arXiv:2502.01755.
    """

    about: ClassVar[str] = "the factors B in odd rounds, A in even ones"
    broadcasts_all: ClassVar[bool] = False

    @cached_property
    def parts(self) -> dict[str, Integer | None]:
        """The entries of all B, and those of all A."""
        return {factor: entries_of(self.matrices, factor) for factor in "BA"}

    def part(self, round_index: int) -> str:
        """Return B for odd rounds, A for even ones."""
        return "BA"[(round_index + 1) % 2]

    def blocks(self, part: str) -> Integer:
        """Return the entries of each matrix of one factor."""
        return np.array([m.size for m in self.matrices if factor_of(m) == part], dtype=np.int64)

    @property
    def share(self) -> float:
        """A half: what the two factors have of the squared gradient adds up to all of it."""
        return 0.5

    def booked(self, twin: CostTwin, part: str) -> CostTwin:
        """Return the twin with one factor only."""
        return twin.factor(part)
