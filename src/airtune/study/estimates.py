"""What a run will take on this machine, from the sizes of model and data."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from airtune.errors import shown
from airtune.learning.data import LeftOut
from airtune.learning.results import AdapterMatrix, PretrainingCost
from airtune.learning.sizes import Sizes
from airtune.memory import GIB, demand
from airtune.scenario import Scenario

if TYPE_CHECKING:
    from airtune.learning.sizes import Outline
    from airtune.planning.alternate import JointPlan

LIBRARIES_GIB = 0.7
"""Memory of Python with its libraries, before any model."""
EFFICIENCY = 0.35
"""Share of the rate of plain matrix products that training reaches."""
BYTES = {"float32": 4.0, "bfloat16": 2.0}


@dataclass(frozen=True)
class ModelFacts:
    """What a check reads of model and data.

    Attributes
    ----------
    sizes : Sizes
    left_out : tuple of LeftOut
        Records that are not used.
    weights : int
        Of the base model.
    width, layers, vocabulary : int
        Of the base model; 0 where its configuration does not say.
    longest : int
        Tokens of the longest training example.
    tokens, learnt_tokens : float
        Tokens of a training example, and those that are learnt, mean.
    examples, cut : int
        Training examples, and those of them that are cut to `data.max_tokens`.
    patterns : dict of str to dict of str to number
        Ranks and scales of its own that the adapter has for some layers; see
        :class:`airtune.learning.lora.AdapterShape`.
    """

    sizes: Sizes
    left_out: tuple[LeftOut, ...]
    weights: int
    width: int
    layers: int
    vocabulary: int
    longest: int
    tokens: float
    learnt_tokens: float
    examples: int
    cut: int
    patterns: dict[str, dict[str, float]]

    @classmethod
    def of(cls, outline: Outline) -> ModelFacts:
        """Return the facts of an outline."""
        config = outline.base.config.get_text_config()
        examples = outline.data.split.training_examples
        return cls(
            sizes=outline.sizes,
            left_out=outline.data.split.left_out,
            weights=sum(p.numel() for p in outline.base.parameters()),
            width=int(getattr(config, "hidden_size", 0) or 0),
            layers=int(getattr(config, "num_hidden_layers", 0) or 0),
            vocabulary=int(getattr(config, "vocab_size", 0) or 0),
            longest=max(len(example.ids) for example in examples),
            tokens=float(np.mean([len(example.ids) for example in examples])),
            learnt_tokens=float(np.mean([example.learnt_tokens for example in examples])),
            examples=len(examples),
            cut=sum(example.cut for example in examples),
            patterns=outline.patterns,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the facts in plain JSON types."""
        return asdict(self) | {
            "sizes": asdict(self.sizes) | {"data_sizes": self.sizes.data_sizes.tolist()}
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> ModelFacts:
        """Return the facts that :meth:`to_dict` has written."""
        sizes = document["sizes"]
        matrices = tuple(
            AdapterMatrix(**{**matrix, "shape": tuple(matrix["shape"])})
            for matrix in sizes["matrices"]
        )
        read = Sizes(
            matrices=matrices,
            data_sizes=np.array(sizes["data_sizes"], dtype=np.int64),
            flop_per_sample=sizes["flop_per_sample"],
            pretraining_cost=PretrainingCost(**sizes["pretraining_cost"]),
            flop_per_parameter=sizes["flop_per_parameter"],
        )
        left_out = tuple(LeftOut(**one) for one in document["left_out"])
        return cls(**{**document, "sizes": read, "left_out": left_out})


def memory_gib(scenario: Scenario, facts: ModelFacts) -> float:
    """Estimate the memory of a run [GiB]: libraries, weights, and a batch in training.

    Of a token in training every layer keeps about 17 values for each unit of width (34 bytes in 16
    bits, without attention scores: Korthikanti et al.: Reducing activation recomputation in large
    transformer models, 2022), and the language head a logit and its gradient for each word and
    response token.

    Parameters
    ----------
    scenario : Scenario
    facts : ModelFacts
    """
    settings = scenario.model
    weight = 4.5 / 8 if settings.quantization == "nf4" else BYTES.get(settings.dtype, 4.0)
    layers = min(2, facts.layers) if settings.gradient_checkpointing else facts.layers
    batch = scenario.training.batch_size_max
    values = 1.0 * batch * (facts.longest * layers * facts.width * 17)
    values += batch * facts.learnt_tokens * facts.vocabulary * 2
    values += scenario.evaluation.batch_size * facts.learnt_tokens * facts.vocabulary
    adapters = sum(matrix.size for matrix in facts.sizes.matrices)
    values += adapters * (4 + scenario.clients.count)
    return float(LIBRARIES_GIB + (facts.weights * weight + 4 * values) / GIB)


def client_memory_gib(scenario: Scenario, facts: ModelFacts, *, forward_only: bool) -> float:
    """Estimate what a client has to hold for its update [GiB]: weights, activations, adapters.

    With a backward pass every layer keeps its activations (:func:`memory_gib`), and each logit has
    a gradient.  Forward passes keep those of one layer at a time; besides the adapter there are a
    direction and the adapter moved along it, where otherwise a gradient and the update are.

    Parameters
    ----------
    scenario : Scenario
    facts : ModelFacts
    forward_only : bool
    """
    settings = scenario.model
    weight = 4.5 / 8 if settings.quantization == "nf4" else BYTES.get(settings.dtype, 4.0)
    layers = min(2, facts.layers) if settings.gradient_checkpointing else facts.layers
    batch = scenario.training.batch_size_max
    kept, copies = (min(1, facts.layers), 1) if forward_only else (layers, 2)
    values = 1.0 * batch * (facts.longest * kept * facts.width * 17)
    values += batch * facts.learnt_tokens * facts.vocabulary * copies
    values += 3 * sum(matrix.size for matrix in facts.sizes.matrices)
    return float((facts.weights * weight + 4 * values) / GIB)


def check_memory(scenario: Scenario, weights: float, adapter: float) -> None:
    """Refuse a model that does not fit into the memory, whatever the batches.

    Parameters
    ----------
    scenario : Scenario
    weights, adapter : float
        Numbers in the base model, and in one adapter.

    Raises
    ------
    InputError
        Says what is needed and what is there.
    """
    settings = scenario.model
    weight = 4.5 / 8 if settings.quantization == "nf4" else BYTES.get(settings.dtype, 4.0)
    demand(
        f"model.source = {shown(settings.source)}: {weights:.3g} weights in {settings.dtype} and "
        f"adapters of {adapter:.3g} numbers for {scenario.clients.limit} clients",
        weights * weight + 4.0 * adapter * (4 + scenario.clients.limit),
    )


def wall_s(
    scenario: Scenario, facts: ModelFacts, plans: Mapping[str, JointPlan], planning_s: float
) -> float:
    """Estimate roughly how long the rounds of a comparison take here [s].

    The learning by its floating-point operations at the rate of this machine, and the placement of
    each round by the time that planning a scheme took.  What else runs here at the time does not
    count: both are measured with :func:`spent_s`.

    Parameters
    ----------
    scenario : Scenario
    facts : ModelFacts
    plans : mapping of str to JointPlan
        By scheme.
    planning_s : float
        Time that planning a scheme took [s].
    """
    flop = facts.sizes.flop_per_sample
    # An evaluation is a forward pass: half of what a frozen base costs in training.
    evaluated = scenario.evaluation.records / scenario.evaluation.every / 2
    learning = radio = 0.0
    for joint in plans.values():
        plan = joint.plan
        samples = plan.batch_sizes[plan.participants].sum() * scenario.training.local_steps
        learning += plan.rounds * (samples + evaluated) * flop
        radio += plan.rounds * planning_s / 4
    return float(scenario.seeds * (learning / training_rate(scenario, facts) + radio))


def training_rate(scenario: Scenario, facts: ModelFacts) -> float:
    """Return how fast this machine trains the model [FLOP/s], as far as plain products tell."""
    batch = min(scenario.training.batch_size_max, 64)
    rows = min(int(facts.tokens * batch) + 1, 16384)
    return EFFICIENCY * matmul_rate(rows, min(facts.width or 512, 4096), scenario.threads)


LONGEST_S = 2.0
"""Time of the wall in which a rate is looked for [s]."""

TELLING_S = 1e-3
"""Least time of products that is taken for what they take [s]."""


def spent_s(began: tuple[float, float]) -> float:
    """Return the time since :func:`clocks` was asked [s], without that in which others computed.

    That is the processor's time of one thread; with several, which share the work, the wall's.
    """
    return min(now - before for now, before in zip(clocks(), began, strict=True))


def clocks() -> tuple[float, float]:
    """Return the time of the wall and that of this process on processors [s]."""
    return time.perf_counter(), time.process_time()


def matmul_rate(tokens: int, width: int, threads: int) -> float:
    """Measure the best rate of matrix products of a model's shape [FLOP/s], in about 0.1 s.

    Clocks of processors may stand still for longer than a small product takes: so many are timed
    together that at least :data:`TELLING_S` pass.
    """
    left = np.ones((tokens, width), np.float32)
    right = np.ones((width, 4 * width), np.float32)
    together, done, least = 1, 0, np.inf
    with threadpool_limits(threads):
        left @ right
        began, wall = time.perf_counter(), 0.0
        while wall < 0.1 or (least == np.inf and wall < LONGEST_S):
            start = clocks()
            for _ in range(together):
                left @ right
            done += together
            seconds = spent_s(start)
            if seconds < TELLING_S:
                together *= 2
            else:
                least = min(least, seconds / together)
            wall = time.perf_counter() - began
    if least == np.inf:  # no clock but the wall's goes on
        least = wall / done
    return float(8.0 * tokens * width * width / least)
