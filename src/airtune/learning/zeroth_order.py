"""A client's part of a round with forward passes only: differences along seeded directions.

What a client needs to know, how many directions and how far, is put into its state by the rounds
each time, as a control variate is: engines carry states to clients as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from airtune.learning.objectives.base import LocalTask
from airtune.learning.payload.zeroth_order import SeededDirections
from airtune.learning.results import AdapterMatrix, ClientState, ClientUpdate, Vector
from airtune.registry import CLIENT_OBJECTIVES
from airtune.scenario.learning import Training

if TYPE_CHECKING:
    import torch

    from airtune.learning.model import AdapterModel
    from airtune.learning.objectives.base import ClientObjective
    from airtune.learning.text import Example

PROBES = "zeroth_order"
"""Name in a client's state of n and mu, where differences are asked for in place of a gradient."""


def asked(count: int, distance: float) -> ClientState:
    """Return what a client's state holds when differences are asked for.

    Examples
    --------
    >>> asked(16, 0.001)
    {'zeroth_order': array([1.6e+01, 1.0e-03])}
    """
    return {PROBES: np.array([count, distance], np.float64)}


def asks(state: ClientState | None) -> bool:
    """Tell whether the state of a client asks for differences."""
    return state is not None and PROBES in state


def differences(
    model: AdapterModel,
    adapter: Vector,
    examples: Sequence[Example],
    settings: Training,
    *,
    batch_size: int,
    seed: int,
    round_index: int,
    client: int,
    state: ClientState | None,
) -> ClientUpdate:
    """Return the differences of a client's loss along the directions of a round.

    Parameters are those of :func:`airtune.learning.client.client_update`; `state` asks for
    differences.  The mini-batch is that of the gradient in its place.
    """
    from airtune.learning.client import choose

    objective: ClientObjective = CLIENT_OBJECTIVES[settings.client_objective]
    chosen = choose(examples, batch_size, seed, round_index, client, 0)
    task = LocalTask(model, _tensor(adapter), settings)
    return along(
        lambda flat: objective.loss(task, flat, chosen),
        adapter,
        model.matrices,
        state or {},
        seed=seed,
        round_index=round_index,
        clip_norm=settings.clip_norm,
        tokens=sum(len(example.ids) for example in chosen),
    )


def along(
    loss: Callable[[torch.Tensor], float],
    adapter: Vector,
    matrices: Sequence[AdapterMatrix],
    state: ClientState,
    *,
    seed: int,
    round_index: int,
    clip_norm: float | None,
    tokens: int = 0,
) -> ClientUpdate:
    """Return ``(F(theta + mu z_p) - F(theta)) / (mu sqrt(n))`` of all directions.

    Parameters
    ----------
    loss : callable
        Returns the loss of the client's mini-batch at an adapter, by a forward pass.
    adapter : ndarray, float32, shape (d,)
        Where the differences begin.
    matrices : sequence of AdapterMatrix
        Of the adapter.
    state : dict of str to ndarray
        With n and mu under :data:`PROBES`.
    seed, round_index : int
        Name the directions.
    clip_norm : float or None
        Largest norm of what is sent.
    tokens : int
        Of the mini-batch.

    Returns
    -------
    ClientUpdate
        A row of d entries, the n numbers first.  With zeros and ``finite=False`` if a NaN or an
        infinity came up.

    Examples
    --------
    The slope of a straight line along two directions, a third entry away:

    >>> matrix = AdapterMatrix("q.lora_A", (1, 3), 0, 3)
    >>> start = np.zeros(3, np.float32)
    >>> found = along(
    ...     lambda flat: float(flat[0]), start, [matrix], asked(2, 0.5),
    ...     seed=1, round_index=1, clip_norm=None,
    ... )
    >>> z = [z[0] for z in SeededDirections((matrix,), 1, 2).directions(1)]
    >>> bool(np.allclose(found.update, [*(np.array(z) / np.sqrt(2)), 0.0]))
    True
    """
    import torch

    count, distance = int(state[PROBES][0]), float(state[PROBES][1])
    kept = {name: array for name, array in state.items() if name != PROBES}
    payload = SeededDirections(tuple(matrices), seed, count)
    here = _tensor(adapter)
    start, row = loss(here), np.zeros(len(adapter))
    for number, direction in enumerate(payload.directions(round_index)):
        moved = here + distance * torch.from_numpy(direction)
        row[number] = (loss(moved) - start) / distance
    row /= np.sqrt(count)
    norm = float(np.linalg.norm(row))
    finite = bool(np.isfinite(norm) and np.isfinite(start))
    if finite and clip_norm is not None and norm > clip_norm:
        row *= clip_norm / norm
    with np.errstate(over="ignore"):
        update = row.astype(np.float32)
    finite = finite and bool(np.isfinite(update).all())
    return ClientUpdate(
        update if finite else np.zeros_like(update), start, (count + 1) * tokens, finite, kept
    )


def _tensor(adapter: Vector) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.array(adapter, np.float32))
