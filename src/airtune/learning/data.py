"""Records, the shipped sample, and what is held out for validation."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Literal

import numpy as np

from airtune.errors import InputError

LEFT_OUT_KEPT = 100
"""Records that are left out and stand in documents; all of them are counted."""

Part = Literal["general", "domains"]

Turn = tuple[str, str] | tuple[str, str, str]
"""A turn of a talk: role, content and, as a JSON object, what else its message holds."""


@dataclass(frozen=True, slots=True)
class Record:
    """A prompt with its answer.

    The talk that a model sees before it answers is `history` and, where `instruction` or `input`
    hold something, the turn of a user that they make.

    Attributes
    ----------
    instruction, input : str
        Question and optional further input; both empty for plain text.
    output : str
        Reference answer, or the text.
    label : str
        Domain, or empty.
    history : tuple of (role, content) or (role, content, JSON)
        Earlier turns of a conversation.
    rejected : str
        A worse answer, or empty.
    worse : Record, optional
        The worse answer with the talk before it, where that is not the talk of the better one.
    calls : str
        What the message of the answer holds besides, as a JSON object: its tool calls.
    tools : str
        Tools that the talk may call, as a JSON array, or empty.
    ends : bool
        False for a piece of a document that goes on: no end token follows.
    place : str
        Where the record comes from, for messages.
    """

    instruction: str
    input: str
    output: str
    label: str = ""
    history: tuple[Turn, ...] = ()
    rejected: str = ""
    worse: Record | None = None
    calls: str = ""
    tools: str = ""
    ends: bool = True
    place: str = field(default="", compare=False)

    @property
    def prompt(self) -> tuple[object, ...]:
        """What records share that must not be parted into training and validation."""
        asked = (self.instruction, self.input, self.history)
        return asked if any(asked) else (self.output, "", ())

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The talk before the answer."""
        asked = "\n\n".join(part for part in (self.instruction, self.input) if part)
        return (*self.history, ("user", asked)) if asked else self.history


def asked_text(record: Record) -> str:
    """Return what is asked, for people: the question, or the last turn before the answer."""
    asked = "\n".join(part for part in (record.instruction, record.input) if part)
    return asked or "".join(turn[1] for turn in record.history[-1:])


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A record that is not used.

    Attributes
    ----------
    place : str
        Such as ``data.jsonl:3``.
    why : str
        What is wrong, in one sentence.
    """

    place: str
    why: str


class RecordError(InputError):
    """A record that cannot be used.

    Parameters
    ----------
    place, why : str
        As of :class:`LeftOut`.
    """

    def __init__(self, place: str, why: str) -> None:
        self.left_out = LeftOut(place, why)
        super().__init__(f"data.source: {place}: {why}" if place else f"data.source: {why}")


def left_out_in_words(left_out: Sequence[LeftOut]) -> str:
    """Return ``left out n, first at PLACE because WHY``.

    Examples
    --------
    >>> left_out_in_words([LeftOut("data.jsonl:3", "it has no answer")])
    'left out 1, at data.jsonl:3 because it has no answer'
    """
    return count_left_out(len(left_out), left_out[0])


def count_left_out(count: int, first: LeftOut | None, noun: str = "") -> str:
    """Return ``left out n NOUNs, first at PLACE because WHY``.

    Parameters
    ----------
    count : int
        At least 1.
    first : LeftOut or None
        None where it is not known.
    noun : str
        In the singular; empty for none.

    Examples
    --------
    >>> count_left_out(3, LeftOut("data.jsonl:3", "it has no answer"), "record")
    'left out 3 records, first at data.jsonl:3 because it has no answer'
    >>> count_left_out(1, None)
    'left out 1'
    """
    text = f"left out {count}" + f" {noun}{'s' * (count > 1)}" * bool(noun)
    if first is None:
        return text
    return f"{text}, {'first ' * (count > 1)}at {first.place} because {first.why}"


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
    rows = enumerate(map(json.loads, sample_bytes(part).splitlines()), 1)
    return [
        Record(
            r["instruction"], r["input"], r["output"], r["domain"], place=f"sample, record {number}"
        )
        for number, r in rows
    ]


def labels(records: Iterable[Record]) -> tuple[str, ...]:
    """Return the distinct labels in alphabetical order."""
    return tuple(sorted({record.label for record in records}))


def common_label(records: Iterable[Record]) -> str:
    """Return the label that all records have; an empty text where they differ."""
    names = labels(records)
    return names[0] if len(names) == 1 else ""


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
