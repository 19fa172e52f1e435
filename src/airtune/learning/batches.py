"""Padded mini-batches that know where their response tokens are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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


def collate(examples: Sequence[Example]) -> Batch:
    """Return the batch of `examples`, in order."""
    width = max(len(example.ids) for example in examples)
    ids = np.zeros((len(examples), width), np.int64)
    rows, columns, targets = [], [], []
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)] = example.ids
        response = len(example.ids) - example.prompt
        rows.append(np.full(response, row))
        columns.append(np.arange(example.prompt - 1, len(example.ids) - 1))
        targets.append(np.array(example.ids[example.prompt :]))
    return Batch(
        ids=torch.from_numpy(ids),
        rows=torch.from_numpy(np.concatenate(rows)),
        columns=torch.from_numpy(np.concatenate(columns)),
        targets=torch.from_numpy(np.concatenate(targets)),
        lengths=torch.tensor([len(e.ids) - e.prompt for e in examples]),
        tokens=sum(len(example.ids) for example in examples),
    )


def by_length(examples: Sequence[Example], size: int) -> Iterator[tuple[list[int], Batch]]:
    """Yield batches of examples of like length, with their indices: little padding."""
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].ids))
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        yield chosen, collate([examples[i] for i in chosen])
