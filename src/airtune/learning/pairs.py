"""Pairs of answers to one prompt, a better and a worse one, as tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airtune.errors import InputError
from airtune.learning.data import Record, RecordError
from airtune.learning.text import Encoder, Example


@dataclass(frozen=True, slots=True)
class Pair(Example):
    """A prompt with its better answer, and `worse`, the same prompt with its worse answer."""

    worse: Example


def answers(examples: Sequence[Example]) -> list[Example]:
    """Return the examples themselves, the better answers of pairs, then the worse ones."""
    return [*examples, *(pair.worse for pair in examples if isinstance(pair, Pair))]


def _given(example: Example) -> tuple[int, ...]:
    return example.ids[: example.prompt]


def encode_pairs(encoder: Encoder, records: Sequence[Record]) -> list[Pair]:
    """Return the pairs of `records`, in order.

    Raises
    ------
    InputError
        A record has no worse answer, or its answers are the same, cut to `max_tokens`.
    """
    if not all(record.rejected or record.worse for record in records):
        raise InputError(
            "training.client_objective: it needs two answers of each record; set "
            "data.format=preference and name their fields"
        )
    if encoder.turns != "last":
        raise InputError(
            f"data.turns = {encoder.turns}: of pairs of answers the last turn is learnt; allowed "
            "with this client objective is last"
        )
    better, worse = encoder.encode(records), encoder.encode(records, rejected=True)
    for n, record in enumerate(records):
        # Cut for the longer of its answers, so that both answer the same question.
        if record.worse is None and _given(better[n]) != _given(worse[n]):
            longest = max(len(e.ids) - e.prompt for e in (better[n], worse[n]))
            room = min(longest, encoder.max_tokens // 2)
            better[n] = encoder.encode([record], room=room)[0]
            worse[n] = encoder.encode([record], rejected=True, room=room)[0]
    for record, one, other in zip(records, better, worse, strict=True):
        if one.ids == other.ids:
            raise RecordError(
                record.place,
                f"its answers are the same within data.max_tokens = {encoder.max_tokens}: there is "
                "nothing to prefer",
            )
    return [
        Pair(b.ids, b.prompt, b.label, w, cut=b.cut or w.cut)
        for b, w in zip(better, worse, strict=True)
    ]
