"""Which records are trained on, which validate, and which of them who holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airtune.learning import data
from airtune.learning.data import LeftOut, Record, RecordError
from airtune.learning.formats import settle
from airtune.learning.partition import partition
from airtune.learning.text import Example
from airtune.scenario import Scenario
from airtune.streams import generator

Encode = Callable[[Sequence[Record]], Sequence[Example]]
"""Turns records into as many examples; raises `RecordError` for one that it cannot use."""


@dataclass(frozen=True)
class Split:
    """Records with their examples, in the same order, and the records that are not used."""

    training: tuple[Record, ...]
    validation: tuple[Record, ...]
    training_examples: tuple[Example, ...]
    validation_examples: tuple[Example, ...]
    left_out: tuple[LeftOut, ...]


def split_records(
    scenario: Scenario, records: Sequence[Record], seed: int
) -> tuple[list[Record], list[Record]]:
    """Return the training records and those validation records that evaluation uses.

    Raises
    ------
    InputError
        There are too few different prompts.
    """
    settings = scenario.data
    random = generator(seed, "hold-out")
    if settings.max_records is not None and settings.max_records < len(records):
        chosen = np.sort(random.permutation(len(records))[: settings.max_records])
        records = [records[i] for i in chosen]
    training, validation = data.hold_out(records, settings.validation_fraction, random)
    validation = [validation[i] for i in random.permutation(len(validation))]
    return training, data.spread(validation, scenario.evaluation.records)


def encoded_split(
    scenario: Scenario,
    records: Sequence[Record],
    left_out: Sequence[LeftOut],
    seed: int,
    encode: Encode,
) -> Split:
    """Return the split of those records that can be encoded.

    Parameters
    ----------
    scenario : Scenario
    records : sequence of Record
        All that the data hold.
    left_out : sequence of LeftOut
        Of the data, before encoding.
    seed : int
        Root of this repetition's streams.
    encode : callable
        Of the client objective.

    Raises
    ------
    InputError
        A record cannot be used and `data.strict` is set, or too few are left.
    """
    records, left_out = list(records), list(left_out)
    known: dict[int, Example] = {}
    while True:
        training, validation = split_records(scenario, records, seed)
        new = [record for record in (*training, *validation) if id(record) not in known]
        found, refused = sift(encode, new)
        known |= {id(record): example for record, example in found}
        if not refused:
            break
        left_out = sorted([*left_out, *(why for _, why in refused)], key=_number)
        useless = {id(record) for record, _ in refused}
        records = [record for record in records if id(record) not in useless]
        settle(scenario.data, records, left_out)
    return Split(
        tuple(training),
        tuple(validation),
        tuple(known[id(record)] for record in training),
        tuple(known[id(record)] for record in validation),
        tuple(left_out),
    )


def _number(left_out: LeftOut) -> int:
    """Return the number that a place ends on, such as that of a line."""
    found = re.search(r"[0-9]+$", left_out.place)
    return int(found[0]) if found else 0


def sift(
    encode: Encode, records: Sequence[Record]
) -> tuple[list[tuple[Record, Example]], list[tuple[Record, LeftOut]]]:
    """Return the records that can be encoded with their examples, and the others with why not."""
    try:
        return list(zip(records, encode(records), strict=True)), []
    except RecordError:
        pass
    found, refused = [], []
    for record in records:
        try:
            found.append((record, encode([record])[0]))
        except RecordError as error:
            refused.append((record, error.left_out))
    return found, refused


def shares_of(
    scenario: Scenario, training: Sequence[Record], seed: int
) -> tuple[NDArray[np.int64], ...]:
    """Return the indices of the training records that each client holds."""
    settings, clients = scenario.data, scenario.clients.count
    power_law = np.arange(1.0, clients + 1) ** -settings.size_exponent
    return partition(
        [record.label for record in training],
        clients,
        settings.partition,
        generator(seed, "partition"),
        alpha=settings.dirichlet_alpha,
        shares=settings.sizes or power_law.tolist(),
    )
