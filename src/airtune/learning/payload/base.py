"""The contract of a payload: what is sent of an update, and what the server makes of it.

A client's update d_k is a vector of d entries over all adapter matrices.  A payload says which
numbers of it are sent, in which blocks, and how the decoded mean of these numbers becomes a step of
the server (system model, section 4).  Scales, powers and the dimension of everything between (air,
pilots, reports, broadcast, privacy) are those of what is sent.

Clients and server draw what they need from the shared seed of the repetition, anew each round: a
payload holds no state, and a round can be repeated without those before it.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from airtune.errors import InputError
from airtune.kinds import Floating, Integer, Real
from airtune.learning.results import AdapterMatrix
from airtune.scenario.costs import CostTwin

WHOLE = ""
"""Name of the only part of a payload that sends the same entries, or entries of all, each round."""

_FACTOR = re.compile(r"\blora_(?:embedding_)?([AB])\b")


@dataclass(frozen=True)
class Payload(ABC):
    """What of an update is sent.

    Attributes
    ----------
    matrices : tuple of AdapterMatrix
        Their places in the vector of d entries.
    seed : int
        Root of the repetition's streams, known to server and clients.
    size : int or None
        n, numbers that are sent in a round, of a payload that takes a size.
    about : str
        Of the class: one line for tables.
    step : float
        Of the class: factor of `training.learning_rate` with which it needs the fewest rounds.
    sized : bool
        Of the class: whether it takes a size.
    freezes : bool
        Of the class: whether entries stay as they start in all rounds.
    largest_mse : float
        Of the class: error over v^2 of the decoded numbers up to which the predicted loss is
        trusted (:mod:`airtune.bound.forecast`).
    broadcasts_all : bool
        Of the class: whether a broadcast holds everything that ever changes.  If not, every
        participant has to follow every broadcast, selected or not.

    Examples
    --------
    A payload that sends the first n entries of each update::

        class Head(Payload):
            about = "the first entries"
            sized = True

            def entries(self, round_index):
                return np.arange(self.size)

            def blocks(self, part):
                return np.array([self.size])
    """

    matrices: tuple[AdapterMatrix, ...]
    seed: int
    size: int | None = None
    _drawn: dict[int, Integer] = field(default_factory=dict, repr=False, compare=False)

    about: ClassVar[str]
    step: ClassVar[float] = 1.0
    sized: ClassVar[bool] = False
    freezes: ClassVar[bool] = False
    broadcasts_all: ClassVar[bool] = True
    largest_mse: ClassVar[float] = 1.0

    @property
    def total(self) -> int:
        """Entries d of an update."""
        return sum(matrix.size for matrix in self.matrices)

    @property
    def matrix_sizes(self) -> Integer:
        """Entries of each adapter matrix, shape (B,)."""
        return np.array([matrix.size for matrix in self.matrices], dtype=np.int64)

    @property
    def parts(self) -> dict[str, Integer | None]:
        """What takes turns, by name: ascending indices of its entries; None: all of them.

        The optimiser has a state of its own for each part, at rest in the rounds of the others.
        """
        return {WHOLE: None}

    def part(self, round_index: int) -> str:
        """Return the name of the part that a round is about; rounds count from 1."""
        return WHOLE

    @property
    def largest(self) -> str:
        """Name of the part of which most is sent: a plan takes every round for one of it."""
        return max(self.parts, key=lambda part: int(self.blocks(part).sum()))

    @abstractmethod
    def blocks(self, part: str) -> Integer:
        """Return how many numbers of each block are sent in a round of a part, shape (B',)."""

    def entries(self, round_index: int) -> Integer | None:
        """Return the ascending indices of the entries that a round moves; None: all."""
        return self.parts[self.part(round_index)]

    def coded(
        self, updates: Floating, round_index: int, clip_norm: float | None = None
    ) -> Floating:
        """Return what clients send of their updates, row by row.

        Parameters
        ----------
        updates : ndarray, float32, shape (S, d)
        round_index : int
        clip_norm : float, optional
            Largest norm of what a client sends; the updates have at most this norm already.

        Returns
        -------
        ndarray, float32, shape (S, n)
        """
        entries = self.entries(round_index)
        return updates if entries is None else updates[:, entries]

    def decoded(self, mean: Real, round_index: int) -> Real:
        """Return the update that a decoded mean stands for.

        Parameters
        ----------
        mean : ndarray, float, shape (n,)
        round_index : int

        Returns
        -------
        ndarray, float, shape (m,)
            Of the entries that the round moves, in their order.
        """
        return mean

    def spread(self, rows: Floating, round_index: int) -> Floating:
        """Return the updates that coded rows stand for, (S, n) to (S, d); 0 where nothing moves."""
        entries = self.entries(round_index)
        if entries is None:
            return rows
        full = np.zeros((len(rows), self.total), rows.dtype)
        full[:, entries] = rows
        return full

    def remembered(self, row: Real, round_index: int) -> Real | None:
        """Return of a memory of what was not sent, shape (m,), what a round can add, shape (n,).

        A memory has an entry for each of the part, for what is sent changes from round to round.
        None where what was sent in one round says nothing about the numbers of another.
        """
        return row

    def memorised(self, row: Real, before: Real | None, round_index: int) -> Real | None:
        """Return the memory, shape (m,), after a round in which `row`, shape (n,), was not sent."""
        return row

    def booked(self, twin: CostTwin, part: str) -> CostTwin:
        """Return the twin whose uploads and broadcasts are those of this payload of it."""
        return twin

    @property
    def movable(self) -> Integer | None:
        """Ascending indices of the entries that some round moves; None: all."""
        parts = list(self.parts.values())
        if any(part is None for part in parts):
            return None
        moved = np.unique(np.concatenate([part for part in parts if part is not None]))
        return None if len(moved) == self.total else moved

    @property
    def share(self) -> float:
        """Share of the squared gradient that a step of a round moves along, on average."""
        return 1.0

    @property
    def computing(self) -> float:
        """What a client computes in a round, over a gradient with a frozen base."""
        return 1.0

    @property
    def inflation(self) -> float:
        """E ||dhat||^2 / ||d||^2 - 1 of what is decoded of an exact mean."""
        return 0.0

    @property
    def amplification(self) -> float:
        """Energy of the error of the decoded update over that of the numbers sent."""
        return 1.0


def factor_of(matrix: AdapterMatrix) -> str:
    """Return which factor of LoRA a matrix is, A or B, by the name that PEFT gives it.

    Raises
    ------
    InputError
        It is neither.

    Examples
    --------
    >>> factor_of(AdapterMatrix("layers.0.q_proj.lora_B.weight", (8, 2), 0, 16))
    'B'
    """
    found = _FACTOR.search(matrix.name)
    if found is None:
        raise InputError(
            f"aggregation.payload: the matrix {matrix.name[:80]!r} is no factor A or B of LoRA; "
            "must be lora, mask or subspace with this model"
        )
    return found.group(1)


def entries_of(matrices: tuple[AdapterMatrix, ...], factor: str) -> Integer:
    """Return the ascending indices of all entries of one factor, A or B.

    Examples
    --------
    >>> a = AdapterMatrix("q.lora_A.weight", (1, 3), 0, 3)
    >>> b = AdapterMatrix("q.lora_B.weight", (2, 1), 3, 2)
    >>> entries_of((a, b), "B").tolist()
    [3, 4]
    """
    spans = [np.arange(m.start, m.start + m.size) for m in matrices if factor_of(m) == factor]
    return np.concatenate(spans) if spans else np.zeros(0, np.int64)


def shared_out(size: int, matrix_sizes: Integer) -> Integer:
    """Share n numbers out to blocks in proportion to their entries, at least one each.

    The quotas are rounded down, and what is left goes to the largest remainders.

    Parameters
    ----------
    size : int
        n, from B to d.
    matrix_sizes : ndarray, int, shape (B,)
        d_b.

    Returns
    -------
    ndarray, int, shape (B,)
        n_b, sum n, 1 <= n_b <= d_b.

    Examples
    --------
    >>> shared_out(10, np.array([100, 50, 1])).tolist()
    [6, 3, 1]
    """
    whole, total = [int(entries) for entries in matrix_sizes], int(matrix_sizes.sum())
    counts = [max(1, size * entries // total) for entries in whole]
    left = size - sum(counts)
    order = sorted(range(len(whole)), key=lambda b: (-(size * whole[b] % total), b))
    while left:
        for b in order if left > 0 else sorted(order, key=lambda b: -counts[b]):
            if left > 0 and counts[b] < whole[b]:
                counts[b], left = counts[b] + 1, left - 1
            elif left < 0 and counts[b] > 1:
                counts[b], left = counts[b] - 1, left + 1
    return np.array(counts, dtype=np.int64)


def check_size(size: int | None, matrix_sizes: Integer) -> int:
    """Return the size of a payload that takes one.

    Raises
    ------
    InputError
        There is none, or it is not from the number of adapter matrices to that of entries.
    """
    least, most = len(matrix_sizes), int(matrix_sizes.sum())
    if size is None or not least <= size <= most:
        raise InputError(
            f"aggregation.payload_size = {size}: must be from {least}, one number for each adapter "
            f"matrix of this model, to {most}, the entries of an update"
        )
    return size
