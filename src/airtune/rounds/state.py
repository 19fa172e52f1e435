"""All that changes from round to round."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airtune import record
from airtune.costs import Components
from airtune.learning.results import ClientState
from airtune.learning.server import OptimizerState, restore
from airtune.planning.replan import Spent
from airtune.rounds.fault_state import FaultState
from airtune.scenario import Budget
from airtune.schemes import Memory

_STATE_ARRAYS = (
    "adapter",
    "positions",
    "effective_weights",
    "scaled_weights",
    "average_rates",
    "participation",
    "client_energy_j",
)
_RESTING = "resting."


@dataclass
class Resting:
    """What a part of the payload keeps while another part has its turn; see :class:`State`."""

    optimizer_state: OptimizerState
    memory: Memory = field(default_factory=dict)
    accepted_norms: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def arrays(self) -> record.Arrays:
        """Return the arrays of a checkpoint."""
        arrays = {f"optimizer.{key}": value for key, value in self.optimizer_state.items()}
        arrays |= {f"memory.{client}": row for client, row in self.memory.items()}
        if len(self.accepted_norms):
            arrays["accepted_norms"] = self.accepted_norms
        return arrays

    @classmethod
    def of(cls, arrays: record.Arrays, fresh: OptimizerState) -> Resting:
        """Return what a checkpoint holds; `fresh` is what the optimiser starts with."""

        def below(prefix: str) -> record.Arrays:
            return {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}

        return cls(
            restore(fresh, below("optimizer.")),
            {int(client): row for client, row in below("memory.").items()},
            arrays.get("accepted_norms", np.zeros(0)),
        )


@dataclass
class State:
    """All that changes from round to round; enough to resume bit for bit.

    `effective_weights` are nu_k of the last round, 0 for who was silent; `scaled_weights` are
    omega_k times each client's last reported relative scale, the nu_k of a round with everybody.
    `optimizer_state` belongs to the server optimiser, `client_states` to the client objective: only
    clients that took part and remember something are in it.  `faults` is what faults leave behind.
    `move_s` is the time of all movements [s], also of what was beside computing; `placed_error` the
    expected error when the antennas were placed for many blocks.
    `clients_copy` is the adapter that the clients have, where the broadcast is rounded.
    `control` is the server's control variate, empty where no objective hears one.

    `base` is the change of the frozen weights and `heard` the number of clients in the part of it
    that has yet to be broadcast, empty and 0 where there is none (:mod:`airtune.learning.exact`).

    `optimizer_state`, `memory` (of the air interface) and `accepted_norms` are those of the part of
    the payload that has its turn, `part`; the others are in `resting` (`aggregation.payload`).
    """

    adapter: NDArray[np.float32]
    optimizer_state: OptimizerState
    positions: NDArray[np.float64]
    effective_weights: NDArray[np.float64]
    scaled_weights: NDArray[np.float64]
    average_rates: NDArray[np.float64]
    participation: NDArray[np.int64]
    client_energy_j: NDArray[np.float64]
    memory: Memory = field(default_factory=dict)
    client_states: dict[int, ClientState] = field(default_factory=dict)
    faults: FaultState = field(default_factory=FaultState)
    accepted_norms: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    control: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    base: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    heard: int = 0
    round: int = 0
    latency_s: Components = field(default_factory=Components)
    energy_j: Components = field(default_factory=Components)
    move_s: float = 0.0
    placed_error: float | None = None
    clients_copy: NDArray[np.float32] | None = None
    part: str = ""
    resting: dict[str, Resting] = field(default_factory=dict)

    @property
    def model(self) -> NDArray[np.float32]:
        """The adapter, followed by the change of the frozen weights if there is one."""
        return np.concatenate([self.adapter, self.base]) if len(self.base) else self.adapter

    def turn_to(self, part: str) -> None:
        """Let a part of the payload have its turn; the one before rests."""
        if part != self.part:
            self.resting[self.part] = self._turn()
            self.part = part
            self._take(self.resting.pop(part))

    def _turn(self) -> Resting:
        return Resting(self.optimizer_state, self.memory, self.accepted_norms)

    def _take(self, turn: Resting) -> None:
        self.optimizer_state = turn.optimizer_state
        self.memory, self.accepted_norms = turn.memory, turn.accepted_norms

    def arrays(self) -> record.Arrays:
        """Return the arrays of a checkpoint."""
        arrays = self._turn().arrays()
        arrays |= {name: getattr(self, name) for name in _STATE_ARRAYS}
        for part, turn in self.resting.items():
            arrays |= {f"{_RESTING}{part}.{name}": a for name, a in turn.arrays().items()}
        for client, state in self.client_states.items():
            arrays |= {f"client.{client}.{name}": value for name, value in state.items()}
        if len(self.control):
            arrays["control"] = self.control
        if len(self.base):
            arrays |= {"base": self.base, "heard": np.array([self.heard], np.int64)}
        if self.clients_copy is not None:
            arrays["clients_copy"] = self.clients_copy
        return arrays | self.faults.arrays()

    def load(self, round_index: int, arrays: record.Arrays, state: dict[str, Any]) -> None:
        """Go on from a checkpoint.

        Raises
        ------
        InputError
            It is of another server optimiser.
        ValueError, KeyError, TypeError
            It is not of this run.
        """
        self._load_turns(arrays)
        for name in _STATE_ARRAYS:
            fresh, saved = getattr(self, name), arrays[name]
            if fresh.dtype != saved.dtype or (name != "positions" and fresh.shape != saved.shape):
                raise ValueError(
                    f"{name} is {saved.dtype}{saved.shape}, not {fresh.dtype}{fresh.shape}"
                )
            setattr(self, name, saved)
        self.client_states = {}
        for key, value in arrays.items():
            if key.startswith("client."):
                _, client, name = key.split(".", 2)
                self.client_states.setdefault(int(client), {})[name] = value
        self.faults = FaultState.of(arrays)
        self.control = arrays.get("control", self.control)
        if len(self.base):
            self.base, self.heard = arrays["base"], int(arrays["heard"].item())
        self.clients_copy = arrays.get("clients_copy")
        self.round = round_index
        self.latency_s = Components(**state["latency_s"])
        self.energy_j = Components(**state["energy_j"])
        self.move_s = state.get("move_s", self.latency_s.movement)
        self.placed_error = state.get("placed_error")

    def _load_turns(self, arrays: record.Arrays) -> None:
        """Take what the parts of the payload keep from a checkpoint."""
        fresh = {part: turn.optimizer_state for part, turn in self.resting.items()}
        fresh[self.part] = self.optimizer_state
        saved: dict[str, record.Arrays] = {}
        for key, array in arrays.items():
            if key.startswith(_RESTING):
                part, name = key.removeprefix(_RESTING).split(".", 1)
                saved.setdefault(part, {})[name] = array
        (self.part,) = set(fresh) - set(saved)  # one has its turn
        self.resting = {part: Resting.of(kept, fresh[part]) for part, kept in saved.items()}
        self._take(Resting.of(arrays, fresh[self.part]))

    def spent(self, loss: float | None = None) -> Spent:
        """Return what has been spent so far, where the antennas are, and a loss if it is known."""
        return Spent(
            round=self.round,
            positions=self.positions,
            latency_s=self.latency_s.total,
            movement_s=self.move_s,
            energy_j=self.energy_j.total,
            client_energy_j=self.client_energy_j,
            loss=loss,
            placed_error=self.placed_error,
        )

    def summary(self, budget: Budget) -> dict[str, Any]:
        """Return what a finished cell is remembered by, in plain JSON types."""
        limits = budget.of_clients(len(self.client_energy_j))
        return {
            "rounds": self.round,
            "latency_s": self.latency_s.to_dict(),
            "energy_j": self.energy_j.to_dict(),
            "participation": self.participation.tolist(),
            "client_energy_j": self.client_energy_j.tolist(),
            "within_latency_budget": _within(self.latency_s.total, budget.latency_s),
            "within_client_energy_budget": all(map(_within, self.client_energy_j, limits)),
            "within_energy_budget": _within(self.energy_j.total, budget.energy_j),
        }


def _within(spent: float, budget: float | None) -> bool:
    return budget is None or bool(spent <= budget * (1 + 1e-9))
