"""Records, the shipped sample, and what is held out for validation."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

import numpy as np

from airtune.errors import InputError

Part = Literal["general", "domains"]


@dataclass(frozen=True, slots=True)
class Record:
    """A prompt with its answer.

    Attributes
    ----------
    instruction, input : str
        Question and optional further input; both empty for plain text.
    output : str
        Reference answer, or the text.
    label : str
        Domain, or empty.
    history : tuple of (role, content)
        Earlier turns of a conversation.
    rejected : str
        A worse answer, or empty.
    """

    instruction: str
    input: str
    output: str
    label: str = ""
    history: tuple[tuple[str, str], ...] = ()
    rejected: str = ""

    @property
    def prompt(self) -> tuple[object, ...]:
        """What records share that must not be parted into training and validation."""
        asked = (self.instruction, self.input, self.history)
        return asked if any(asked) else (self.output, "", ())


def sample_bytes(part: Part) -> bytes:
    """Return the uncompressed JSONL bytes of a part of the shipped sample.

    Parameters
    ----------
    part : {"general", "domains"}
        The mixture of phase 1, or the domain tasks of phase 2.
    """
    packed = files("airtune.learning") / "samples" / f"{part}.jsonl.gz"
    return gzip.decompress(packed.read_bytes())


def load_sample(part: Part) -> list[Record]:
    """Return the records of a part of the shipped sample; every record has a label.

    Examples
    --------
    >>> records = load_sample("domains")
    >>> len(records), labels(records)[:3]
    (3129, ('coins', 'farm', 'lamps'))
    >>> records[0].instruction, records[0].output
    ('What is 3 bags by 7 kilos?', '21')
    """
    rows = (json.loads(line) for line in sample_bytes(part).splitlines())
    return [Record(r["instruction"], r["input"], r["output"], r["domain"]) for r in rows]


def labels(records: Iterable[Record]) -> tuple[str, ...]:
    """Return the distinct labels in alphabetical order."""
    return tuple(sorted({record.label for record in records}))


def hold_out(
    records: Sequence[Record], fraction: float, random: np.random.Generator
) -> tuple[list[Record], list[Record]]:
    """Split into training and validation records, the same share of every label.

    Records with the same instruction and input stay on one side, so that no validation prompt is
    trained on.

    Parameters
    ----------
    records : sequence of Record
        All records.
    fraction : float
        Share of the prompts of each label that is held out, in (0, 1); at least one.
    random : Generator
        Decides which.

    Returns
    -------
    training, validation : list of Record
        Both in file order, neither empty.

    Raises
    ------
    InputError
        There are fewer than two distinct prompts.
    """
    held: set[tuple[object, ...]] = set()
    seen: set[tuple[object, ...]] = set()
    for label in labels(records):
        own = dict.fromkeys(r.prompt for r in records if r.label == label)
        prompts = [prompt for prompt in own if prompt not in seen]
        seen.update(prompts)
        count = min(max(1, round(fraction * len(prompts))), len(prompts) - 1)
        if count > 0:
            held.update(prompts[i] for i in random.permutation(len(prompts))[:count])
    if not held and len(seen) > 1:
        # Every label has but one prompt.
        held.add(sorted(seen)[int(random.integers(len(seen)))])
    training = [r for r in records if r.prompt not in held]
    validation = [r for r in records if r.prompt in held]
    if not training or not validation:
        raise InputError("data.source: at least two different prompts are needed")
    return training, validation


def spread(records: Sequence[Record], count: int) -> list[Record]:
    """Return at most `count` records, taken from the labels in turn, in their order."""
    queues = {name: [r for r in records if r.label == name] for name in labels(records)}
    depth = max((len(queue) for queue in queues.values()), default=0)
    turns = [queue[i] for i in range(depth) for queue in queues.values() if i < len(queue)]
    return turns[:count]
