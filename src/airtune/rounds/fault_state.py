"""What faults leave behind from round to round: who is behind, and where the antennas stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airtune.kinds import Integer, Mask
from airtune.radio.drives import Carriages

Adapter = NDArray[np.float32]
PREFIX = "faults."


@dataclass(frozen=True)
class FaultState:
    """What has to be known of earlier rounds; nothing where the faults are off.

    Attributes
    ----------
    received : ndarray, int, shape (K,), or None
        Round of the last broadcast that each client received; None: nobody misses one.
    adapters : mapping of int to ndarray, float32, shape (d,)
        What was broadcast in the rounds that somebody has received last: one array for all clients
        of the same round, however many there are.
    carriages : Carriages or None
        Where the antennas stand; None: where they were sent.
    """

    received: Integer | None = None
    adapters: Mapping[int, Adapter] = field(default_factory=dict)
    carriages: Carriages | None = None

    def after_broadcast(
        self, round_index: int, adapter: Adapter, missed: Mask | None
    ) -> FaultState:
        """Return the state after the broadcast of a round.

        Parameters
        ----------
        round_index : int
        adapter : ndarray, float32, shape (d,)
            What was broadcast.
        missed : ndarray, bool, shape (K,), or None
            Who did not receive it; None: that never happens.
        """
        if missed is None:
            return self
        before = np.zeros(len(missed), np.int64) if self.received is None else self.received
        adapters = {**self.adapters, round_index: adapter}
        if self.received is None:
            adapters[0] = adapter  # all know the adapter that the run begins with
        received = np.where(missed, before, round_index)
        kept = set(np.unique(received).tolist())
        return replace(
            self, received=received, adapters={t: a for t, a in adapters.items() if t in kept}
        )

    def stale(self, round_index: int, clients: Integer) -> dict[int, Adapter]:
        """Return the adapters of those of some clients that missed the broadcast of a round."""
        if self.received is None:
            return {}
        return {
            int(k): self.adapters[int(self.received[k])]
            for k in clients
            if self.received[k] < round_index
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of a checkpoint."""
        arrays: dict[str, NDArray[Any]] = {}
        if self.received is not None:
            arrays["received"] = self.received
        if self.carriages is not None:
            arrays |= {"driven": self.carriages.driven, "actual": self.carriages.actual}
        arrays |= {f"adapter.{index}": adapter for index, adapter in self.adapters.items()}
        return {f"{PREFIX}{name}": array for name, array in arrays.items()}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> FaultState:
        """Return the state of a checkpoint."""
        own = {n.removeprefix(PREFIX): a for n, a in arrays.items() if n.startswith(PREFIX)}
        return cls(
            received=own.get("received"),
            adapters={
                int(name.removeprefix("adapter.")): array
                for name, array in own.items()
                if name.startswith("adapter.")
            },
            carriages=Carriages(own["driven"], own["actual"]) if "driven" in own else None,
        )
