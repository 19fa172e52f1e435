"""The engine with real nodes, in this process: the numbers of the local one, and lost nodes."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from airtune.engines import LocalEngine, extras
from airtune.engines.flower import frames, started
from airtune.engines.flower.engine import FlowerEngine
from airtune.engines.flower.members import (
    Member,
    check_alike,
    member_of,
    results_of,
)
from airtune.engines.flower.node import Node
from airtune.engines.flower.started import nodes_here
from airtune.errors import FailedError, InputError
from airtune.learning.data import load_sample
from airtune.learning.exact import pairs_of
from airtune.learning.learner import prepare
from airtune.learning.payload import WHOLE, payload_of
from airtune.learning.zeroth_order import asked as differences_along
from airtune.rounds.faults import updates_of
from airtune.scenario import Scenario

CLIENTS, SIZES = np.arange(3), np.array([3, 1, 2])


@pytest.mark.parametrize(
    "changed",
    [
        {"model": {"lora": {"rank": 32}}},
        {
            "aggregation": {"payload": "ffa"},
            "training": {"client_objective": "scaffold", "local_steps": 2},
        },
        {"digital": {"aggregation": "fedex"}, "training": {"local_steps": 2}},
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
        if scenario.digital.aggregation == "fedex":  # a change of the frozen weights follows
            count = sum(pair.size for pair in pairs_of(local.learner.matrices))
            whole = np.concatenate([adapter, np.full(count, 1e-3, np.float32)])
            one, two = (e.updates(whole, CLIENTS, SIZES, 1, 3, states) for e in (local, spread))
            assert np.array_equal(one.updates, two.updates)
            assert not np.array_equal(
                one.updates, local.updates(adapter, CLIENTS, SIZES, 1, 3).updates
            )
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


@pytest.mark.filterwarnings("ignore:a node of the federation has not answered")
def test_nodes_that_are_lost_begun_anew_or_too_few(settings, here) -> None:
    engine = FlowerEngine(prepare)
    try:
        engine.start(Scenario.model_validate(settings), 1)
        nodes, adapter = here.opened_ones[0].nodes_here, engine.initial_adapter()

        def round_of(index: int):
            done = engine.updates(adapter, CLIENTS, SIZES, 1, index)
            engine.check_round(done, CLIENTS)
            return done

        whole = round_of(1)
        # A node that has been started anew prepares again and answers.
        nodes[0].node = Node(nodes[0].node._clients, None, settings["cache"])
        again = round_of(1)
        assert again.missing == ()
        assert np.array_equal(again.updates, whole.updates)
        # The clients of a node that has ended are missing: no update of zeros stands for them.
        nodes[1].running = False
        with pytest.warns(
            RuntimeWarning, match=r"not answered, .* clients 1 are missing in round 1"
        ):
            part = round_of(1)
        assert (part.clients.tolist(), part.dropped, part.missing) == ([0, 2], (), (1,))
        assert np.array_equal(part.updates, whole.updates[[0, 2]])
        nodes[1].running = True  # another process; the one that was lost is not asked any more
        asked = nodes[1].messages
        assert round_of(2).missing == (1,)
        assert nodes[1].messages == asked
        # Fewer clients than the settings ask for.
        least = engine.learner.scenario.engine.model_copy(update={"minimum_clients": 3})
        few = engine.learner.scenario.model_copy(update={"engine": least})
        engine._learner = engine.learner.under(few)
        with pytest.raises(FailedError, match=r"2 of 3 clients .* engine\.minimum_clients = 3"):
            round_of(3)
        # Nobody is left.
        nodes[0].running = nodes[1].running = False
        with pytest.raises(FailedError, match=r"all nodes of the federation are lost \(node 0"):
            round_of(3)
    finally:
        engine.close()


@pytest.mark.filterwarnings("ignore:a node of the federation has not answered")
def test_a_round_is_judged_once_whatever_adapters_its_clients_work_with(settings, here) -> None:
    """A node is lost and another one has missed the broadcast: the run goes on."""
    engine = FlowerEngine(prepare)
    try:
        engine.start(Scenario.model_validate(settings), 1)
        nodes, adapter = here.opened_ones[0].nodes_here, engine.initial_adapter()
        nodes[1].running = False

        def request(held, clients):
            return engine.updates(held, clients, SIZES, 1, 1)

        done = updates_of(request, adapter, {1: adapter + 1}, CLIENTS)
        assert (done.clients.tolist(), done.missing) == ([0, 2], (1,))
        engine.check_round(done, CLIENTS)
        # One client is selected, whose node is lost: the other nodes are not, and it says so.
        alone = engine.updates(adapter, np.array([1]), SIZES, 1, 2)
        with pytest.raises(FailedError, match=r"0 of 1 clients have answered, fewer than"):
            engine.check_round(alone, np.array([1]))
    finally:
        engine.close()


def forged(body: bytes, header: dict, arrays: dict) -> bytes:
    """Return an answer with other things in it."""
    said, held = frames.unpack(body)
    return frames.pack({**said, **header}, {**held, **arrays})


@pytest.mark.filterwarnings("ignore:a node of the federation has not answered")
def test_a_node_that_answers_wrongly_is_lost_and_the_others_go_on(settings, here) -> None:
    engine = FlowerEngine(prepare)
    try:
        engine.start(Scenario.model_validate(settings), 1)
        nodes, adapter = here.opened_ones[0].nodes_here, engine.initial_adapter()
        truly, size, asked = nodes[1].node.answer, len(adapter), []
        nodes[1].node.answer = lambda message: asked.append(truly(message)) or b"junk"
        done = engine.updates(adapter, CLIENTS, SIZES, 1, 1)
        engine.check_round(done, CLIENTS)
        assert (done.clients.tolist(), done.missing) == ([0, 2], (1,))
        payload = payload_of(engine.learner.scenario.aggregation, engine.learner.matrices, 1)
        assert [*results_of(asked[0], [1], payload, 1, {})] == [1]
        large = np.full((1, size), 1e300)
        for header, arrays in (
            ({"clients": [0]}, {}),
            ({"losses": []}, {}),
            ({"losses": [None]}, {}),
            ({"finite": ["yes"]}, {}),
            ({"tokens": [-1]}, {}),
            ({"kind": "some"}, {}),
            ({"kind": "front"}, {"updates": np.zeros((1, 3), np.float32)}),
            ({"kind": "all"}, {"updates": np.zeros((1, 3), np.float32)}),
            ({"kind": "all"}, {"updates": np.zeros(size, np.float32)}),
            ({"kind": "all"}, {"updates": large}),
            ({"kind": "all"}, {"updates": np.full((1, size), 3e38, np.float32)}),
            ({}, {"state/0/sum": np.zeros(3, np.float32)}),
            ({}, {"state/x/sum": np.zeros(3, np.float32)}),
            ({}, {"state/1/sum": np.zeros(size + 1, np.float32)}),
            ({}, {"state/1/sum": np.full(3, 1e300)}),
            ({}, {"state/1/": np.zeros(3, np.float32)}),
            ({}, {"state/1/a\nb": np.zeros(3, np.float32)}),
            ({}, {f"state/1/{n}": np.zeros(3, np.float32) for n in range(17)}),
            ({"losses": [1e308]}, {}),
        ):
            with pytest.raises(FailedError, match="a node"):
                results_of(forged(asked[0], header, arrays), [1], payload, 1, {})
        before = {1: {"sum": np.zeros(2, np.float32)}}
        with pytest.raises(FailedError, match="'sum' of client 1 has another shape"):
            other = forged(asked[0], {}, {"state/1/sum": np.zeros(3, np.float32)})
            results_of(other, [1], payload, 1, before)
        with pytest.raises(FailedError, match="gradients, where differences of the loss were"):
            results_of(asked[0], [1], payload, 1, {1: differences_along(2, 1e-3)})
        with pytest.raises(FailedError, match="an answer of another form"):
            results_of(frames.pack({}), [1], payload, 1, {})
        nodes[1].node.answer = lambda message: forged(truly(message), {"clients": [0]}, {})
        with pytest.warns(RuntimeWarning, match=r"has not answered, or wrongly \(node 1: .*other"):
            done = engine.updates(adapter, CLIENTS, SIZES, 1, 2)
        engine.check_round(done, CLIENTS)
        assert (done.clients.tolist(), done.missing) == ([0, 2], (1,))
        nodes[1].node.answer = lambda message: frames.pack({"error": "no memory", "kind": "failed"})
        nodes[0].node.answer = nodes[1].node.answer
        done = engine.updates(adapter, CLIENTS, SIZES, 1, 2)
        with pytest.raises(FailedError, match=r"all nodes .* are lost \(node \d: no memory"):
            engine.check_round(done, CLIENTS)
        nodes[1].node.answer = truly  # it answers rightly again
        assert engine.updates(adapter, CLIENTS, SIZES, 1, 3).clients.tolist() == [1]
    finally:
        engine.close()


@pytest.mark.filterwarnings("error:a node of the federation has not answered")
@pytest.mark.parametrize("number", [1e-44, 9e9])
def test_a_size_within_the_bound_costs_no_other_node_its_place(settings, here, number) -> None:
    """With two nodes, too, of whom nobody can say which one lies."""
    engine = FlowerEngine(prepare)
    try:
        engine.start(Scenario.model_validate(settings), 1)
        nodes, adapter = here.opened_ones[0].nodes_here, engine.initial_adapter()
        truly = nodes[1].node.answer
        update = np.full((1, len(adapter)), number, np.float32)
        nodes[1].node.answer = lambda message: forged(
            truly(message), {"kind": "all"}, {"updates": update}
        )
        done = engine.updates(adapter, CLIENTS, SIZES, 1, 1)
        engine.check_round(done, CLIENTS)
        assert (done.clients.tolist(), done.missing) == ([0, 1, 2], ())
        assert np.array_equal(done.updates[1], update[0])
        assert done.updates[[0, 2]].any(axis=1).all()
    finally:
        engine.close()


OWN = {
    "process": 7,
    "digests": dict.fromkeys(("data", "adapter", "device", "model"), "d"),
    "own": True,
    "clients": [1],
    "sizes": [0, 5, 0],
    "holdings": {"labels": ["a", "b"], "counts": [[0, 0], [2, 3], [0, 0]]},
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"process": "7"},
        {"process": -7},
        {"own": 1},
        {"digests": {}},
        {"digests": {**OWN["digests"], "data": [1]}},
        {"clients": [-1]},
        {"clients": [3]},
        {"clients": [1, 2]},
        {"clients": "1"},
        {"sizes": [0, 5]},
        {"sizes": [0, 0, 0]},
        {"sizes": [0, 10**9 + 1, 0]},
        {"sizes": [0, True, 0]},
        {"holdings": {}},
        {"holdings": {"labels": ["a"], "counts": [[0], [4], [0]]}},
        {"holdings": {"labels": ["a"], "counts": [[0], [5, 0], [0]]}},
        {"holdings": {"labels": ["x" * 101], "counts": [[0], [5], [0]]}},
        {"holdings": {"labels": ["a", "a"], "counts": [[0, 0], [2, 3], [0, 0]]}},
    ],
)
def test_what_a_node_says_of_itself_is_checked(wrong) -> None:
    assert member_of("4", frames.pack(OWN), 3).sizes == [0, 5, 0]
    with pytest.raises(FailedError, match="a node has sent an answer of another form"):
        member_of("4", frames.pack(OWN | wrong), 3)


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


@pytest.mark.parametrize(
    ("wrong", "own", "message"),
    [
        ("model", False, r"model\.source: is not the same on all nodes"),
        ("adapter", True, r"model\.lora: is not the same on all nodes"),
        ("data", False, r"data\.source: is not the same on all nodes"),
        ("data", True, None),
        ("device", False, None),
    ],
)
def test_nodes_that_work_on_other_things_are_refused(wrong, own, message) -> None:
    expected = {"data": "d", "adapter": "a", "model": 5}
    members = [Member(7, False, {**expected, "device": "cpu"}, [], {})]
    members.append(Member(7, own, {**expected, "device": "cpu", wrong: "other"}, [], {}))
    if message is None:
        check_alike(members, expected)
        return
    with pytest.raises(InputError, match=message):
        check_alike(members, expected)


def test_what_goes_wrong_at_a_node_is_told_as_if_it_came_up_here(settings, tmp_path) -> None:
    (tmp_path / "own.jsonl").write_text("{}\n")
    scenario = Scenario.model_validate(settings).to_dict()
    begin = {"do": "begin", "run": "r", "message": "m", "scenario": scenario, "seed": 1}
    node = Node((1,), tmp_path / "own.jsonl", settings["cache"])
    with pytest.raises(InputError, match=r"data\.source: the records of --data .*\(at node 4\)"):
        member_of("4", node.answer(frames.pack(begin)), 3)
    remote = {**scenario, "model": {**scenario["model"], "trust_remote_code": True}}
    with pytest.raises(InputError, match=r"model\.trust_remote_code = True: must be False"):
        member_of("4", node.answer(frames.pack({**begin, "scenario": remote})), 3)
    with pytest.raises(FailedError, match=r"a message cannot be read .* \(at node 4\)"):
        member_of("4", node.answer(b"junk"), 3)
    assert frames.unpack(node.answer(frames.pack({"do": "updates", "run": "r"})))[0] == {
        "unknown": True
    }


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"engine": {"address": "auto"}}, r"engine\.address = 'auto': must be host:port"),
        ({"engine": {"address": "127.0.0.1:1", "workers": None}}, r"engine\.workers = null: "),
        pytest.param(
            {"engine": {"address": "127.0.0.1:1"}},
            r"127\.0\.0\.1:1': no SuperLink of Flower",
            marks=pytest.mark.skipif(find_spec("httpx") is None, reason="comes with Flower"),
        ),
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
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"'flower': .* pip install 'airtune\[flower\]'"):
        FlowerEngine.check(Scenario.model_validate(settings))


def test_nodes_that_are_started_here_are_two_at_least_and_no_more_than_clients(monkeypatch) -> None:
    monkeypatch.setattr(started.os, "cpu_count", lambda: 16)
    assert nodes_here(Scenario(threads=4, clients={"count": 10})) == 4
    assert nodes_here(Scenario(threads=16, clients={"count": 10})) == 2
    assert nodes_here(Scenario(threads=16, clients={"count": 1})) == 1
