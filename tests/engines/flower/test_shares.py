"""What a node gives to sums, and what not: asked without an engine."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from itertools import count
from typing import ClassVar

import numpy as np
import pytest

from airtune.engines import LocalEngine
from airtune.engines.flower import frames, masks, sums
from airtune.engines.flower.given import Given
from airtune.engines.flower.members import member_of
from airtune.engines.flower.node import Node
from airtune.errors import FailedError
from airtune.learning.learner import prepare
from airtune.learning.payload import payload_of
from airtune.radio.held import Weighing

from .federations import secure

pytestmark = pytest.mark.skipif(
    find_spec("cryptography") is None, reason="cryptography (of the extra flower) is not installed"
)

CLIENTS = np.arange(3)


class Pair:
    """Two nodes that are asked without an engine: clients 0 and 2, and client 1."""

    groups: ClassVar = {"a": [0, 2], "b": [1]}

    def __init__(self, settings) -> None:
        self.local = LocalEngine(prepare)
        self.local.start(secure(settings), 1)
        self.scenario = secure(settings).to_dict()
        learner = self.local.learner
        self.blocks = payload_of(learner.scenario.aggregation, learner.matrices, 1).matrix_sizes
        self.nodes = {name: Node((), None, settings["cache"]) for name in self.groups}
        self.tokens = count()

    def weighing(self, gains=(1.0, 1.0, 1.0)) -> Weighing:
        zeros, ones = np.zeros((3, len(self.blocks))), np.ones((3, len(self.blocks)))
        sent = np.ones(len(self.blocks), bool)
        return Weighing(CLIENTS, np.array(gains) + 0j, ones, zeros, self.blocks, sent, 1e-6)

    def begin(self, run: str) -> None:
        for node in self.nodes.values():
            head = {"do": "begin", "run": run, "message": f"m{next(self.tokens)}", "seed": 1}
            member_of("1", node.answer(frames.pack({**head, "scenario": self.scenario})), 3)

    def reports(self, run: str, round_index: int = 1) -> dict[str, sums.Report]:
        adapter, found = self.local.initial_adapter(), {}
        for name, clients in self.groups.items():
            head = {"do": "updates", "run": run, "message": f"m{next(self.tokens)}", "seed": 1}
            head |= {"batch_sizes": [1] * len(clients), "round": round_index, "clients": clients}
            body = self.nodes[name].answer(frames.pack(head, {"adapter": adapter}))
            found[name] = sums.report_of(body, clients, self.blocks)
        return found

    def asked(self, weighing: Weighing, run: str, *, forgetful: bool = False) -> dict[str, bytes]:
        """Begin a run, have updates computed and return the messages that ask for a sum."""
        self.begin(run)
        for node in self.nodes.values():
            node._given = Given() if forgetful else node._given
        return sums.asking(weighing, self.reports(run), run, 1)

    def words(self, bodies: dict[str, bytes]) -> dict[str, masks.Words]:
        length = self.weighing().length
        return {n: sums.words_in(self.nodes[n].answer(bodies[n]), length) for n in self.nodes}


@pytest.fixture(scope="module")
def pair(settings) -> Iterator[Pair]:
    made = Pair(settings)
    yield made
    made.local.close()


def test_shares_add_up_to_the_sum_and_the_same_message_gets_the_same_share(pair) -> None:
    bodies = pair.asked(pair.weighing(), "sum", forgetful=True)
    words = pair.words(bodies)
    adapter = pair.local.initial_adapter()
    expected = pair.local.updates(adapter, CLIENTS, np.ones(3, int), 1, 1).updates.sum(0)
    total = masks.numbers_of(words["a"] + words["b"], 1e-6)
    assert np.abs(total[: len(expected)] * np.sqrt(2) - expected).max() < 3e-6
    again = pair.words(bodies)
    assert all(np.array_equal(again[n], words[n]) for n in words)


def test_updates_of_a_round_go_into_one_sum_in_this_run_and_in_all_others(pair) -> None:
    first = pair.words(pair.asked(pair.weighing(), "one", forgetful=True))
    bodies = pair.asked(pair.weighing(), "once", forgetful=True)
    pair.words(bodies)
    # asked for another share of them, by another message
    head, arrays = frames.unpack(bodies["a"])
    with pytest.raises(FailedError, match="it gives those of a round once"):
        sums.words_in(pair.nodes["a"].answer(frames.pack({**head, "message": "n"}, arrays)), 1)
    # asked to compute the round again, or one before it
    for index in (1, 0):
        with pytest.raises(FailedError, match="it gives those of a round once"):
            pair.reports("once", index)
    # another run with other weights: a difference would be what client 1 has
    body = pair.nodes["b"].answer(pair.asked(pair.weighing((1.0, 2.0, 1.0)), "two")["b"])
    with pytest.raises(FailedError, match="given these updates to another sum"):
        sums.words_in(body, 1)
    # of other clients
    fewer = pair.weighing().of(np.array([True, True, False]))
    for name, body in pair.asked(fewer, "three").items():
        with pytest.raises(FailedError, match="given these updates to another sum"):
            sums.words_in(pair.nodes[name].answer(body), 1)
    # The same sum again, as a resumed run asks for: nothing new, under other masks.
    again = pair.words(pair.asked(pair.weighing(), "resumed"))
    assert np.array_equal(again["a"] + again["b"], first["a"] + first["b"])
    assert not np.array_equal(again["a"], first["a"])


def test_nodes_that_are_told_different_things_have_masks_that_do_not_cancel(pair) -> None:
    bodies = pair.asked(pair.weighing(), "different", forgetful=True)
    head, arrays = frames.unpack(bodies["b"])
    words = pair.words({**bodies, "b": frames.pack({**head, "step": 2e-6}, arrays)})
    assert np.abs(masks.numbers_of(words["a"] + words["b"], 1e-6)).mean() > 100


@pytest.mark.parametrize(
    "wrong",
    [
        {"nodes": ["b"]},
        {"nodes": ["a"]},
        {"nodes": ["b", "b"]},
        {"nodes": {"b": [1], "a": [1]}},
        {"nodes": {"b": [0], "a": [1, 2]}},
        {"nodes": {"b": [1], "a": []}},
        {"step": 0.0},
        {"round": 2},
    ],
    ids=str,
)
def test_a_node_takes_no_part_in_a_sum_that_is_none(pair, wrong) -> None:
    head, arrays = frames.unpack(pair.asked(pair.weighing(), f"{wrong}", forgetful=True)["b"])
    if "nodes" in wrong:
        keys = {"a": head["nodes"][0][0], "b": head["nodes"][1][0]}
        named = wrong["nodes"]
        whose = named if isinstance(named, dict) else pair.groups
        wrong = {"nodes": [[keys[n], whose[n]] for n in named]}
    body = pair.nodes["b"].answer(frames.pack({**head, **wrong}, arrays))
    with pytest.raises(FailedError, match=r"engine\.secure = True: a "):
        sums.words_in(body, pair.weighing().length)


def test_a_node_alone_gives_nothing_though_it_has_two_clients(pair) -> None:
    """Nobody's masks would be on it."""
    head, arrays = frames.unpack(pair.asked(pair.weighing(), "alone", forgetful=True)["a"])
    body = pair.nodes["a"].answer(frames.pack({**head, "nodes": head["nodes"][:1]}, arrays))
    with pytest.raises(FailedError, match="no part in a sum of fewer than two nodes"):
        sums.words_in(body, pair.weighing().length)


def test_clients_whose_updates_are_constant_hide_nobody() -> None:
    """All that they add to a sum is known from their reports."""
    reports = {
        name: sums.Report((k,), (1.0,), (True,), np.ones((1, 1)), np.full((1, 1), spread), name)
        for k, (name, spread) in enumerate({"a": 1.0, "b": 0.0, "c": 1.0}.items())
    }
    ones = np.ones((3, 1))
    weighing = Weighing(CLIENTS, np.ones(3) + 0j, ones, ones, np.array([20]), np.array([True]), 1.0)
    assert sorted(sums.asking(weighing, reports, "r", 1)) == ["a", "b", "c"]
    two = weighing.of(np.array([True, True, False]))
    assert sums.asking(two, reports, "r", 1) == {}
