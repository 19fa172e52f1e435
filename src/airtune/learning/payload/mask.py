"""Random entries, new each round."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import numpy as np

from airtune.kinds import Integer, Real
from airtune.learning.payload.base import Payload, check_size, shared_out
from airtune.scenario.costs import CostTwin
from airtune.streams import generator


class RandomMask(Payload):
    """n entries of the update, drawn anew each round from the shared seed, n_b as d_b.

    Local steps move these entries only, and the optimiser's moments of the others rest.  A sum
    aggregates the entries exactly; where the mask holds entries of both factors the product has the
    bias of `lora` with H > 1 local steps.  Random masks as in sparse federated learning [1]_; that
    moments rest, and the step, are ours.

    References
    ----------
    .. [1] J. Konecny et al., "Federated learning: strategies for improving communication
       efficiency", arXiv:1610.05492 (random masks among the structured updates).
    """

    about: ClassVar[str] = "entries drawn at random, new each round"
    step: ClassVar[float] = 4.0
    sized: ClassVar[bool] = True
    broadcasts_all: ClassVar[bool] = False
    largest_mse: ClassVar[float] = 0.3  # rounds at 1 never arrived (benchmarks/chi.py)

    @cached_property
    def counts(self) -> Integer:
        """n_b, shape (B,)."""
        return shared_out(check_size(self.size, self.matrix_sizes), self.matrix_sizes)

    def blocks(self, part: str) -> Integer:
        """Return n_b."""
        return self.counts

    def entries(self, round_index: int) -> Integer | None:
        """Return the entries of a round, drawn block by block without replacement."""
        drawn = self._drawn.get(round_index)
        if drawn is None:
            stream = generator(self.seed, "payload", round_index)
            spans = [
                m.start + np.sort(stream.choice(m.size, int(n), replace=False, shuffle=False))
                for m, n in zip(self.matrices, self.counts, strict=True)
            ]
            drawn = np.concatenate(spans)
            self._drawn.clear()  # a round asks several times, and hardly for an earlier one
            self._drawn[round_index] = drawn
        return drawn

    def remembered(self, row: Real, round_index: int) -> Real | None:
        """Return what is remembered of the entries of the round."""
        return np.asarray(row[self.entries(round_index)])

    def memorised(self, row: Real, before: Real | None, round_index: int) -> Real | None:
        """Return the memory with the entries of the round in their places."""
        full = np.zeros(self.total) if before is None else before.copy()
        full[self.entries(round_index)] = row
        return full

    def booked(self, twin: CostTwin, part: str) -> CostTwin:
        """Return the twin with the same share of its entries."""
        return shared_twin(twin, int(self.counts.sum()), self.total)

    @property
    def share(self) -> float:
        """n / d."""
        return float(self.counts.sum()) / self.total


def shared_twin(twin: CostTwin, sent: int, total: int) -> CostTwin:
    """Return a twin that sends the same share of its entries, one a matrix at least.

    Examples
    --------
    >>> shared_twin(CostTwin("twin", 10, (600, 400)), sent=25, total=100).matrix_sizes
    (150, 100)
    """
    sizes = np.array(twin.matrix_sizes, dtype=np.int64)
    size = max(twin.entries_for(sent, total), len(sizes))
    return twin.sending(tuple(shared_out(size, sizes).tolist()))
