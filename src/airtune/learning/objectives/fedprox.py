"""FedProx: the cross-entropy with a pull towards the global adapter of the round."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from airtune.learning.objectives.base import LocalTask
from airtune.learning.objectives.sft import SupervisedFineTuning
from airtune.learning.results import ClientState

if TYPE_CHECKING:
    import torch

    from airtune.learning.text import Example


class Proximal(SupervisedFineTuning):
    """Cross-entropy plus mu / 2 times the squared distance from the global adapter [1]_.

    mu is `training.proximal`.  It holds back local steps, so that clients with unlike data drift
    less; in the first local step of a round it is 0.

    References
    ----------
    .. [1] T. Li, A. K. Sahu, M. Zaheer, M. Sanjabi, A. Talwalkar, V. Smith, "Federated optimization
       in heterogeneous networks", MLSys 2020.
    """

    def step(
        self, task: LocalTask, flat: torch.Tensor, examples: Sequence[Example], state: ClientState
    ) -> tuple[float, torch.Tensor, ClientState]:
        """See :meth:`ClientObjective.step`."""
        loss, gradient, state = super().step(task, flat, examples, state)
        away, pull = flat - task.adapter, task.settings.proximal
        loss += 0.5 * pull * float(away.double() @ away.double())
        return loss, gradient.add_(away, alpha=pull), state


FEDPROX = Proximal()
