"""How local steps move a client's adapter (`training.client_optimizer`)."""

from __future__ import annotations

from collections.abc import Callable

import torch

from airtune.scenario.learning import Training

Step = Callable[[torch.Tensor], None]
"""Moves the adapter, in place, along a gradient."""


def local_steps(flat: torch.Tensor, settings: Training, rate: float) -> Step:
    """Return the steps of one client in one round; their state begins anew each round.

    Parameters
    ----------
    flat : Tensor, float32, shape (d,)
        The client's adapter, which each step changes in place.
    settings : Training
        `client_optimizer` and `client_weight_decay` are used.
    rate : float
        Learning rate of the local steps.

    References
    ----------
    I. Loshchilov, F. Hutter: Decoupled weight decay regularization, ICLR 2019 (AdamW, as PyTorch
    has it, with beta 0.9 and 0.999).

    Examples
    --------
    The first step of AdamW has the length of the rate, whatever the gradient's:

    >>> flat = torch.zeros(2)
    >>> step = local_steps(flat, Training(client_optimizer="adamw"), 0.5)
    >>> step(torch.tensor([100.0, -0.01]))
    >>> [round(x, 3) for x in flat.tolist()]
    [-0.5, 0.5]
    """
    if settings.client_optimizer == "sgd":
        return lambda gradient: _descend(flat, gradient, rate)
    adamw = torch.optim.AdamW(
        [flat], lr=rate, weight_decay=settings.client_weight_decay, foreach=False
    )

    def step(gradient: torch.Tensor) -> None:
        flat.grad = gradient
        adamw.step()
        flat.grad = None

    return step


def _descend(flat: torch.Tensor, gradient: torch.Tensor, rate: float) -> None:
    flat.sub_(gradient, alpha=rate)
