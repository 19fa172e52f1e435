"""Preference tuning of clients: direct preference optimisation (DPO) on pairs of answers.

For a pair with log-probability ratios to the reference model (the model at the start)

    z = beta [(log p(better) - log p0(better)) - (log p(worse) - log p0(worse))]

the loss is ``-log sigmoid(z)`` [1]_.  Its gradient is that of cross-entropies with weights
``+ beta sigmoid(-z)`` for the better and ``- beta sigmoid(-z)`` for the worse answer, so two
forward passes and one backward pass of the ordinary kind are all it takes.

References
----------
.. [1] Rafailov et al.: Direct preference optimization: your language model is secretly a reward
   model, 2023.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from airtune.errors import InputError
from airtune.learning.data import Record
from airtune.learning.results import DomainScore, Evaluation, Vector
from airtune.learning.text import Encoder, Example

if TYPE_CHECKING:
    from airtune.learning.model import AdapterModel


@dataclass(frozen=True, slots=True)
class Pair(Example):
    """A prompt with its better answer, and `worse`, the same prompt with its worse answer."""

    worse: Example


def answers(pairs: Sequence[Example]) -> list[Example]:
    """Return the better answers, then the worse ones."""
    return [*pairs, *(pair.worse for pair in pairs if isinstance(pair, Pair))]


def encode_pairs(encoder: Encoder, records: Sequence[Record]) -> list[Pair]:
    """Return the pairs of `records`, in order.

    Raises
    ------
    InputError
        A record has no worse answer.
    """
    if not all(record.rejected for record in records):
        raise InputError(
            "training.objective: 'dpo' needs two answers of each record; set "
            "data.format=preference and name their fields"
        )
    better, worse = encoder.encode(records), encoder.encode(records, rejected=True)
    return [Pair(b.ids, b.prompt, b.label, w) for b, w in zip(better, worse, strict=True)]


@dataclass
class Preference:
    """The objective with its reference model; log-probabilities of the reference are kept.

    Attributes
    ----------
    model : AdapterModel
    reference : ndarray, float32, shape (d,)
        Adapter of the reference model.
    beta : float
        Strength of the pull towards the reference.
    """

    model: AdapterModel
    reference: Vector
    beta: float
    _known: dict[Example, float] = field(default_factory=dict)

    def margins(self, flat: torch.Tensor, pairs: Sequence[Example]) -> torch.Tensor:
        """Return z of each pair at the adapter `flat`, shape (n,)."""
        both = answers(pairs)
        ratios = self.model.log_probabilities(flat, both) - self._reference_of(both)
        better, worse = ratios.chunk(2)
        return self.beta * (better - worse)

    def _reference_of(self, examples: Sequence[Example]) -> torch.Tensor:
        new = [example for example in examples if example not in self._known]
        if new:
            start = torch.from_numpy(self.reference)
            # One by one: no bit may depend on what is known, and a resumed run knows none.
            found = [float(self.model.log_probabilities(start, [one])) for one in new]
            self._known.update(zip(new, found, strict=True))
        return torch.tensor([self._known[example] for example in examples], dtype=torch.float64)

    def loss_and_gradient(
        self, flat: torch.Tensor, pairs: Sequence[Example]
    ) -> tuple[float, torch.Tensor]:
        """Return the mean loss of `pairs` and its gradient at an adapter, shape (d,)."""
        z = self.margins(flat, pairs)
        pull = self.beta * torch.sigmoid(-z) / len(pairs)
        weights = torch.cat([pull, -pull]).float()
        _, gradient = self.model.gradient_at(flat, answers(pairs), weights=weights)
        return float(-functional.logsigmoid(z).mean()), gradient

    def evaluate(self, flat: torch.Tensor, pairs: Sequence[Example]) -> Evaluation:
        """Return mean loss and share of pairs with z > 0 (as `exact_match`), and perplexity.

        The perplexity is that of the better answers.
        """
        z = self.margins(flat, pairs)
        losses = -functional.logsigmoid(z)
        tokens = sum(len(pair.ids) - pair.prompt for pair in pairs)
        nats = -float(self.model.log_probabilities(flat, pairs).sum()) / tokens

        def score(label: str | None) -> DomainScore:
            chosen = torch.tensor([label is None or pair.label == label for pair in pairs])
            right = float((z[chosen] > 0).double().mean())
            return DomainScore(float(losses[chosen].mean()), right, int(chosen.sum()))

        total = score(None)
        domains = {label: score(label) for label in sorted({pair.label for pair in pairs})}
        perplexity = math.exp(min(nats, 700.0))
        return Evaluation(total.loss, perplexity, total.exact_match, domains)
