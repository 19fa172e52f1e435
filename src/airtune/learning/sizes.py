"""The sizes of model and data that a plan needs, without any weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airtune.learning.federated_data import FederatedData, federated_data
from airtune.learning.formats import read_records
from airtune.learning.learner import Learner
from airtune.learning.results import AdapterMatrix, PretrainingCost
from airtune.scenario import Scenario


@dataclass(frozen=True)
class Sizes:
    """What a plan reads of a :class:`~airtune.learning.learner.Learner`; see there.

    Attributes
    ----------
    flop_per_parameter : float or None
        FLOP of a sample for each weight, were every weight used on every token (4 per token with a
        frozen base, 2 more for each further forward pass): what the books of a cost twin multiply
        with its parameters.  None where an engine does not say.
    """

    matrices: tuple[AdapterMatrix, ...]
    data_sizes: NDArray[np.int64]
    flop_per_sample: float
    pretraining_cost: PretrainingCost
    flop_per_parameter: float | None = None


@dataclass(frozen=True)
class Outline:
    """Model and data of a repetition, without any weights.

    Attributes
    ----------
    sizes : Sizes
    data : FederatedData
    base : transformers.PreTrainedModel
        On the device ``meta``.
    patterns : dict of str to dict of str to number
        See :class:`airtune.learning.lora.AdapterShape`.
    """

    sizes: Sizes
    data: FederatedData
    base: Any
    patterns: dict[str, dict[str, float]]


def sizes_of(learner: Learner | Sizes) -> Sizes:
    """Return the sizes of a learner that has been prepared."""
    return Sizes(
        matrices=learner.matrices,
        data_sizes=learner.data_sizes,
        flop_per_sample=learner.flop_per_sample,
        pretraining_cost=learner.pretraining_cost,
        flop_per_parameter=learner.flop_per_parameter,
    )


def measure(scenario: Scenario, seed: int) -> Sizes:
    """Return the sizes of what :func:`airtune.learning.learner.prepare` would make.

    Nothing is trained, and no weights are made or read.

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
    return outline(scenario, seed).sizes


def outline(scenario: Scenario, seed: int) -> Outline:
    """Return model and data as :func:`airtune.learning.learner.prepare` has them, less weights.

    Parameters and errors are those of :func:`measure`.
    """
    from airtune.learning.lora import adapter_shape
    from airtune.learning.sources import open_shape

    read = read_records(scenario.data)
    base, tokenizer = open_shape(scenario)
    data = federated_data(scenario, seed, read, base, tokenizer)
    shape = adapter_shape(base, scenario.model.lora)
    sizes = Sizes(
        matrices=shape.matrices,
        data_sizes=data.sizes,
        flop_per_sample=data.flop_per_sample,
        pretraining_cost=_pretraining_cost(scenario, base, tokenizer),
        flop_per_parameter=data.flop_per_parameter,
    )
    return Outline(sizes, data, base, shape.patterns)


def _pretraining_cost(scenario: Scenario, base: Any, tokenizer: Any) -> PretrainingCost:
    """Return what phase 1 costs; what is not paid for is not measured."""
    from airtune.learning.model import count_parameters, weights_used
    from airtune.learning.pretrain import CONTEXT, corpus_records, cost_of
    from airtune.learning.text import Encoder

    if scenario.model.source != "small":
        return PretrainingCost(0.0, 0, 1)
    pretraining, work = scenario.pretraining, 0.0
    if pretraining.charge:
        examples = Encoder(tokenizer, CONTEXT).encode(corpus_records(scenario))
        work = weights_used(base, examples)
    return cost_of(work, pretraining, sum(count_parameters(base)))
