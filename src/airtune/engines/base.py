"""What an engine is: the place where client updates are computed.

An engine holds the model and the clients' data; the rounds never see them.  It is built by a study
or a command, handed to :class:`airtune.rounds.federated.FederatedRun`, and found by name in
:data:`airtune.registry.ENGINES`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from airtune.learning.results import ClientState, Evaluation
    from airtune.learning.sizes import Sizes
    from airtune.radio.held import HeldUpdates
    from airtune.scenario import Scenario

Progress = Callable[[str, float], None]
"""Called with a text and the fraction done, in [0, 1]."""


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
    losses : dict of int to float
        Training loss of each of the S clients by its index; an engine may leave it empty.
    missing : tuple of int
        Clients that have not answered, such as those of a machine that is gone.
    held : HeldUpdates or None
        Where the updates stay with the clients and only a sum of them is to be had; `updates` has
        no columns then.
    """

    updates: NDArray[np.float32]
    clients: NDArray[np.int64]
    dropped: tuple[int, ...]
    loss: float | None
    states: dict[int, ClientState] = field(default_factory=dict)
    losses: dict[int, float] = field(default_factory=dict)
    missing: tuple[int, ...] = ()
    held: HeldUpdates | None = None

    @property
    def nothing(self) -> bool:
        """Whether no client has anything but zeros to send."""
        return self.held.silent if self.held is not None else not np.any(self.updates)

    def of(self, kept: NDArray[np.bool_]) -> RoundUpdates:
        """Return the updates of some of the S clients; what else is known stays."""
        held = None if self.held is None else self.held.of(kept)
        return replace(self, updates=self.updates[kept], clients=self.clients[kept], held=held)

    def sending(self, updates: NDArray[np.float32]) -> RoundUpdates:
        """Return the same with what the S clients send in the place of their updates.

        A client that would send a NaN or an infinity is dropped.
        """
        sent, finite = replace(self, updates=updates), np.asarray(np.isfinite(updates).all(axis=1))
        if finite.all():
            return sent
        lost = self.clients[~finite].tolist()
        return replace(
            sent.of(finite),
            dropped=tuple(sorted((*self.dropped, *lost))),
            states={k: state for k, state in self.states.items() if k not in lost},
        )


class Engine(ABC):
    """Computes client updates, evaluates adapters and writes them; the contract of all engines.

    An entry of :data:`airtune.registry.ENGINES` is called as ``entry(prepare)``; `prepare` makes a
    :class:`airtune.learning.learner.Learner` in this process or returns a shared one, and an engine
    that computes elsewhere need not call it.  :meth:`start` comes first and :meth:`close` last,
    also after a :meth:`start` that failed.

    Where ``makes_sums`` is true `engine.secure` may ask for updates that stay with the clients.
    An engine that can run whole cells of a sweep elsewhere has a class method ``tasks``, as
    :class:`airtune.engines.ray_workers.RayEngine` has.

    Updates depend on the adapter, the batch sizes, the clients' states, the seed and the round
    only: an engine that gives the same float32 numbers as
    :class:`airtune.engines.local.LocalEngine` gives the same run.
    A client without a finite update is listed in `dropped`, one that does not answer in `missing`,
    and the round goes on without it; any other failure is raised, and the run stops with its last
    round saved.

    Examples
    --------
    An engine that counts the updates and leaves the work to the local one::

        class Counting(LocalEngine):
            computed = 0

            def updates(self, adapter, clients, batch_sizes, seed, round_index, states=None):
                self.computed += len(clients)
                return super().updates(
                    adapter, clients, batch_sizes, seed, round_index, states
                )

        airtune.registry.ENGINES.add("counting", Counting)
    """

    makes_sums: ClassVar[bool] = False

    @classmethod  # noqa: B027
    def check(cls, scenario: Scenario) -> None:
        """Refuse before any work what this engine cannot do; by default nothing.

        Raises
        ------
        InputError
            Names the setting, its value and what is allowed.
        """

    @classmethod
    def session(cls, scenario: Scenario) -> AbstractContextManager[Any]:
        """Return a block around all engines of a study: what they share is taken once.

        By default they share nothing.
        """
        return nullcontext()

    @abstractmethod
    def start(self, scenario: Scenario, seed: int, progress: Progress | None = None) -> Sizes:
        """Open or make model and data.

        Parameters
        ----------
        scenario : Scenario
            Its sections model, data, pretraining, training and evaluation are read, and what
            `aggregation.payload` sends (:meth:`airtune.learning.payload.Payload.entries`): local
            steps move these entries only, and updates are 0 elsewhere.  Of ``faults.poison`` the
            kind `label-noise` is read: poisoned clients then compute on the examples of
            :mod:`airtune.learning.wrong_answers`.  What clients of the other kinds send is put in
            the place of their updates by the rounds.
        seed : int
            Root of this repetition's streams: held-out records, partition, initial adapter.
        progress : callable, optional

        Returns
        -------
        Sizes
            Adapter matrices, records of each client, FLOP of a sample, cost of pre-training.

        Raises
        ------
        InputError
            Model, data or their settings cannot be used.
        """

    @abstractmethod
    def initial_adapter(self) -> NDArray[np.float32]:
        """Return the adapter to start from, shape (d,)."""

    @abstractmethod
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
            A change of the frozen weights may follow it (:mod:`airtune.learning.exact`), here and
            wherever a method takes an adapter; what it stands for is up to the learner.
        clients : ndarray, int, shape (S,)
            Selected clients.
        batch_sizes : ndarray, int, shape (K,)
            Samples of a local step, of all clients.
        seed, round_index : int
            Name the mini-batches.
        states : mapping of int to dict of str to ndarray, optional
            What clients that took part before remember, by index.
        """

    def under(self, scenario: Scenario) -> Engine | None:
        """Return an engine with another payload that uses what this one has started.

        It is for those whose processes take a share of machines for themselves, of which a second
        lot would wait for the first.  By default there is none, and another engine is started.

        Parameters
        ----------
        scenario : Scenario
            Differs from that of :meth:`start` in what `aggregation.payload` sends.

        Returns
        -------
        Engine or None
            Started, at work until this one is closed, and closed without an effect on it.
        """
        return None

    def check_round(  # noqa: B027
        self, computed: RoundUpdates, selected: NDArray[np.int64]
    ) -> None:
        """Stop a round in which too few clients have answered; by default none is stopped.

        The rounds call it once a round, when all answers are there: clients that work with older
        adapters (``faults.broadcast``) are asked by calls of :meth:`updates` of their own.

        Parameters
        ----------
        computed : RoundUpdates
            Of all calls of the round.
        selected : ndarray, int, shape (S,)

        Raises
        ------
        FailedError
            The round is not saved; a resumed run repeats it.
        """

    @abstractmethod
    def evaluate(self, adapter: NDArray[np.float32]) -> Evaluation:
        """Score an adapter, shape (d,), on the validation records."""

    @abstractmethod
    def samples(self, adapter: NDArray[np.float32], count: int) -> list[dict[str, str]]:
        """Return greedy answers to `count` validation records.

        Each has ``prompt``, ``reference``, ``answer`` and ``domain``.
        """

    @abstractmethod
    def holdings(self) -> dict[str, list[Any]]:
        """Return the ``labels`` of the records and each client's ``counts`` of them."""

    def left_out(self) -> dict[str, Any]:
        """Return which records of the data are not used, by default none.

        Returns
        -------
        dict
            ``count`` of them all, and ``records``: the first ones, each with its ``place``
            (``file:line``) and ``why`` it is left out.
        """
        return {"count": 0, "records": []}

    def inputs(self) -> dict[str, Any]:
        """Return what the updates depend on beyond the settings, by default nothing.

        A run keeps it and refuses to go on with anything else.

        Returns
        -------
        dict
            Fields of :class:`airtune.record.documents.PreparedInputs`: ``model_folder``, ``made``
            and ``model`` of the base model, the digests ``data`` and ``adapter``.
        """
        return {}

    @abstractmethod
    def save(self, adapter: NDArray[np.float32], folder: Path) -> None:
        """Write the adapter as a standard PEFT folder that names its base model."""

    def close(self) -> None:  # noqa: B027
        """Give back what :meth:`start` took, or as much as it took before it failed.

        By default there is nothing to give back.
        """
