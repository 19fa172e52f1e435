"""The sizes of model and data that a plan needs, without any weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airtune.learning.learner import Learner, prepare, shares_of, split_records
from airtune.learning.lora import adapter_matrices
from airtune.learning.results import AdapterMatrix, PretrainingCost
from airtune.learning.text import Encoder
from airtune.scenario import Scenario


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

    training, _ = split_records(scenario, seed)
    owned = shares_of(scenario, training, seed)
    general, tokenizer = corpus(scenario)
    with torch.device("meta"):
        base = fresh_model(scenario.model.small, tokenizer, 0)
    examples = Encoder(tokenizer, scenario.data.max_tokens, scenario.data.template).encode(training)
    pretraining, work = scenario.pretraining, 0.0
    if pretraining.charge:  # what is not paid for need not be measured
        work = weights_used(base, Encoder(tokenizer, CONTEXT).encode(general))
    return Sizes(
        matrices=adapter_matrices(base, scenario.model.lora),
        data_sizes=np.array([len(part) for part in owned]),
        flop_per_sample=4 * weights_used(base, examples),
        pretraining_cost=PretrainingCost(6 * work, pretraining.steps, pretraining.batch_size),
    )
