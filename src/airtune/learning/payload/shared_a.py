"""The factors A alone; every client keeps a B of its own."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import numpy as np

from airtune.kinds import Integer
from airtune.learning.payload.base import WHOLE, Payload, entries_of, factor_of
from airtune.scenario.costs import CostTwin


class SharedA(Payload):
    """A of every layer; B is trained by each client and never sent (FedSA-LoRA [1]_).

    A model is then one of a client: the shared A with its own B.  Which B that is, the states of
    the clients say (:mod:`airtune.learning.own_factors`).

    References
    ----------
    .. [1] P. Guo et al., "Selective aggregation for low-rank adaptation in federated learning",
       ICLR 2025, arXiv:2410.01463.
    """

    about: ClassVar[str] = "the factors A, with a B kept by each client"

    @cached_property
    def parts(self) -> dict[str, Integer | None]:
        """The entries of all A."""
        return {WHOLE: entries_of(self.matrices, "A")}

    @cached_property
    def kept(self) -> Integer:
        """Ascending indices of the entries of all B, which stay with the clients."""
        return entries_of(self.matrices, "B")

    def blocks(self, part: str) -> Integer:
        """Return the entries of each A."""
        return np.array([m.size for m in self.matrices if factor_of(m) == "A"], dtype=np.int64)

    def booked(self, twin: CostTwin, part: str) -> CostTwin:
        """Return the twin with its A only."""
        return twin.factor("A")
