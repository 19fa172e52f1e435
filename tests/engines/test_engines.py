"""Engines: the local one, the contract, and the manual's engine of one's own."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from airtune import record
from airtune.engines import Engine, LocalEngine
from airtune.errors import InputError
from airtune.registry import ENGINES, Registry
from airtune.scenario import Scenario
from airtune.study import compare
from quadratic import QuadraticLearner

PAGE = Path(__file__).parents[2] / "docs" / "engines.md"


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The registry of engines; what a test adds is forgotten at its end."""
    monkeypatch.setattr(ENGINES, "_objects", dict(ENGINES._objects))
    monkeypatch.setattr(ENGINES, "_added", list(ENGINES._added))
    return ENGINES


def with_engine(scenario: Scenario, name: str) -> Scenario:
    settings = scenario.to_dict() | {"engine": {"name": name}, "schemes": ["ideal", "fixed"]}
    return Scenario.model_validate(settings)


def test_an_engine_says_that_it_was_not_started() -> None:
    engine = LocalEngine(lambda scenario, seed, progress: pytest.fail("not asked for"))
    with pytest.raises(RuntimeError, match="start"):
        engine.initial_adapter()


def test_start_returns_the_sizes_of_the_learner(small_scenario) -> None:
    learner = QuadraticLearner(small_scenario, 1)
    engine = LocalEngine(lambda scenario, seed, progress: learner)  # type: ignore[arg-type]
    sizes = engine.start(small_scenario, 1)
    assert sizes.matrices == learner.matrices
    assert np.array_equal(sizes.data_sizes, learner.data_sizes)
    assert sizes.flop_per_sample == learner.flop_per_sample


def test_updates_name_who_is_dropped(small_scenario) -> None:
    learner = QuadraticLearner(small_scenario, 1, broken={(2, 1): True})
    engine = LocalEngine.over(learner)  # type: ignore[arg-type]
    batches = np.array([4, 4, 4])
    done = engine.updates(engine.initial_adapter(), np.arange(3), batches, 1, 2)
    assert done.dropped == (1,)
    assert done.clients.tolist() == [0, 2]
    assert done.updates.shape == (2, learner.size)


def test_a_study_starts_and_closes_the_engine_that_is_named(
    small_scenario, quadratic, engines, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(compare, "publish", lambda folder: None)  # no page
    calls: list[str] = []

    class Watched(LocalEngine):
        def start(self, scenario, seed, progress=None):
            calls.append(f"start {seed}")
            return super().start(scenario, seed, progress)

        def close(self) -> None:
            calls.append("close")

    engines.add("watched", Watched)
    named = compare.compare(with_engine(small_scenario, "watched"), tmp_path / "watched")
    plain = compare.compare(with_engine(small_scenario, "local"), tmp_path / "local")
    assert calls == ["start 1", "close"]  # one engine for all schemes of a seed
    assert named["schemes"] == plain["schemes"]


@pytest.mark.parametrize("fails", ["start", "initial_adapter", "samples", "updates"])
def test_an_engine_that_fails_is_closed(
    small_scenario, quadratic, engines, tmp_path, fails: str
) -> None:
    closed: list[bool] = []

    class Failing(LocalEngine):
        def close(self) -> None:
            closed.append(True)

    def fail(*given: object, **named: object) -> None:
        raise OSError("the machine is gone")

    setattr(Failing, fails, fail)
    engines.add("failing", Failing)
    with pytest.raises(OSError, match="the machine is gone"):
        compare.compare(with_engine(small_scenario, "failing"), tmp_path / "run")
    assert closed == [True]


def test_an_engine_that_loses_clients_in_silence_is_refused(
    small_scenario, quadratic, engines, tmp_path
) -> None:
    class Silent(LocalEngine):
        def updates(self, *given):
            done = super().updates(*given)
            return replace(done, updates=done.updates[:1], clients=done.clients[:1])

    engines.add("silent", Silent)
    with pytest.raises(InputError, match=r"engine\.name = 'silent': .* returned 1 updates"):
        compare.compare(with_engine(small_scenario, "silent"), tmp_path / "run")


@pytest.mark.parametrize("faults", [{}, {"broadcast": {"share": 0.5}}])
def test_clients_that_do_not_answer_are_missing_and_the_round_goes_on(
    small_scenario, quadratic, engines, tmp_path, monkeypatch, faults
) -> None:
    monkeypatch.setattr(compare, "publish", lambda folder: None)  # no page

    class Lossy(LocalEngine):
        def updates(self, adapter, clients, batch_sizes, seed, round_index, states=None):
            there = clients[(clients != 1) | (round_index % 2 == 0)]
            done = super().updates(adapter, there, batch_sizes, seed, round_index, states)
            missing = tuple(int(k) for k in clients if k not in there)
            return replace(done, missing=missing)

    engines.add("lossy", Lossy)
    settings = with_engine(small_scenario, "lossy").to_dict()
    settings["training"]["rounds"] = 4
    for name, values in faults.items():
        settings["faults"][name] |= values
    folder = tmp_path / "run"
    compare.compare(Scenario.model_validate(settings), folder)
    for scheme in ("ideal", "fixed"):
        lines = (folder / scheme / "seed-0" / "metrics.jsonl").read_text().splitlines()
        rounds = [json.loads(line) for line in lines][1:]
        assert len(rounds) >= 3
        for line in rounds:
            lost = line["round"] % 2 == 1
            assert (1 in line["missing"]) >= lost
            assert (1 in line["clients"]) != lost
            assert line["dropped"] == []


def test_an_engine_elsewhere_makes_no_learner_here(
    small_scenario, engines, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(compare, "publish", lambda folder: None)  # no page

    def here(*given: object) -> None:
        pytest.fail("a learner was made in this process")

    monkeypatch.setattr("airtune.learning.learner.prepare", here)

    class Elsewhere(LocalEngine):
        def start(self, scenario, seed, progress=None):
            self._prepare = lambda scenario, seed, progress: QuadraticLearner(scenario, seed)
            return super().start(scenario, seed, progress)

    engines.add("elsewhere", Elsewhere)
    results = compare.compare(with_engine(small_scenario, "elsewhere"), tmp_path / "run")
    assert results["schemes"]["fixed"]["rounds_to_target"] is not None


def test_an_unknown_engine_is_refused_before_any_work(small_scenario, tmp_path) -> None:
    with pytest.raises(InputError, match=r"engine\.name = 'cloud': must be one of local"):
        compare.compare(with_engine(small_scenario, "cloud"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_manual_s_engine_runs_and_resumes(
    small_scenario, quadratic, engines, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compare, "publish", lambda folder: None)  # no page
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)
    space: dict[str, object] = {}
    exec(compile(code, str(PAGE), "exec"), space)
    assert issubclass(engines["unreliable"], Engine)
    results = space["results"]
    assert isinstance(results, dict)
    dropped = {name: entry["dropped"] for name, entry in results["schemes"].items()}
    assert dropped["ideal"] == dropped["fixed"] > 0  # the same breakdowns for every scheme
    lines = record.read_metrics(record.Cell(Path("runs/unreliable/fixed/seed-0"), "fixed", 0))
    assert any(line["dropped"] for line in lines[1:])
