"""Coefficients in random subspaces, new each round."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

import numpy as np

from airtune.kinds import Floating, Integer, Real
from airtune.learning.payload.base import Payload, check_size, shared_out
from airtune.learning.payload.mask import shared_twin
from airtune.scenario.costs import CostTwin
from airtune.streams import generator

CHUNK = 1 << 19
"""Entries of Z that are held at once."""


class RandomSubspace(Payload):
    """n_b coefficients ``c_b = Z_b^T d_b / sqrt(n_b)`` of each block, of which the server makes
    ``dhat_b = Z_b c_b / sqrt(n_b)``.

    Z_b (d_b x n_b) is standard normal, drawn anew each round from the shared seed; it is made piece
    by piece when it is needed and never stored.  n_b is in proportion to d_b.  Over the draws of Z
    dhat is unbiased with ``(d_b + n_b + 1) / n_b`` times the energy of d_b, and the error of the
    air on c_b comes back with d_b / n_b times its energy (system model, sections 4 and 7b).  With
    the root of n_b in both places what is sent has the length of the update on average: clipping
    and the powers of blocks mean what they mean for whole updates.  Similar are FedKRSO [1]_, whose
    clients train in such subspaces, and Ferret [2]_, which codes the change of local steps as here.

    References
    ----------
    .. [1] "FedKRSO: communication and memory efficient federated fine-tuning of large language
       models", arXiv:2602.03019.
    .. [2] Y. Shu et al., "Ferret: federated full-parameter tuning at scale for large language
       models", arXiv:2409.06277.
    """

    about: ClassVar[str] = "coefficients in random subspaces, new each round"
    sized: ClassVar[bool] = True
    broadcasts_all: ClassVar[bool] = False
    largest_mse: ClassVar[float] = 0.1  # one run of two arrived at that, none at 1 (section 7b)

    @cached_property
    def counts(self) -> Integer:
        """n_b, shape (B,)."""
        return shared_out(check_size(self.size, self.matrix_sizes), self.matrix_sizes)

    def blocks(self, part: str) -> Integer:
        """Return n_b."""
        return self.counts

    def coded(
        self, updates: Floating, round_index: int, clip_norm: float | None = None
    ) -> Floating:
        """Return the coefficients; a row that is longer than `clip_norm` is scaled down to it."""
        rows = np.zeros((len(updates), int(self.counts.sum())), np.float32)
        for entries, numbers, piece in self._pieces(round_index):
            rows[:, numbers] += updates[:, entries] @ piece
        if clip_norm is not None:
            norms = np.linalg.norm(rows.astype(np.float64), axis=1)
            rows *= (clip_norm / np.maximum(norms, clip_norm)).astype(np.float32)[:, None]
        return rows

    def decoded(self, mean: Real, round_index: int) -> Real:
        """Return ``Z_b c_b / sqrt(n_b)`` of all blocks."""
        update = np.empty(self.total)
        for entries, numbers, piece in self._pieces(round_index):
            update[entries] = piece.astype(np.float64) @ mean[numbers]
        return update

    def spread(self, rows: Floating, round_index: int) -> Floating:
        """Return the update that each row of coefficients stands for."""
        updates = np.empty((len(rows), self.total), rows.dtype)
        for entries, numbers, piece in self._pieces(round_index):
            updates[:, entries] = rows[:, numbers] @ piece.T
        return updates

    def _pieces(self, round_index: int) -> Iterator[tuple[slice, slice, Floating]]:
        """Yield ``Z_b / sqrt(n_b)`` row by row: places of entries and of numbers, and the rows."""
        stream, first = generator(self.seed, "payload", round_index), 0
        for matrix, number in zip(self.matrices, self.counts.tolist(), strict=True):
            height, scale = max(1, CHUNK // number), np.float32(number**-0.5)
            for start in range(0, matrix.size, height):
                stop = min(start + height, matrix.size)
                piece = stream.standard_normal((stop - start, number), np.float32)
                piece *= scale
                entries = slice(matrix.start + start, matrix.start + stop)
                yield entries, slice(first, first + number), piece
            first += number

    def remembered(self, row: Real, round_index: int) -> Real | None:
        """Return None: coefficients of one round's subspace say nothing in another's."""
        return None

    def memorised(self, row: Real, before: Real | None, round_index: int) -> Real | None:
        """Return None."""
        return None

    def booked(self, twin: CostTwin, part: str) -> CostTwin:
        """Return the twin with the same share of its entries."""
        return shared_twin(twin, int(self.counts.sum()), self.total)

    @property
    def inflation(self) -> float:
        """The largest (d_b + 1) / n_b."""
        return float(((self.matrix_sizes + 1) / self.counts).max())

    @property
    def amplification(self) -> float:
        """The largest d_b / n_b."""
        return float((self.matrix_sizes / self.counts).max())
