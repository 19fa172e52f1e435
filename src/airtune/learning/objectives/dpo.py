"""Preference tuning: direct preference optimisation (DPO) on pairs of answers.

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
from typing import TYPE_CHECKING, Any

from airtune.learning.objectives.base import ClientObjective, LocalTask
from airtune.learning.pairs import answers, encode_pairs
from airtune.learning.results import ClientState, DomainScore, Evaluation

if TYPE_CHECKING:
    import torch

    from airtune.learning.data import Record
    from airtune.learning.text import Encoder, Example
    from airtune.learning.workers import Workers


class DirectPreference(ClientObjective):
    """The DPO loss; `training.beta` is the strength of the pull towards the reference model."""

    def encode(self, encoder: Encoder, records: Sequence[Record]) -> Sequence[Example]:
        """Return the pairs of `records`; see :func:`airtune.learning.pairs.encode_pairs`."""
        return encode_pairs(encoder, records)

    def flop_per_sample(self, causal: Any, examples: Sequence[Example]) -> float:
        """Return the FLOP of a pair: two answers, and a forward pass more, 6 a weight and token."""
        from airtune.learning.model import weights_used

        return 4 * (1.5 * 2 * weights_used(causal, answers(examples)))

    def margins(
        self, task: LocalTask, flat: torch.Tensor, pairs: Sequence[Example]
    ) -> torch.Tensor:
        """Return z of each pair at the adapter `flat`, float64, shape (n,)."""
        both = answers(pairs)
        at_start = task.model.reference.log_probabilities(both)
        ratios = task.model.log_probabilities(flat, both) - at_start
        better, worse = ratios.chunk(2)
        return task.settings.beta * (better - worse)

    def step(
        self, task: LocalTask, flat: torch.Tensor, examples: Sequence[Example], state: ClientState
    ) -> tuple[float, torch.Tensor, ClientState]:
        """Return the mean loss of pairs and its gradient; there is no dropout."""
        import torch
        from torch.nn import functional

        z = self.margins(task, flat, examples)
        pull = task.settings.beta * torch.sigmoid(-z) / len(examples)
        weights = torch.cat([pull, -pull]).float()
        _, gradient = task.model.gradient_at(flat, answers(examples), weights=weights)
        return float(-functional.logsigmoid(z).mean()), gradient, state

    def evaluate(
        self, task: LocalTask, examples: Sequence[Example], batch_size: int, workers: Workers
    ) -> Evaluation:
        """Return mean loss and share of pairs with z > 0 (as `exact_match`), and perplexity.

        The perplexity is that of the better answers.
        """
        import torch
        from torch.nn import functional

        z = self.margins(task, task.adapter, examples)
        losses = -functional.logsigmoid(z)
        tokens = sum(pair.learnt_tokens for pair in examples)
        nats = -float(task.model.log_probabilities(task.adapter, examples).sum()) / tokens

        def score(label: str | None) -> DomainScore:
            chosen = torch.tensor([label is None or pair.label == label for pair in examples])
            right = float((z[chosen] > 0).double().mean())
            return DomainScore(float(losses[chosen].mean()), right, int(chosen.sum()))

        total = score(None)
        domains = {label: score(label) for label in sorted({pair.label for pair in examples})}
        perplexity = math.exp(min(nats, 700.0))
        return Evaluation(total.loss, perplexity, total.exact_match, domains)


DPO = DirectPreference()
