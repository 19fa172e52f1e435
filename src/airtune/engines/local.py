"""Client updates in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from airtune.engines.base import Engine, Progress, RoundUpdates

if TYPE_CHECKING:
    from airtune.learning.learner import Learner, Prepare
    from airtune.learning.results import ClientState, ClientUpdate, Evaluation
    from airtune.learning.sizes import Sizes
    from airtune.scenario import Scenario


class LocalEngine(Engine):
    """Computes everything in this process with the resident model of a learner.

    Parameters
    ----------
    prepare : callable
        Makes the learner of a scenario and a seed, or returns one that runs share; see
        :func:`airtune.learning.learner.prepare`.
    """

    def __init__(self, prepare: Prepare) -> None:
        self._prepare = prepare
        self._learner: Learner | None = None

    @classmethod
    def over(cls, learner: Learner) -> LocalEngine:
        """Return an engine that has started already, with a learner at hand."""
        engine = cls(lambda scenario, seed, progress: learner)
        engine._learner = learner
        return engine

    @property
    def learner(self) -> Learner:
        """Model and data.

        Raises
        ------
        RuntimeError
            The engine has not been started.
        """
        if self._learner is None:
            raise RuntimeError("LocalEngine: call start first")
        return self._learner

    def start(self, scenario: Scenario, seed: int, progress: Progress | None = None) -> Sizes:
        from airtune.learning.sizes import sizes_of

        self._learner = self._prepare(scenario, seed, progress)
        return sizes_of(self._learner)

    def initial_adapter(self) -> NDArray[np.float32]:
        return self.learner.initial_adapter()

    def updates(
        self,
        adapter: NDArray[np.float32],
        clients: NDArray[np.int64],
        batch_sizes: NDArray[np.int64],
        seed: int,
        round_index: int,
        states: Mapping[int, ClientState] | None = None,
    ) -> RoundUpdates:
        results = self.learner.client_updates(
            adapter, clients.tolist(), batch_sizes[clients].tolist(), seed, round_index, states
        )
        return round_updates(results, clients, len(adapter))

    def evaluate(self, adapter: NDArray[np.float32]) -> Evaluation:
        return self.learner.evaluate(adapter)

    def samples(self, adapter: NDArray[np.float32], count: int) -> list[dict[str, str]]:
        return self.learner.samples(adapter, count)

    def holdings(self) -> dict[str, list[Any]]:
        return self.learner.holdings()

    def left_out(self) -> dict[str, Any]:
        tell = getattr(self.learner, "left_out", None)
        return super().left_out() if tell is None else tell()

    def inputs(self) -> dict[str, Any]:
        tell = getattr(self.learner, "inputs", None)
        return super().inputs() if tell is None else tell()

    def save(self, adapter: NDArray[np.float32], folder: Path) -> None:
        self.learner.save_adapter(adapter, folder)


def round_updates(
    results: Sequence[ClientUpdate], clients: NDArray[np.int64], size: int
) -> RoundUpdates:
    """Return the updates of one round in the order of its clients; those not finite are dropped.

    Parameters
    ----------
    results : sequence of ClientUpdate
        One of each of `clients`.
    clients : ndarray, int, shape (S,)
    size : int
        Entries of an update where there is none.

    Examples
    --------
    >>> from airtune.learning.results import ClientUpdate
    >>> one = ClientUpdate(np.ones(2, np.float32), 0.5, 7, finite=True, state={})
    >>> other = ClientUpdate(np.zeros(2, np.float32), float("nan"), 7, finite=False, state={})
    >>> done = round_updates([one, other], np.array([3, 8]), 2)
    >>> done.clients.tolist(), done.dropped, done.loss
    ([3], (8,), 0.5)
    """
    finite = np.array([result.finite for result in results], dtype=bool)
    usable = [result for result in results if result.finite]
    rows = np.array([result.update for result in usable], dtype=np.float32)
    entries = len(results[0].update) if results else size
    return RoundUpdates(
        updates=rows.reshape(-1, entries),
        clients=clients[finite],
        dropped=tuple(int(k) for k in clients[~finite]),
        loss=float(np.mean([result.loss for result in usable])) if usable else None,
        states={
            client: result.state
            for client, result in zip(clients.tolist(), results, strict=True)
            if result.finite and result.state
        },
        losses={
            client: float(result.loss)
            for client, result in zip(clients.tolist(), results, strict=True)
            if result.finite
        },
    )
