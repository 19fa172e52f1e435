"""Workers that take every processor serve all payloads of a run, and its pilots."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from airtune import record
from airtune.engines.ray_workers import RayEngine
from airtune.learning.payload import payload_of
from airtune.learning.results import ClientUpdate
from airtune.learning.shared import SharedLearners
from airtune.planning import payload_choice
from airtune.scenario import Scenario
from airtune.study import cells
from fake_ray import FakeRay, put_in_place
from rounds.test_federated import with_settings
from rounds.test_payloads import Factors

ROUNDS = 6


class Sending(Factors):
    """Clients whose updates are 0 at the entries that the payload does not send."""

    objective = SimpleNamespace(maps_batches=False)

    def client_update(self, *given: Any) -> ClientUpdate:
        done, (*_, seed, index) = super().client_update(*given), given
        moved = payload_of(self.scenario.aggregation, self.matrices, seed).entries(index)
        sent = np.zeros_like(done.update)
        sent[slice(None) if moved is None else moved] = 1
        return replace(done, update=done.update * sent)

    def left_out(self) -> dict[str, Any]:
        return {"count": 0, "records": []}

    def inputs(self) -> dict[str, Any]:
        found = {"model_folder": None, "made": False, "data": "of the clients"}
        return found | {"adapter": "zeros", "device": "cpu"}


@pytest.fixture
def fake_ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    return put_in_place(monkeypatch, cpus=2)


@pytest.fixture
def scenario(small_scenario: Scenario, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Scenario:
    def prepare(scenario: Scenario, seed: int, progress: object = None) -> Sending:
        return Sending(scenario, seed)

    monkeypatch.setattr("airtune.learning.learner.prepare", prepare)
    monkeypatch.setattr("airtune.engines.worker.fingerprint", lambda learner: 0)  # no torch
    monkeypatch.setattr("airtune.rounds.cell_io.finish", lambda *given: None)  # no model cards
    monkeypatch.chdir(tmp_path)
    return with_settings(
        small_scenario,
        threads=1,
        plan="own",
        schemes=("ideal", "fixed"),
        engine__name="ray",
        aggregation__payload="planned",
        planning__objective="time",
        planning__rounds="planned",
        planning__pilot_rounds=2,
        training__rounds=ROUNDS,
        training__server_optimizer="adam",
        cache=str(tmp_path / "cache"),
    )


def metrics_of(scenario: Scenario, folder: Path) -> dict[str, list[Any]]:
    """Run a scenario's cells and return their lines, but for the time on the clock."""
    run = record.create(folder, scenario, "compare")
    cells.run_cells(run.dated_scenario, 0, run.cells, SharedLearners())
    return {
        cell.scheme: [
            {name: x for name, x in line.items() if name != "round_wall_s"}
            for line in record.read_metrics(cell)
        ]
        for cell in run.cells
    }


def choosing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every scheme's plan take another payload, whatever is predicted."""
    names = {"ideal": "rolora", "fixed": "ffa"}
    plan = payload_choice.plan_with_payload

    def chosen(repetition: Any, scheme: str, pilots: Any) -> Any:
        wanted = names[scheme]
        with monkeypatch.context() as only:
            only.setattr(payload_choice, "candidates", lambda scenario: (wanted,))
            return plan(repetition, scheme, pilots)

    monkeypatch.setattr(payload_choice, "plan_with_payload", chosen)


def test_a_payload_for_each_scheme_needs_no_more_workers(
    scenario: Scenario, fake_ray: FakeRay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    choosing(monkeypatch)
    spread = metrics_of(scenario, tmp_path / "ray")
    assert (fake_ray.most, fake_ray.used) == (2, 0)
    pilots = json.loads((tmp_path / "ray" / "pilots-0.json").read_text())["pilots"]
    assert list(pilots) == ["lora", "ffa", "rolora"]
    elsewhere = with_settings(scenario, engine__name="local", cache=str(tmp_path / "other"))
    assert spread == metrics_of(elsewhere, tmp_path / "local")
    assert pilots == json.loads((tmp_path / "local" / "pilots-0.json").read_text())["pilots"]
    assert len({json.dumps(lines) for lines in spread.values()}) == 2


def test_an_engine_with_another_payload_leaves_the_workers_to_the_first(
    scenario: Scenario, fake_ray: FakeRay
) -> None:
    first, given = RayEngine(), (np.arange(3), np.full(3, 8), 1, 1)
    first.start(payload_choice.with_payload(scenario, "lora"), 1)
    try:
        adapter = first.initial_adapter()
        other = first.under(payload_choice.with_payload(scenario, "ffa"))
        whole = first.updates(adapter, *given).updates
        half = other.updates(adapter, *given).updates
        other.close()
        factor_b = np.any(half != 0, axis=0)
        assert np.count_nonzero(factor_b) == 60  # of 107, the others at rest
        assert np.array_equal(half[:, factor_b], whole[:, factor_b])
        assert np.array_equal(first.updates(adapter, *given).updates, whole)  # as it was
        assert fake_ray.used == 2
    finally:
        first.close()
    assert fake_ray.used == 0
