"""What an engine returns: the updates of one round."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from airtune.learning.results import ClientState


@dataclass(frozen=True)
class RoundUpdates:
    """The updates of one round, of the clients whose update is finite.

    Attributes
    ----------
    updates : ndarray, float32, shape (S, d)
    clients : ndarray, int, shape (S,)
        Their indices.
    dropped : tuple of int
        Clients whose update held a NaN or an infinity.
    loss : float or None
        Mean training loss of the S clients.
    states : dict of int to dict of str to ndarray
        New states of those of the S clients that have one; see
        :class:`airtune.learning.objectives.base.ClientObjective`.
    """

    updates: NDArray[np.float32]
    clients: NDArray[np.int64]
    dropped: tuple[int, ...]
    loss: float | None
    states: dict[int, ClientState] = field(default_factory=dict)
