"""A learner with a known answer, in the place of the language model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from airtune.engines import LocalEngine
from airtune.learning.results import (
    AdapterMatrix,
    ClientUpdate,
    DomainScore,
    Evaluation,
    PretrainingCost,
)
from airtune.learning.zeroth_order import along, asks
from airtune.planning.alternate import JointPlan
from airtune.planning.repetition import Repetition
from airtune.rounds.federated import FederatedRun
from airtune.scenario import Scenario
from airtune.streams import generator


@dataclass
class QuadraticLearner:
    """A learner with a known answer: client k minimises |theta - c_k|^2 / 2.

    The gradient is theta - c_k plus mini-batch noise; the loss of theta is
    1 + |theta - mean of c_k|^2 / (2 d).
    """

    scenario: Scenario
    seed: int = 1
    sizes: tuple[int, ...] = (40, 60, 7)
    noise: float = 0.1
    broken: dict[tuple[int, int], bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ends = np.cumsum(self.sizes)
        self.matrices = tuple(
            AdapterMatrix(f"block{i}", (size,), int(end) - size, size)
            for i, (size, end) in enumerate(zip(self.sizes, ends, strict=True))
        )
        self.size = int(ends[-1])
        clients = self.scenario.clients.count
        self.data_sizes = np.arange(10, 10 + clients)
        self.client_labels = tuple(f"domain {k}" for k in range(clients))
        self.flop_per_sample = 1e9
        self.flop_per_parameter = 4.0 * 50
        self.pretraining_cost = PretrainingCost(2e9, 100, 8, 6.0 * 50)
        self.optima = generator(self.seed, "optima").standard_normal((clients, self.size)) + 2.0
        self.optimum = self.data_sizes @ self.optima / self.data_sizes.sum()

    def under(self, scenario: Scenario) -> QuadraticLearner:
        return replace(self, scenario=scenario)

    def initial_adapter(self) -> np.ndarray:
        return np.zeros(self.size, dtype=np.float32)

    def client_update(
        self,
        adapter: np.ndarray,
        client: int,
        batch_size: int,
        seed: int,
        round_index: int,
    ) -> ClientUpdate:
        random = generator(seed, "batch", round_index, client)
        gradient = adapter - self.optima[client]
        gradient = gradient + self.noise / np.sqrt(batch_size) * random.standard_normal(self.size)
        finite = np.isfinite(gradient).all() and not self.broken.get((round_index, client), False)
        update = (gradient if finite else np.zeros(self.size)).astype(np.float32)
        return ClientUpdate(update, float(gradient @ gradient) / 2, 10 * batch_size, bool(finite))

    def client_updates(
        self,
        adapter: np.ndarray,
        clients: list[int],
        batch_sizes: list[int],
        seed: int,
        round_index: int,
        states: dict[int, dict[str, np.ndarray]] | None = None,
    ) -> list[ClientUpdate]:
        known = states or {}
        return [
            self.differences(adapter, client, known[client], seed, round_index)
            if asks(known.get(client))
            else self.client_update(adapter, client, batch_size, seed, round_index)
            for client, batch_size in zip(clients, batch_sizes, strict=True)
        ]

    def differences(
        self,
        adapter: np.ndarray,
        client: int,
        state: dict[str, np.ndarray],
        seed: int,
        round_index: int,
    ) -> ClientUpdate:
        """Return differences of the client's loss, without noise, as they are asked for."""
        broken = self.broken.get((round_index, client), False)

        def loss(flat: object) -> float:
            away = np.asarray(flat, np.float64) - self.optima[client]
            return float("nan") if broken else float(away @ away) / 2

        return along(
            loss,
            adapter,
            self.matrices,
            state,
            seed=seed,
            round_index=round_index,
            clip_norm=self.scenario.training.clip_norm,
        )

    def evaluate(self, adapter: np.ndarray) -> Evaluation:
        loss = 1.0 + float(np.sum((adapter - self.optimum) ** 2)) / (2 * self.size)
        score = DomainScore(loss, 0.5, 10)
        return Evaluation(loss, float(np.exp(min(loss, 700.0))), 0.5, {"domain 0": score})

    def samples(self, adapter: np.ndarray, count: int) -> list[dict[str, str]]:
        return [
            {"prompt": "<p>", "reference": "r", "answer": f"{adapter[0]:.6f}", "domain": "domain 0"}
        ]

    def holdings(self) -> dict[str, list[object]]:
        return {"labels": ["domain 0"], "counts": [[int(size)] for size in self.data_sizes]}

    def save_adapter(self, adapter: np.ndarray, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "adapter.npy", adapter)


def run_with(
    scenario: Scenario,
    scheme: str,
    seed: int,
    learner: QuadraticLearner,
    plan: JointPlan | None = None,
) -> FederatedRun:
    """Return the run of a scheme on a learner at hand."""
    engine = LocalEngine.over(learner)  # type: ignore[arg-type]
    repetition = Repetition(scenario, seed, learner)  # type: ignore[arg-type]
    return FederatedRun(repetition, scheme, engine, plan)
