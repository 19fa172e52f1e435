"""Supervised fine-tuning: the cross-entropy of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from airtune.learning.objectives.base import ClientObjective, LocalTask
from airtune.learning.results import ClientState, Evaluation

if TYPE_CHECKING:
    import torch

    from airtune.learning.text import Example
    from airtune.learning.workers import Workers


class SupervisedFineTuning(ClientObjective):
    """Mean over samples of each sample's mean cross-entropy over its response tokens."""

    single_pass = True
    maps_batches = True
    forward_only = True

    def step(
        self, task: LocalTask, flat: torch.Tensor, examples: Sequence[Example], state: ClientState
    ) -> tuple[float, torch.Tensor, ClientState]:
        """See :meth:`ClientObjective.step`."""
        loss, gradient = task.model.gradient_at(flat, examples, task.random)
        return loss, gradient, state

    def loss(self, task: LocalTask, flat: torch.Tensor, examples: Sequence[Example]) -> float:
        """See :meth:`ClientObjective.loss`."""
        import torch

        lengths = torch.tensor([example.learnt_tokens for example in examples])
        return float((-task.model.log_probabilities(flat, examples) / lengths).mean())

    def evaluate(
        self, task: LocalTask, examples: Sequence[Example], batch_size: int, workers: Workers
    ) -> Evaluation:
        """Return cross-entropy per response token, perplexity and exact match."""
        from airtune.learning.evaluate import evaluate

        return evaluate(task.model, examples, batch_size, workers)


SFT = SupervisedFineTuning()
