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

UNDECIDED = 1e-3
"""Log-probabilities [nat] that differ by less than this do so by rounding."""


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
        """Return mean loss and preference accuracy, the share of pairs with z > 0.

        A pair on which the model is as at the start counts half: there z is 0 but for rounding.
        There is no perplexity: the loss is not the cross-entropy of text.
        """
        import torch
        from torch.nn import functional

        z = self.margins(task, task.adapter, examples)
        losses = -functional.logsigmoid(z)
        undecided = z.abs() <= UNDECIDED * task.settings.beta
        preferred = torch.where(undecided, 0.5, (z > 0).double())

        def score(label: str | None) -> DomainScore:
            chosen = torch.tensor([label is None or pair.label == label for pair in examples])
            right = float(preferred[chosen].mean())
            return DomainScore(float(losses[chosen].mean()), None, int(chosen.sum()), right)

        total = score(None)
        domains = {label: score(label) for label in sorted({pair.label for pair in examples})}
        return Evaluation(
            total.loss, None, None, domains, preference_accuracy=total.preference_accuracy
        )


DPO = DirectPreference()
