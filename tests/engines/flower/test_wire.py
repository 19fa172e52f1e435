"""What of adapters and updates travels: no more than the payload says, and nothing is lost."""

from __future__ import annotations

import numpy as np
import pytest

from airtune.engines.flower import wire
from airtune.errors import FailedError, InputError
from airtune.learning.payload import SeededDirections, payload_of
from airtune.learning.results import AdapterMatrix
from airtune.learning.zeroth_order import asked
from airtune.scenario import Aggregation

MATRICES = (
    AdapterMatrix("q.lora_A.weight", (2, 3), 0, 6),
    AdapterMatrix("q.lora_B.weight", (4, 2), 6, 8),
)


def payload(name: str, size: int | None = None):
    return payload_of(Aggregation(payload=name, payload_size=size), MATRICES, 1)


@pytest.mark.parametrize(
    ("name", "size", "adapter", "update"),
    [("lora", None, 14, 14), ("ffa", None, 8, 8), ("rolora", None, 14, 6), ("mask", 5, 14, 5)],
)
def test_only_what_the_payload_names_travels(name, size, adapter, update) -> None:
    sent, random = payload(name, size), np.random.default_rng(0)
    rounds = [r for r in (1, 2, 3) if sent.entries(r) is None or len(sent.entries(r)) == update]
    assert rounds
    initial = random.normal(size=14).astype(np.float32)
    now = initial.copy()
    for index in rounds:
        moved = sent.entries(index)
        row = np.zeros((2, 14), np.float32)
        row[:, slice(None) if moved is None else moved] = random.normal(size=(2, update))
        part, kind = wire.rows_part(row, sent, index, {})
        assert part.shape == (2, update)
        assert np.array_equal(wire.whole_rows(part, kind, sent, index), row)
        now -= row[0]
    part = wire.adapter_part(now, initial, sent)
    assert len(part) == adapter
    assert np.array_equal(wire.whole_adapter(part, initial, sent), now)


def test_an_adapter_that_the_server_moved_elsewhere_travels_whole() -> None:
    sent, initial = payload("ffa"), np.zeros(14, np.float32)
    now = np.ones(14, np.float32)
    part = wire.adapter_part(now, initial, sent)
    assert len(part) == 14
    assert np.array_equal(wire.whole_adapter(part, initial, sent), now)


def test_differences_of_the_loss_are_a_few_numbers() -> None:
    rows = np.zeros((2, 14), np.float32)
    rows[:, :3] = 1.5
    states = {0: asked(3, 0.1), 4: asked(3, 0.1)}
    part, kind = wire.rows_part(rows, payload("lora"), 1, states)
    assert part.shape == (2, 3)
    assert np.array_equal(wire.whole_rows(part, kind, payload("lora"), 1), rows)
    assert SeededDirections(MATRICES, 1, 3).coded(rows, 1).shape == (2, 3)


@pytest.mark.parametrize("shape", [(2, 5), (2, 15), (10,)])
def test_updates_of_another_form_are_refused(shape) -> None:
    with pytest.raises(FailedError, match="a node sent updates of shape"):
        wire.whole_rows(np.zeros(shape, np.float32), "entries", payload("ffa"), 1)
    with pytest.raises(FailedError, match="an adapter of 3 entries came, of 14"):
        wire.whole_adapter(np.zeros(3, np.float32), np.zeros(14, np.float32), payload("ffa"))


def test_every_client_is_at_one_node() -> None:
    assert wire.assigned({"1": [2], "2": []}, 4) == {"1": [2], "2": [0, 1, 3]}
    assert wire.assigned({"1": [0], "2": [1]}, 2) == {"1": [0], "2": [1]}
    with pytest.raises(InputError, match="two nodes of the federation are client 1"):
        wire.assigned({"1": [1], "2": [1]}, 2)
    with pytest.raises(InputError, match=r"clients\.count = 3: no node .* is client 1, 2"):
        wire.assigned({"1": [0]}, 3)
    with pytest.raises(InputError, match=r"clients\.count = 2: a node is client 2; clients count"):
        wire.assigned({"1": [0, 2], "2": []}, 2)


def test_a_change_of_the_frozen_weights_travels_behind_the_adapter() -> None:
    sent, initial = payload("lora"), np.zeros(14, np.float32)
    whole = np.arange(14 + 4 * 3, dtype=np.float32)  # the product is of 4 x 3
    part = wire.adapter_part(whole, initial, sent)
    assert np.array_equal(wire.whole_adapter(part, initial, sent), whole)
    with pytest.raises(FailedError, match="an adapter of 25 entries came, of 14"):
        wire.whole_adapter(whole[:-1], initial, sent)
