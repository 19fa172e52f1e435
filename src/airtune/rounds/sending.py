"""What a round sends of the updates, and the step that the server makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from airtune.engines import RoundUpdates
from airtune.kinds import Integer
from airtune.learning.exact import ExactAggregation, Stacked
from airtune.learning.objectives.base import CONTROL
from airtune.learning.own_factors import OWN
from airtune.learning.payload import Payload, SeededDirections
from airtune.learning.payload.shared_a import SharedA
from airtune.learning.product_bias import product_bias
from airtune.learning.results import ClientState, Vector
from airtune.learning.server import OptimizerState, ServerOptimizer, finite_step
from airtune.learning.zeroth_order import PROBES, asked
from airtune.planning.payload_choice import check_chosen
from airtune.planning.repetition import Repetition
from airtune.registry import CLIENT_OBJECTIVES
from airtune.rounds.state import Resting, State
from airtune.scenario import Training
from airtune.schemes import AirInterface, Reception


@dataclass(frozen=True)
class Sending:
    """The payload of a run between the clients' updates and the server's step.

    Attributes
    ----------
    payload : Payload
    booking : callable
        Returns an air interface as it books a part of the payload.
    optimizer : ServerOptimizer
    training : Training
        Of the scheme, with the learning rate of the payload.
    asked : dict of str to ndarray
        What clients are asked for each round besides, put into their states.
    exact : ExactAggregation or None
        What takes the place of the server's step on the mean.
    """

    payload: Payload
    booking: Callable[[AirInterface, str], AirInterface]
    optimizer: ServerOptimizer
    training: Training
    asked: ClientState = field(default_factory=dict)
    exact: ExactAggregation | None = None

    @property
    def own_entries(self) -> Integer | None:
        """Entries of the adapter that stay with the clients; None: all are shared."""
        return self.payload.kept if isinstance(self.payload, SharedA) else None

    @property
    def hears_control(self) -> bool:
        """Whether clients hear a control variate of the server."""
        objective = CLIENT_OBJECTIVES[self.training.client_objective]
        return bool(getattr(objective, "hears_control", False))

    @classmethod
    def of(
        cls,
        repetition: Repetition,
        optimizer: ServerOptimizer,
        training: Training,
        exact: ExactAggregation | None = None,
    ) -> Sending:
        """Return what a run needs; `training` is that of the scheme."""
        check_chosen(repetition.scenario)
        payload, step = repetition.payload, repetition.scenario.aggregation.payload_step
        rate = training.learning_rate * (payload.step if step is None else step)
        training = training.model_copy(update={"learning_rate": rate})
        asks = {}
        if isinstance(payload, SeededDirections):
            asks = asked(payload.count, repetition.scenario.zeroth_order.distance)
        return cls(payload, repetition.booking, optimizer, training, asks, exact)

    def turns(self, adapter: Vector) -> dict[str, Resting]:
        """Return what each part of the payload starts with."""
        return {
            part: Resting(self.optimizer.init(_of(adapter, entries), self.training))
            for part, entries in self.payload.parts.items()
        }

    def first_control(self, adapter: Vector) -> Vector:
        """Return the control variate before the first round, empty where nobody hears it."""
        return np.zeros_like(adapter) if self.hears_control else np.zeros(0, np.float32)

    def first_base(self) -> Vector:
        """Return the change of the frozen weights before the first round, empty without one."""
        return np.zeros(0 if self.exact is None else self.exact.size, np.float32)

    def coded(self, computed: RoundUpdates, index: int) -> RoundUpdates:
        """Return updates as what is sent of them; those that stay with clients are so already.

        Numbers that are sums of entries may be too large where these are not: their client is
        dropped.
        """
        if computed.held is not None:
            return computed
        with np.errstate(over="ignore", invalid="ignore"):
            rows = self.payload.coded(computed.updates, index, self.training.clip_norm)
        return computed if rows is computed.updates else computed.sending(rows)

    def client_states(self, state: State, clients: Integer) -> Mapping[int, ClientState]:
        """Return what these clients remember, with the server's control variate if they hear it."""
        told = self.asked | ({CONTROL: state.control} if self.hears_control else {})
        known = state.client_states
        own = self.own_entries
        if own is not None:
            first = {OWN: state.adapter[own]}
            return {k: first | known.get(k, {}) for k in clients.tolist()}
        if not told:
            return known
        return {k: known.get(k, {}) | told for k in clients.tolist()}

    def kept(self, states: Mapping[int, ClientState]) -> dict[int, ClientState]:
        """Return new states of clients without what the server puts there each round."""
        return {
            client: {name: array for name, array in own.items() if name not in (CONTROL, PROBES)}
            for client, own in states.items()
        }

    def follow(self, state: State, mean: NDArray[np.float64], heard: float, index: int) -> None:
        """Move the server's control variate towards the decoded mean over H.

        Parameters
        ----------
        state : State
        mean : ndarray, float, shape (n,)
            As decoded.
        heard : float
            Weight of the clients in it among all.
        index : int
            Round.
        """
        if self.hears_control:
            update, moved = np.zeros(len(state.control)), self.payload.entries(index)
            update[slice(None) if moved is None else moved] = self.payload.decoded(mean, index)
            step = update / self.training.local_steps - state.control
            state.control = (state.control + heard * step).astype(np.float32)

    def memory(
        self, state: State, air: AirInterface, index: int
    ) -> Mapping[int, NDArray[np.float64]]:
        """Return what the interface remembers of clients, as a round can use it."""
        if self.forgets:
            return {}
        if not air.remembers_entries:
            return state.memory
        rows = {k: self.payload.remembered(row, index) for k, row in state.memory.items()}
        return {client: row for client, row in rows.items() if row is not None}

    def memorise(self, state: State, air: AirInterface, received: Reception, index: int) -> None:
        """Keep what the interface has to remember after a round."""
        memory = {} if self.forgets else received.memory
        if air.remembers_entries:
            rows = {
                k: self.payload.memorised(row, state.memory.get(k), index)
                for k, row in memory.items()
            }
            memory = {client: row for client, row in rows.items() if row is not None}
        state.memory |= memory

    @property
    def forgets(self) -> bool:
        """Whether clients begin each round with new factors, so that no memory is of use."""
        return isinstance(self.exact, Stacked)

    def step(self, state: State, received: Reception, training: Training, index: int) -> bool:
        """Take the server's step; False, and the adapter stays, if it is not finite."""
        if self.exact is not None:
            return self._aggregate(self.exact, state, received, index)
        moved = self.payload.entries(index)
        update = self.payload.decoded(received.mean, index)
        before, part = state.optimizer_state, self.payload.parts[state.part]
        # Entries of the part that this round leaves alone keep their moments.
        within = None if moved is part or moved is None else moved
        after = finite_step(
            self.optimizer,
            _of(state.adapter, moved),
            update,
            _rows(before, within, state),
            training,
        )
        if after is None:
            return False
        adapter, state.optimizer_state = after
        if within is not None:
            state.optimizer_state = _put(before, state.optimizer_state, within, state)
        state.adapter = adapter if moved is None else _with(state.adapter, moved, adapter)
        return True

    def _aggregate(
        self, exact: ExactAggregation, state: State, received: Reception, index: int
    ) -> bool:
        """Aggregate the adapters that the clients have come to, as decoded."""
        rows, weights = received.rows, received.row_weights
        if rows is None or weights is None:
            raise TypeError("an interface with digital.aggregation decodes every client's update")
        with np.errstate(over="ignore", invalid="ignore"):
            reached = state.adapter - self.training.local_learning_rate * rows
            adapter, base = exact.aggregated(state.adapter, state.base, reached, weights, index)
        if not (np.isfinite(adapter).all() and np.isfinite(base).all()):
            return False
        state.adapter, state.base, state.heard = adapter, base, len(rows)
        return True

    def product_bias(
        self, adapter: Vector, sent: RoundUpdates, weights: NDArray[np.float64], index: int
    ) -> float | None:
        """Return the bias of averaging A and B apart; None for one local step, which has none.

        None, too, where only A is averaged or the updates stay with the clients, and 0 where
        products are aggregated exactly.
        """
        training = self.training
        if training.local_steps == 1 or not len(sent.clients) or self.own_entries is not None:
            return None
        if sent.held is not None:
            return None
        if self.exact is not None:
            return 0.0
        updates = self.payload.spread(sent.updates, index).astype(np.float64)
        changes = -training.local_learning_rate * updates
        return product_bias(adapter, changes, weights / weights.sum(), self.payload.matrices)


def _of(adapter: Vector, entries: Integer | None) -> Vector:
    return adapter if entries is None else adapter[entries]


def _with(adapter: Vector, entries: Integer, values: Vector) -> Vector:
    after = adapter.copy()
    after[entries] = values
    return after


def _rows(before: OptimizerState, entries: Integer | None, state: State) -> OptimizerState:
    """Return a state of the optimiser for some entries: arrays of the adapter's length are cut."""
    if entries is None:
        return before
    length = state.adapter.shape
    return {name: a[entries] if a.shape == length else a for name, a in before.items()}


def _put(
    before: OptimizerState, after: OptimizerState, entries: Integer, state: State
) -> OptimizerState:
    """Return a state with the arrays of some entries put back among those at rest."""
    length, whole = state.adapter.shape, dict(after)
    for name, array in before.items():
        if array.shape == length:
            whole[name] = array.copy()
            whole[name][entries] = after[name]
    return whole
