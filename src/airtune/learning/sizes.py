"""The sizes of model and data that a plan needs, without any weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from airtune.learning.formats import read_records
from airtune.learning.learner import Learner, prepare
from airtune.learning.lora import adapter_matrices
from airtune.learning.results import AdapterMatrix, PretrainingCost
from airtune.learning.split import encoded_split, shares_of
from airtune.learning.text import Encoder
from airtune.registry import CLIENT_OBJECTIVES
from airtune.scenario import Scenario

if TYPE_CHECKING:
    from airtune.learning.objectives.base import ClientObjective


@dataclass(frozen=True)
class Sizes:
    """What a plan reads of a :class:`~airtune.learning.learner.Learner`; see there."""

    matrices: tuple[AdapterMatrix, ...]
    data_sizes: NDArray[np.int64]
    flop_per_sample: float
    pretraining_cost: PretrainingCost


def sizes_of(learner: Learner | Sizes) -> Sizes:
    """Return the sizes of a learner that has been prepared."""
    return Sizes(
        matrices=learner.matrices,
        data_sizes=learner.data_sizes,
        flop_per_sample=learner.flop_per_sample,
        pretraining_cost=learner.pretraining_cost,
    )


def measure(scenario: Scenario, seed: int) -> Sizes:
    """Return the sizes of what :func:`airtune.learning.learner.prepare` would make.

    Nothing is pre-trained and the small model gets no weights; a ready model is opened, for its
    sizes are in its files.

    Parameters
    ----------
    scenario : Scenario
    seed : int
        Root of this repetition's streams: held-out records and partition.

    Raises
    ------
    InputError
        Model, data or their settings cannot be used.
    """
    if scenario.model.source != "small":
        return sizes_of(prepare(scenario, seed))
    import torch

    from airtune.learning.model import weights_used
    from airtune.learning.pretrain import CONTEXT, corpus, fresh_model

    general, tokenizer = corpus(scenario)
    encoder = Encoder.of(scenario.data, tokenizer)
    objective: ClientObjective = CLIENT_OBJECTIVES[scenario.training.client_objective]
    split = encoded_split(
        scenario, *read_records(scenario.data), seed, partial(objective.encode, encoder)
    )
    owned = shares_of(scenario, split.training, seed)
    with torch.device("meta"):
        base = fresh_model(scenario.model.small, tokenizer, 0)
    pretraining, work = scenario.pretraining, 0.0
    if pretraining.charge:  # what is not paid for need not be measured
        work = weights_used(base, Encoder(tokenizer, CONTEXT).encode(general))
    return Sizes(
        matrices=adapter_matrices(base, scenario.model.lora),
        data_sizes=np.array([len(part) for part in owned]),
        flop_per_sample=objective.flop_per_sample(base, split.training_examples),
        pretraining_cost=PretrainingCost(6 * work, pretraining.steps, pretraining.batch_size),
    )
