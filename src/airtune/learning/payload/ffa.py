"""The factors B alone; the factors A stay where they are."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import numpy as np

from airtune.kinds import Integer
from airtune.learning.payload.base import WHOLE, Payload, entries_of, factor_of
from airtune.scenario.costs import CostTwin


class FrozenA(Payload):
    """B of every layer; A stays at its random start (FFA-LoRA [1]_).

    The product B A is linear in what is sent, so a sum aggregates it exactly, whatever the number
    of local steps.

    References
    ----------
    .. [1] Y. Sun, Z. Li, Y. Li, B. Ding, "Improving LoRA in privacy-preserving federated learning",
       ICLR 2024.
    """

    about: ClassVar[str] = "the factors B, with A as it started"
    step: ClassVar[float] = 2.0
    freezes: ClassVar[bool] = True

    @cached_property
    def parts(self) -> dict[str, Integer | None]:
        """The entries of all B."""
        return {WHOLE: entries_of(self.matrices, "B")}

    def blocks(self, part: str) -> Integer:
        """Return the entries of each B."""
        return np.array([m.size for m in self.matrices if factor_of(m) == "B"], dtype=np.int64)

    def booked(self, twin: CostTwin, part: str) -> CostTwin:
        """Return the twin with its B only."""
        return twin.factor("B")
