"""A client that brings its own file of data: model and data of it, without those of others."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from airtune.errors import InputError, OwnDataError, clip
from airtune.learning import data
from airtune.learning.formats import read_records, settle
from airtune.learning.learner import Learner, Progress
from airtune.learning.pairs import answers
from airtune.learning.resident import adapter_model, make_deterministic
from airtune.learning.results import PretrainingCost
from airtune.learning.split import sift
from airtune.learning.text import Encoder
from airtune.learning.vocabulary import check_ids
from airtune.registry import CLIENT_OBJECTIVES
from airtune.scenario import Scenario

if TYPE_CHECKING:
    from airtune.learning.data import LeftOut, Record
    from airtune.learning.objectives.base import ClientObjective
    from airtune.learning.text import Example
    from airtune.scenario.learning import Data


def prepare_client(
    scenario: Scenario,
    seed: int,
    client: int,
    file: Path,
    progress: Progress | None = None,
    *,
    label: str | None = None,
) -> Learner:
    """Load or make what one client needs that holds the records of a file, all of them.

    Like :func:`airtune.learning.learner.prepare` for a client whose data nobody else has: the
    other clients of the learner have no records, and there are none to validate with.

    Parameters
    ----------
    scenario : Scenario
        Settings; of its section `data` all but `source`, `fields.label` and what splits
        and shares out is read.
    seed : int
        Root of the repetition's streams: initial adapter, batches.
    client : int
        Index of the client, from 0.
    file : Path
        In one of the formats of `data.source`.
    progress : callable, optional
        Called with a text and the fraction done.
    label : str, optional
        Field whose values are the labels of the records; by default they have none, also where
        the format knows one.

    Raises
    ------
    InputError
        The model or the settings cannot be used.
    OwnDataError
        The file cannot be used; the message may quote it.
    """
    from airtune.learning.device import device_of
    from airtune.learning.model import count_parameters
    from airtune.learning.sources import open_model
    from airtune.learning.workers import Workers

    make_deterministic()
    device = device_of(scenario.model)
    if not 0 <= client < scenario.clients.count:
        raise InputError(
            f"client {client}: must be from 0 to {scenario.clients.count - 1}, as there are "
            f"clients.count = {scenario.clients.count}"
        )
    fields = scenario.data.fields.model_copy(update={"label": label})
    settings = scenario.data.model_copy(update={"source": str(file), "fields": fields})
    base, tokenizer, name = open_model(scenario, progress or (lambda text, fraction: None))
    encoder = Encoder.of(settings, tokenizer)
    objective: ClientObjective = CLIENT_OBJECTIVES[scenario.training.client_objective]
    try:
        records, examples, left_out = _read(settings, objective, encoder)
    except Exception as error:  # whatever it says may be of the records
        raise OwnDataError(str(error)) from error
    check_ids(scenario.model.source, base, tokenizer, answers(examples))
    sizes = np.zeros(scenario.clients.count, dtype=np.int64)
    sizes[client] = len(examples)
    labels = ["" for _ in sizes]
    labels[client] = data.common_label(records)
    model = adapter_model(scenario, seed, base, name, device)
    return Learner(
        scenario=scenario,
        matrices=model.matrices,
        size=model.size,
        data_sizes=sizes,
        client_labels=tuple(labels),
        flop_per_sample=objective.flop_per_sample(base, examples),
        flop_per_parameter=0.0,
        pretraining_cost=PretrainingCost(0.0, 0, 1),
        workers=Workers(
            scenario.threads if device.kind == "cpu" else 1, sum(count_parameters(base))
        ),
        _model=model,
        _encoder=encoder,
        _clients=tuple(examples if k == client else () for k in range(len(sizes))),
        _validation=(),
        _validation_examples=(),
        _left_out=tuple(left_out),
        _base_name=name,
    )


def _read(
    settings: Data, objective: ClientObjective, encoder: Encoder
) -> tuple[list[Record], tuple[Example, ...], list[LeftOut]]:
    """Return the records of a file, their examples, and which are left out."""
    records, left_out = read_records(settings)
    if settings.fields.label is None:  # formats have labels of their own
        records = [without_label(record) for record in records]
    found, refused = sift(partial(objective.encode, encoder), records)
    left_out = [*left_out, *(why for _, why in refused)]
    records = [record for record, _ in found]
    if refused:
        settle(settings, records, left_out)
    if not records:
        raise InputError(
            f"data.source: {clip(settings.source)} holds no record that can be learnt from"
        )
    return records, tuple(example for _, example in found), left_out


def without_label(record: Record) -> Record:
    """Return a record, or a pair of them, without its label."""
    worse = record.worse and without_label(record.worse)
    return replace(record, label="", worse=worse)
