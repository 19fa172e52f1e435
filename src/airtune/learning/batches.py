"""Mini-batches, padded or packed, with the places of their response tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from airtune.learning.text import Example


@dataclass(frozen=True, slots=True)
class Batch:
    """B examples, padded on the right to the longest of them (T tokens).

    Responses are found by length, never by token: the pad token may be the end token.

    Attributes
    ----------
    ids : Tensor, int64, shape (B, T)
        Tokens.  A causal model never sees the padding, so no attention mask is needed.
    rows, columns : Tensor, int64, shape (M,)
        Places of the M response predictions: the token before each response token.
    targets : Tensor, int64, shape (M,)
        The response tokens, end tokens included.
    lengths : Tensor, int64, shape (B,)
        Response tokens of each example, at least 1.
    tokens : int
        Tokens without padding.
    """

    ids: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor
    targets: torch.Tensor
    lengths: torch.Tensor
    tokens: int

    def on(self, kind: str) -> Batch:
        """Return this batch on a device; itself where it is there already."""
        if self.ids.device.type == kind:
            return self
        tensors = ("ids", "rows", "columns", "targets", "lengths")
        return replace(self, **{name: getattr(self, name).to(kind) for name in tensors})

    @property
    def places(self) -> torch.Tensor:
        """Index of the M response predictions in the flattened tokens."""
        return self.rows * self.ids.shape[1] + self.columns


@dataclass(frozen=True, slots=True)
class Packed(Batch):
    """B examples one after the other in a single row: ids has shape (1, N), without padding.

    `rows` are the examples, `columns` the places in the row.

    Attributes
    ----------
    positions : Tensor, int64, shape (1, N)
        Place of each token in its example.
    sequences : list of int
        Tokens of each example.
    """

    positions: torch.Tensor
    sequences: list[int]

    @property
    def places(self) -> torch.Tensor:
        """Index of the M response predictions in the row."""
        return self.columns


def pack(examples: Sequence[Example]) -> Packed:
    """Return the packed batch of `examples`, in order."""
    sequences = [len(example.ids) for example in examples]
    starts = np.cumsum([0, *sequences[:-1]])
    padded = collate(examples)
    positions = [np.arange(length) for length in sequences]
    return Packed(
        ids=torch.tensor([[token for example in examples for token in example.ids]]),
        rows=padded.rows,
        columns=padded.columns + torch.from_numpy(starts)[padded.rows],
        targets=padded.targets,
        lengths=padded.lengths,
        tokens=padded.tokens,
        positions=torch.from_numpy(np.concatenate(positions))[None],
        sequences=sequences,
    )


def pieces(examples: Sequence[Example], tokens: int) -> list[list[Example]]:
    """Cut `examples`, in order, into runs of at most `tokens` tokens (or of one example)."""
    cut: list[list[Example]] = []
    free = 0
    for example in examples:
        if not cut or len(example.ids) > free:
            cut.append([])
            free = tokens
        cut[-1].append(example)
        free -= len(example.ids)
    return cut


def collate(examples: Sequence[Example]) -> Batch:
    """Return the batch of `examples`, in order.

    Examples
    --------
    >>> examples = [Example((5, 6, 7), prompt=1, label=""), Example((8, 9), prompt=1, label="")]
    >>> batch = collate(examples)
    >>> batch.ids.tolist(), batch.targets.tolist()
    ([[5, 6, 7], [8, 9, 0]], [6, 7, 9])
    """
    width = max(len(example.ids) for example in examples)
    ids = np.zeros((len(examples), width), np.int64)
    rows, columns, targets = [], [], []
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)] = example.ids
        rows.append(np.full(example.learnt_tokens, row))
        for start, stop in example.learnt:
            columns.append(np.arange(start - 1, stop - 1))
            targets.append(np.array(example.ids[start:stop]))
    return Batch(
        ids=torch.from_numpy(ids),
        rows=torch.from_numpy(np.concatenate(rows)),
        columns=torch.from_numpy(np.concatenate(columns)),
        targets=torch.from_numpy(np.concatenate(targets)),
        lengths=torch.tensor([example.learnt_tokens for example in examples]),
        tokens=sum(len(example.ids) for example in examples),
    )


def like_lengths(examples: Sequence[Example], size: int) -> list[list[int]]:
    """Return the indices of the examples in groups of `size`, each of examples of like length."""
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].ids))
    return [order[start : start + size] for start in range(0, len(order), size)]


def by_length(examples: Sequence[Example], size: int) -> Iterator[tuple[list[int], Batch]]:
    """Yield batches of examples of like length, with their indices: little padding."""
    for chosen in like_lengths(examples, size):
        yield chosen, collate([examples[i] for i in chosen])
