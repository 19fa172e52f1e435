"""The engine with real nodes, in this process: the numbers of the local one, and lost nodes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from airtune.engines import LocalEngine
from airtune.engines.flower import engine as module
from airtune.engines.flower import programs
from airtune.engines.flower.engine import FlowerEngine, nodes_here
from airtune.engines.flower.node import Node
from airtune.errors import FailedError, InputError
from airtune.learning.data import load_sample
from airtune.learning.learner import prepare
from airtune.learning.payload import WHOLE, payload_of
from airtune.scenario import Scenario

from .federations import InProcess


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict:
    small = {"hidden": 32, "layers": 1, "heads": 2, "intermediate": 64, "vocabulary": 300}
    return {
        "name": "flower",
        "threads": 1,
        "schemes": ["ideal"],
        "cache": str(tmp_path_factory.mktemp("cache")),
        "clients": {"count": 3},
        "model": {"small": small, "lora": {"rank": 2}},
        "pretraining": {"steps": 0},
        "data": {"partition": "iid", "max_records": 120},
        "evaluation": {"records": 20, "batch_size": 5, "answers": 1},
        "training": {"rounds": 3, "batch_size_max": 4},
        "engine": {"name": "flower", "workers": 2},
    }


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> type[InProcess]:
    monkeypatch.setattr(module, "Federation", InProcess)
    monkeypatch.setattr(programs, "check_installed", lambda: None)
    monkeypatch.setattr(InProcess, "opened_ones", [], raising=False)
    monkeypatch.setattr(InProcess, "own_data", {}, raising=False)
    return InProcess


CLIENTS, SIZES = np.arange(3), np.array([3, 1, 2])


@pytest.mark.parametrize(
    "changed",
    [
        {"model": {"lora": {"rank": 32}}},
        {
            "aggregation": {"payload": "ffa"},
            "training": {"client_objective": "scaffold", "local_steps": 2},
        },
    ],
)
def test_rounds_are_those_of_the_local_engine_bit_for_bit(settings, here, changed) -> None:
    whole = {name: settings.get(name, {}) | own for name, own in changed.items()}
    scenario = Scenario.model_validate(settings | whole)
    local, spread = LocalEngine(prepare), FlowerEngine(prepare)
    sizes = local.start(scenario, 1)
    try:
        other = spread.start(scenario, 1)
        assert np.array_equal(sizes.data_sizes, other.data_sizes)
        assert [node.node._clients for node in here.opened_ones[0].nodes_here] == [(0, 2), (1,)]
        adapter, states = local.initial_adapter(), {}
        for round_index in (1, 2):
            one = local.updates(adapter, CLIENTS, SIZES, 1, round_index, states)
            two = spread.updates(adapter, CLIENTS, SIZES, 1, round_index, states)
            assert np.array_equal(one.updates, two.updates)
            assert one.loss == two.loss
            assert two.missing == ()
            assert one.states.keys() == two.states.keys()
            for client, state in one.states.items():
                assert all(np.array_equal(state[n], two.states[client][n]) for n in state)
            adapter, states = adapter - np.float32(0.5) * one.updates.mean(axis=0), one.states
        assert local.evaluate(adapter) == spread.evaluate(adapter)
        assert local.inputs() == spread.inputs()
        assert local.holdings() == spread.holdings()
        if "model" in changed:  # bodies are within 1 % of the float32 numbers of the payload
            number = (
                payload_of(scenario.aggregation, spread.learner.matrices, 1).blocks(WHOLE).sum()
            )
            assert 1 <= spread.traffic[-1].received / (3 * 4 * number) < 1.01
            assert 1 <= spread.traffic[-1].sent / (2 * 4 * number) < 1.01
    finally:
        spread.close()


def test_the_clients_of_a_lost_node_are_missing_and_without_nodes_the_round_fails(
    settings, here
) -> None:
    scenario = Scenario.model_validate(settings)
    engine = FlowerEngine(prepare)
    try:
        engine.start(scenario, 1)
        nodes, adapter = here.opened_ones[0].nodes_here, engine.initial_adapter()
        whole = engine.updates(adapter, CLIENTS, SIZES, 1, 1)
        nodes[1].running = False
        part = engine.updates(adapter, CLIENTS, SIZES, 1, 1)
        assert (part.clients.tolist(), part.dropped, part.missing) == ([0, 2], (), (1,))
        assert np.array_equal(part.updates, whole.updates[[0, 2]])
        nodes[1].running = True  # another of its kind; this one is not asked any more
        asked = nodes[1].messages
        assert engine.updates(adapter, CLIENTS, SIZES, 1, 2).missing == (1,)
        assert nodes[1].messages == asked
        nodes[0].running = nodes[1].running = False
        with pytest.raises(FailedError, match=r"all nodes of the federation are lost \(node 0"):
            engine.updates(adapter, CLIENTS, SIZES, 1, 3)
    finally:
        engine.close()


def test_fewer_clients_than_asked_for_stop_the_run(settings, here) -> None:
    own = settings["engine"] | {"minimum_clients": 3}
    engine = FlowerEngine(prepare)
    try:
        engine.start(Scenario.model_validate(settings | {"engine": own}), 1)
        here.opened_ones[0].nodes_here[1].running = False
        with pytest.raises(FailedError, match=r"2 of 3 clients .* engine\.minimum_clients = 3"):
            engine.updates(engine.initial_adapter(), CLIENTS, SIZES, 1, 1)
    finally:
        engine.close()


def test_a_node_that_was_begun_anew_prepares_and_answers(settings, here) -> None:
    engine = FlowerEngine(prepare)
    try:
        engine.start(Scenario.model_validate(settings), 1)
        before = engine.updates(engine.initial_adapter(), CLIENTS, SIZES, 1, 1)
        held = here.opened_ones[0].nodes_here[0]
        held.node = Node(held.node._clients, None, settings["cache"])
        after = engine.updates(engine.initial_adapter(), CLIENTS, SIZES, 1, 1)
        assert after.missing == ()
        assert np.array_equal(before.updates, after.updates)
    finally:
        engine.close()


def test_a_node_may_bring_its_own_file(settings, here, tmp_path: Path) -> None:
    records = load_sample("domains")[200:217]
    file = tmp_path / "own.jsonl"
    lines = [{"instruction": r.instruction, "input": r.input, "output": r.output} for r in records]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    here.own_data = {1: file}
    scenario = Scenario.model_validate(settings)
    local, engine = LocalEngine(prepare), FlowerEngine(prepare)
    given = local.start(scenario, 1).data_sizes
    try:
        sizes = engine.start(scenario, 1).data_sizes
        assert sizes.tolist() == [given[0], 17, given[2]]
        assert [sum(own) for own in engine.holdings()["counts"]] == sizes.tolist()
        assert engine.inputs()["data"] != local.inputs()["data"]
        adapter = local.initial_adapter()
        one = local.updates(adapter, CLIENTS, SIZES, 1, 1)
        two = engine.updates(adapter, CLIENTS, SIZES, 1, 1)
        assert np.array_equal(one.updates[[0, 2]], two.updates[[0, 2]])
        assert np.any(one.updates[1] != two.updates[1])
        assert np.any(two.updates[1])
    finally:
        engine.close()


def test_a_node_with_another_model_is_refused(settings, here, monkeypatch) -> None:
    monkeypatch.setattr(module, "fingerprint", lambda learner: 7)
    engine = FlowerEngine(prepare)
    try:
        with pytest.raises(InputError, match=r"model\.source: is not the same on all nodes"):
            engine.start(Scenario.model_validate(settings), 1)
    finally:
        engine.close()


def test_what_goes_wrong_at_a_node_is_told_as_if_it_came_up_here(settings, here, tmp_path) -> None:
    (tmp_path / "own.jsonl").write_text("{}\n")
    here.own_data = {1: tmp_path / "own.jsonl"}
    engine = FlowerEngine(prepare)
    try:
        with pytest.raises(InputError, match=r"data\.source.*own\.jsonl.*\(at node 1\)"):
            engine.start(Scenario.model_validate(settings), 1)
    finally:
        engine.close()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"engine": {"address": "auto"}}, r"engine\.address = 'auto': must be host:port"),
        ({"engine": {"address": "127.0.0.1:1", "workers": None}}, r"engine\.workers = null: "),
        ({"engine": {"address": "127.0.0.1:1"}}, r"127\.0\.0\.1:1': no SuperLink of Flower"),
        ({"engine": {"certificate": "gone.pem"}}, r"engine\.certificate = 'gone\.pem': there is"),
        ({"engine": {"minimum_clients": 4}}, r"engine\.minimum_clients = 4: must be at most .* 3"),
        ({"model": {"trust_remote_code": True}}, r"model\.trust_remote_code = True: must be False"),
        ({"planning": {"pretraining": "planned"}}, r"planning\.pretraining = 'planned': must be"),
    ],
)
def test_what_cannot_run_is_refused_before_any_work(settings, here, changed, message) -> None:
    whole = {name: settings.get(name, {}) | own for name, own in changed.items()}
    with pytest.raises(InputError, match=message):
        FlowerEngine.check(Scenario.model_validate(settings | whole))


def test_without_flower_it_says_how_to_install_it(settings, monkeypatch) -> None:
    monkeypatch.setattr(programs, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"'flower': .* pip install 'airtune\[flower\]'"):
        FlowerEngine.check(Scenario.model_validate(settings))


def test_nodes_that_are_started_here_are_two_at_least_and_no_more_than_clients(monkeypatch) -> None:
    monkeypatch.setattr(module.os, "cpu_count", lambda: 16)
    assert nodes_here(Scenario(threads=4, clients={"count": 10})) == 4
    assert nodes_here(Scenario(threads=16, clients={"count": 10})) == 2
    assert nodes_here(Scenario(threads=16, clients={"count": 1})) == 1
