"""Client updates in this process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from airtune.learning.learner import Learner
    from airtune.learning.results import ClientState
from airtune.engines.base import RoundUpdates


@dataclass(frozen=True)
class LocalEngine:
    """Computes the updates in this process with the learner's resident model.

    Attributes
    ----------
    learner : Learner
    """

    learner: Learner

    def updates(
        self,
        adapter: NDArray[np.float32],
        clients: NDArray[np.int64],
        batch_sizes: NDArray[np.int64],
        seed: int,
        round_index: int,
        states: Mapping[int, ClientState] | None = None,
    ) -> RoundUpdates:
        """Return the updates of the selected clients.

        Parameters
        ----------
        adapter : ndarray, float32, shape (d,)
        clients : ndarray, int, shape (S,)
            Selected clients.
        batch_sizes : ndarray, int, shape (K,)
            Of all clients.
        seed, round_index : int
            Name the mini-batches.
        states : mapping of int to dict of str to ndarray, optional
            States of the clients that took part before, by index.
        """
        results = self.learner.client_updates(
            adapter, clients.tolist(), batch_sizes[clients].tolist(), seed, round_index, states
        )
        finite = np.array([result.finite for result in results], dtype=bool)
        kept = [result for result in results if result.finite]
        return RoundUpdates(
            updates=np.array([r.update for r in kept], dtype=np.float32).reshape(-1, len(adapter)),
            clients=clients[finite],
            dropped=tuple(int(k) for k in clients[~finite]),
            loss=float(np.mean([result.loss for result in kept])) if kept else None,
            states={
                client: result.state
                for client, result in zip(clients.tolist(), results, strict=True)
                if result.finite and result.state
            },
        )
