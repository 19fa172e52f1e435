"""An engine around another one: it passes on what it does not change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from airtune.engines.base import Engine, RoundUpdates

if TYPE_CHECKING:
    from airtune.engines.base import Progress
    from airtune.learning.results import ClientState, Evaluation
    from airtune.learning.sizes import Sizes
    from airtune.scenario import Scenario


@dataclass
class WrappedEngine(Engine):
    """Asks another engine for everything.

    Attributes
    ----------
    engine : Engine
    """

    engine: Engine

    def start(self, scenario: Scenario, seed: int, progress: Progress | None = None) -> Sizes:
        return self.engine.start(scenario, seed, progress)

    def initial_adapter(self) -> NDArray[np.float32]:
        return self.engine.initial_adapter()

    def updates(
        self,
        adapter: NDArray[np.float32],
        clients: NDArray[np.int64],
        batch_sizes: NDArray[np.int64],
        seed: int,
        round_index: int,
        states: Mapping[int, ClientState] | None = None,
    ) -> RoundUpdates:
        return self.engine.updates(adapter, clients, batch_sizes, seed, round_index, states)

    def check_round(self, computed: RoundUpdates, selected: NDArray[np.int64]) -> None:
        self.engine.check_round(computed, selected)

    def evaluate(self, adapter: NDArray[np.float32]) -> Evaluation:
        return self.engine.evaluate(adapter)

    def samples(self, adapter: NDArray[np.float32], count: int) -> list[dict[str, str]]:
        return self.engine.samples(adapter, count)

    def holdings(self) -> dict[str, list[Any]]:
        return self.engine.holdings()

    def left_out(self) -> dict[str, Any]:
        return self.engine.left_out()

    def inputs(self) -> dict[str, Any]:
        return self.engine.inputs()

    def save(self, adapter: NDArray[np.float32], folder: Path) -> None:
        self.engine.save(adapter, folder)

    def close(self) -> None:
        self.engine.close()
