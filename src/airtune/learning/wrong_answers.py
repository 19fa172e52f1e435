"""Label noise: the examples of a poisoned client with answers that belong to other questions.

An engine of one's own has to do the same for the clients of ``scenario.faults.poison`` where its
kind is `label-noise`: those that ``poison.clients(count, seed, round_index)`` returns take their
mini-batches from :func:`wrong_answers` of their examples.  The mini-batches hold the same questions
as without the fault, and those of all other clients stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from airtune.learning.pairs import Pair
from airtune.learning.text import Example
from airtune.streams import generator


def wrong_answers(
    examples: Sequence[Example], seed: int, client: int, max_tokens: int
) -> tuple[Example, ...]:
    """Return a client's examples, each with the answer of another of them.

    Of pairs the better and the worse answer change places.  Answers of the same text may meet, so
    that a few can be right by chance, and a client with a single example keeps it.

    Parameters
    ----------
    examples : sequence of Example
        The client's training data.
    seed, client : int
        Name the random stream.
    max_tokens : int
        Longest example; of a longer one the answer loses its end.

    Examples
    --------
    >>> examples = [Example((1, 10), 1, ""), Example((2, 20), 1, ""), Example((3, 30), 1, "")]
    >>> wrong = wrong_answers(examples, seed=1, client=0, max_tokens=8)
    >>> [example.ids[0] for example in wrong]
    [1, 2, 3]
    >>> any(example.ids in {(1, 10), (2, 20), (3, 30)} for example in wrong)
    False
    """
    order = generator(seed, "faults", "poison", "labels", client).permutation(len(examples))
    # Each takes the answer of the next one in a random ring: nobody keeps its own.
    giver = np.empty(len(examples), dtype=np.int64)
    giver[order] = np.roll(order, 1)
    return tuple(
        _swapped(example) if isinstance(example, Pair) else _with_answer(example, other, max_tokens)
        for example, other in (
            (one, examples[i]) for one, i in zip(examples, giver.tolist(), strict=True)
        )
    )


def _swapped(pair: Pair) -> Pair:
    """Return a pair whose worse answer passes for the better one."""
    worse = pair.worse
    better = Example(pair.ids, pair.prompt, pair.label, skipped=pair.skipped)
    return replace(pair, ids=worse.ids, prompt=worse.prompt, skipped=worse.skipped, worse=better)


def _with_answer(example: Example, other: Example, max_tokens: int) -> Example:
    """Return an example with the answer of another, cut to `max_tokens`."""
    shift = example.prompt - other.prompt
    skipped = tuple((start + shift, stop + shift) for start, stop in other.skipped)
    ids = example.ids[: example.prompt] + other.ids[other.prompt :]
    end = min(len(ids), max(max_tokens, example.prompt + 1))
    for start, stop in skipped:
        if start < end <= stop:  # what is given is not the end of an answer
            end = start
    kept = tuple(span for span in skipped if span[1] < end)
    return replace(example, ids=ids[:end], skipped=kept)
