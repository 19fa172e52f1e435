"""Batches, packed batches and the workers that compute them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.learning.text import Example


@st.composite
def some_examples(draw: st.DrawFn) -> list[Example]:
    sizes = draw(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=8))
    return [
        Example(tuple(range(number, number + prompt + answer)), prompt, "")
        for number, (prompt, answer) in enumerate(sizes)
    ]


@settings(deadline=None)
@given(some_examples())
def test_a_packed_batch_holds_what_the_padded_one_holds(examples: list[Example]) -> None:
    from airtune.learning.batches import collate, pack

    packed, padded = pack(examples), collate(examples)
    assert packed.ids.shape == (1, packed.tokens)
    assert packed.targets.tolist() == padded.targets.tolist()
    assert packed.rows.tolist() == padded.rows.tolist()
    for batch in (packed, padded):
        flat = batch.ids.flatten()
        # The token before each target predicts it.
        assert flat[batch.places + 1].tolist() == batch.targets.tolist()
    starts = [i for i, place in enumerate(packed.positions[0].tolist()) if place == 0]
    assert len(starts) == len(packed.sequences) == len(examples)
    assert packed.positions.max() + 1 == padded.ids.shape[1]


@settings(deadline=None)
@given(some_examples(), st.integers(1, 40))
def test_pieces_keep_the_order_and_the_limit(examples: list[Example], tokens: int) -> None:
    from airtune.learning.batches import pieces

    cut = pieces(examples, tokens)
    assert [example for piece in cut for example in piece] == examples
    for piece, following in zip(cut, [*cut[1:], None], strict=True):
        size = sum(len(example.ids) for example in piece)
        assert size <= tokens or len(piece) == 1
        # A piece ends only where the next example has no room.
        assert following is None or size + len(following[0].ids) > tokens


@settings(deadline=None)
@given(some_examples(), st.integers(1, 5))
def test_groups_of_like_length(examples: list[Example], size: int) -> None:
    from airtune.learning.batches import like_lengths

    groups = like_lengths(examples, size)
    assert sorted(i for group in groups for i in group) == list(range(len(examples)))
    lengths = [len(examples[i].ids) for group in groups for i in group]
    assert lengths == sorted(lengths)
    assert {len(group) for group in groups[:-1]} <= {size}


def test_the_dearest_work_begins_first_and_the_order_stays() -> None:
    from airtune.learning.workers import Workers

    workers, begun = Workers(2, 0), []

    class InTurn:
        @staticmethod
        def map(function: Any, items: list[int]) -> Any:
            begun.extend(items)
            return map(function, items)

    workers._pool = InTurn  # type: ignore[assignment]
    assert workers.map(lambda n: 2 * n, [3, 9, 1, 7], cost=float) == [6, 18, 2, 14]
    assert begun == [9, 7, 3, 1]


@pytest.mark.parametrize("threads", [1, 3])
def test_results_are_those_of_a_loop(threads: int) -> None:
    from airtune.learning.workers import Workers

    items = list(range(20))
    found = Workers(threads, 0).map(lambda n: n * n, items, cost=lambda n: -n)
    assert found == [n * n for n in items]
