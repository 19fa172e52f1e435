"""What is booked of rounds with faults: nothing that did not happen, in every seed alike."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airtune.learning.results import ClientUpdate
from airtune.rounds import cell_io
from airtune.scenario import Scenario
from airtune.study import histories, outcomes
from quadratic import QuadraticLearner, run_with
from rounds.test_federated import cell_of, execute, with_settings


def figures_of(scenario: Scenario, scheme: str, seed: int, folder: Path) -> Any:
    learner = QuadraticLearner(scenario, seed)
    run, cell = run_with(scenario, scheme, seed, learner), cell_of(folder / str(seed), scheme)
    cell_io.execute(run, cell, lambda line: None)
    cell_io.finish(run, cell, learner.samples(learner.initial_adapter(), 1))
    return outcomes.cell_figures(histories.read_cell(cell), {})


@pytest.mark.parametrize("scheme", ["ideal", "digital", "obda", "movable"])
def test_seeds_with_and_without_an_empty_round_have_one_result(
    small_scenario: Scenario, tmp_path: Path, scheme: str
) -> None:
    scenario = with_settings(small_scenario, faults__dropout={"share": 0.6}, training__rounds=4)
    cells = {seed: figures_of(scenario, scheme, seed, tmp_path) for seed in (1, 2)}
    rounds = {
        seed: histories.read_cell(cell_of(tmp_path / str(seed), scheme)).rounds[1:]
        for seed in cells
    }
    assert any(not line.clients for lines in rounds.values() for line in lines)
    biases = [line.faults["squared_bias"] for lines in rounds.values() for line in lines]
    if scheme == "movable":
        assert all(bias is not None for bias in biases)
    else:
        assert biases == [None] * 8
    one, other = (
        outcomes.over_cells({i: cells[seed] for i, seed in enumerate(order)})
        for order in ((1, 2), (2, 1))
    )
    assert one["faults"] == other["faults"]
    assert ("squared_bias" in one["faults"]) == (scheme == "movable")


def test_a_figure_that_one_seed_lacks_is_that_of_the_others() -> None:
    merged = outcomes.over_seeds([{"faults": {"cut": 1}}, {"faults": {"cut": 3, "bias": 0.5}}])
    assert merged["faults"]["cut"]["median"] == 2.0
    assert merged["faults"]["bias"] == {"median": 0.5, "p10": 0.5, "p90": 0.5}


@dataclass
class Remembering(QuadraticLearner):
    """Clients that remember the last round in which they did all their work."""

    heard: list[dict[int, float]] = field(default_factory=list)

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
        self.heard.append({k: float(known[k]["round"]) for k in clients if k in known})
        made = super().client_updates(adapter, clients, batch_sizes, seed, round_index)
        return [replace(one, state={"round": np.array(float(round_index))}) for one in made]


def test_who_misses_the_deadline_remembers_nothing_of_the_round(small_scenario: Scenario) -> None:
    slow = {"share": 0.5, "slowdown": 5.0, "deadline": 2.0}
    scenario = with_settings(small_scenario, faults__stragglers=slow, clients__count=6)
    learner = Remembering(scenario, 1)
    run, last, late = run_with(scenario, "fixed", 1, learner), {}, 0
    for index in range(1, 6):
        gone = run.run_round()["faults"]["late"]
        assert learner.heard[-1] == last
        last |= {k: float(index) for k in range(6) if k not in gone}
        late += len(gone)
    assert late


def test_rounds_without_a_step_count_for_nobody(small_scenario: Scenario, tmp_path: Path) -> None:
    """Every client misses broadcasts, and the server stops at means that are too long."""
    scenario = with_settings(
        small_scenario,
        training__rounds=12,
        training__anomaly_stop=2.0,
        faults__broadcast={"share": 0.5},
        faults__poison={"kind": "scaling", "share": 0.3, "scale": 1e3, "from_round": 7},
    )
    execute(scenario, "ideal", tmp_path)
    lines = histories.read_cell(cell_of(tmp_path, "ideal")).rounds[1:]
    stopped = [line for line in lines if line.rejected]
    assert any(line.faults["stale"] for line in stopped)
    assert {line.faults["stale_bias"] for line in stopped} == {0.0}
    assert any(line.faults["stale_bias"] > 0 for line in lines if not line.rejected)
    figures = outcomes.cell_figures(histories.read_cell(cell_of(tmp_path, "ideal")), {})
    learnt = [0 if line.rejected else len(line.clients) for line in lines]
    count = scenario.clients.count
    assert figures["faults"]["participation"] == pytest.approx(np.mean(learnt) / count)
