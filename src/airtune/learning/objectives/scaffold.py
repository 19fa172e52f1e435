"""SCAFFOLD: local gradients corrected by control variates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from airtune.learning.objectives.base import CONTROL, LocalTask
from airtune.learning.objectives.sft import SupervisedFineTuning
from airtune.learning.results import ClientState

if TYPE_CHECKING:
    import torch

    from airtune.learning.text import Example


class ControlVariates(SupervisedFineTuning):
    """Local steps along ``g - c_k + c`` [1]_: the drift of clients with unlike data cancels.

    c_k is the mean of the client's gradients in the local steps of the last round in which it took
    part (option II of [1]_, whose ``c_k - c + (x - y) / (H eta_l)`` is just this mean), c the
    server's mean of them.  Nothing is sent for it: what the server needs, the mean of ``c_k``, is
    the mean of the updates over H, which it decodes anyway; so a sum over the air carries it, with
    the air's error.  The broadcast holds c beside the adapter, which doubles it.

    References
    ----------
    .. [1] S. P. Karimireddy, S. Kale, M. Mohri, S. Reddi, S. Stich, A. T. Suresh, "SCAFFOLD:
       stochastic controlled averaging for federated learning", ICML 2020.
    """

    hears_control = True
    forward_only = False

    def init(self, task: LocalTask) -> ClientState:
        """Return no gradients."""
        return {"sum": np.zeros(len(task.adapter), np.float32)}

    def start(self, task: LocalTask, state: ClientState) -> ClientState:
        """Return the two control variates of the round, and the gradients of its steps: none yet.

        The c_k of a client that takes part for the first time is 0.
        """
        nothing = np.zeros(len(task.adapter), np.float32)
        return {
            "own": state.get("sum", nothing) / np.float32(task.settings.local_steps),
            CONTROL: state.get(CONTROL, nothing),
            "sum": nothing,
        }

    def step(
        self, task: LocalTask, flat: torch.Tensor, examples: Sequence[Example], state: ClientState
    ) -> tuple[float, torch.Tensor, ClientState]:
        """See :meth:`ClientObjective.step`."""
        import torch

        loss, gradient, _ = super().step(task, flat, examples, state)
        after = state | {"sum": state["sum"] + gradient.numpy()}
        gradient.add_(torch.from_numpy(state[CONTROL] - state["own"]))
        return loss, gradient, after


SCAFFOLD = ControlVariates()
