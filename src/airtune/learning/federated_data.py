"""The data of a repetition as its clients hold them: read, encoded, split and shared out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from airtune.errors import InputError
from airtune.learning.data import LeftOut, Record
from airtune.learning.pairs import answers
from airtune.learning.split import Split, encoded_split, shares_of
from airtune.learning.text import Encoder, Example
from airtune.learning.vocabulary import check_ids
from airtune.registry import CLIENT_OBJECTIVES
from airtune.scenario import Scenario

if TYPE_CHECKING:
    from airtune.learning.objectives.base import ClientObjective


@dataclass(frozen=True)
class FederatedData:
    """Examples of one repetition and who holds them.

    Attributes
    ----------
    encoder : Encoder
    split : Split
    shares : tuple of ndarray, int
        Indices of each client's training records.
    flop_per_sample : float
        Training FLOP of one sample of mean length.
    flop_per_parameter : float
        The same for each weight, were every weight used on every token: 4 per token, or what the
        client objective takes, for the books of a cost twin.
    """

    encoder: Encoder
    split: Split
    shares: tuple[NDArray[np.int64], ...]
    flop_per_sample: float
    flop_per_parameter: float

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Training records of each client, shape (K,)."""
        return np.array([len(share) for share in self.shares])


def federated_data(
    scenario: Scenario,
    seed: int,
    read: tuple[Sequence[Record], Sequence[LeftOut]],
    base: Any,
    tokenizer: Any,
) -> FederatedData:
    """Encode, split and share out the records of a scenario.

    Parameters
    ----------
    scenario : Scenario
    seed : int
        Root of this repetition's streams.
    read : tuple
        Records and those left out, of :func:`airtune.learning.formats.read_records`.
    base : transformers.PreTrainedModel
        The model; without weights (device ``meta``) is enough.
    tokenizer : transformers tokenizer

    Raises
    ------
    InputError
        The records cannot be used, or the model cannot take them.
    """
    encoder = Encoder.of(scenario.data, tokenizer)
    objective: ClientObjective = CLIENT_OBJECTIVES[scenario.training.client_objective]
    split = encoded_split(scenario, *read, seed, partial(objective.encode, encoder))
    examples = answers([*split.training_examples, *split.validation_examples])
    check_ids(scenario.model.source, base, tokenizer, examples)
    _check_positions(scenario, base, examples)
    flop = objective.flop_per_sample(base, split.training_examples)
    return FederatedData(
        encoder,
        split,
        shares_of(scenario, split.training, seed),
        flop,
        _per_parameter(flop, base, answers(split.training_examples)),
    )


def _per_parameter(flop: float, base: Any, examples: Sequence[Example]) -> float:
    """Return the FLOP of a sample for each weight, were every weight used on every token.

    The passes that the objective takes, forward and backward, are its FLOP over what one use of the
    weights costs.

    Parameters
    ----------
    flop : float
        Of a sample of the client objective.
    base : transformers.PreTrainedModel
    examples : sequence of Example
        All texts that are learnt from.
    """
    from airtune.learning.model import weights_used

    tokens = float(np.mean([len(example.ids) for example in examples]))
    return flop / weights_used(base, examples) * tokens


def _check_positions(scenario: Scenario, base: Any, examples: Sequence[Example]) -> None:
    limit = getattr(base.config.get_text_config(), "max_position_embeddings", None)
    longest = max(len(example.ids) for example in examples)
    if limit is not None and longest > limit:
        raise InputError(
            f"data.max_tokens = {scenario.data.max_tokens}: a record has {longest} tokens; the "
            f"model takes at most {limit}"
        )
