"""What learning hands to the rest of the package: plain records of numpy arrays and numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
ClientState = dict[str, NDArray[Any]]
"""What a client remembers from round to round: arrays by name; most objectives need none."""


@dataclass(frozen=True, slots=True)
class AdapterMatrix:
    """One adapter matrix and its place in the flat vector.

    Attributes
    ----------
    name : str
        Name of the parameter as PEFT saves it.
    shape : tuple of int
        Shape of the matrix; the vector holds it row by row.
    start, size : int
        The matrix is ``vector[start : start + size]``.
    """

    name: str
    shape: tuple[int, ...]
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class ClientUpdate:
    """One client's contribution to a round.

    Attributes
    ----------
    update : ndarray, float32, shape (d,)
        Descent direction, to be subtracted; zeros when not `finite`.
    loss : float
        Mean training loss in nat (mean over samples of the mean over a sample's response tokens).
    tokens : int
        Tokens processed, padding left out.
    finite : bool
        False when the loss or the update held a NaN or an infinity.
    state : dict of str to ndarray
        The client's state after the round; see
        :class:`airtune.learning.objectives.base.ClientObjective`.
    """

    update: Vector
    loss: float
    tokens: int
    finite: bool
    state: ClientState = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DomainScore:
    """Validation figures of one domain.

    Attributes
    ----------
    loss : float
        Mean cross-entropy per response token in nat, or mean loss of the pairs.
    exact_match : float or None
        Share of the records whose greedy answer equals the reference, in [0, 1]; None for pairs.
    records : int
        Validation records evaluated.
    preference_accuracy : float or None
        Share of the pairs whose better answer is preferred, in [0, 1]; None where there are none.
    tokens : int or None
        Response tokens of these records, over which the loss is a mean; None: over the records.
    """

    loss: float
    exact_match: float | None
    records: int
    preference_accuracy: float | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Validation figures of an adapter over all domains and for each domain.

    Attributes
    ----------
    loss : float
        Mean cross-entropy per response token in nat, over all records, or mean loss of the pairs.
    perplexity : float or None
        ``exp(loss)``; None where the loss is not the cross-entropy of text.
    exact_match : float or None
        Share of the records whose greedy answer equals the reference, in [0, 1]; None for pairs.
    domains : dict of str to DomainScore
        The same for each domain; ``""`` is the domain of unlabelled records.
    token_accuracy : float or None
        Share of the response tokens that have the largest logit where the reference is the context
        (teacher forcing), in [0, 1].
    preference_accuracy : float or None
        Share of the pairs whose better answer is preferred, in [0, 1]; None where there are none.
    """

    loss: float
    perplexity: float | None
    exact_match: float | None
    domains: dict[str, DomainScore]
    token_accuracy: float | None = None
    preference_accuracy: float | None = None

    @property
    def records(self) -> int:
        """Validation records, or pairs, of all domains."""
        return sum(score.records for score in self.domains.values())


@dataclass(frozen=True, slots=True)
class PretrainingCost:
    """What phase 1 costs the server.

    Attributes
    ----------
    flop_per_sample : float
        Training FLOP of one sample: about 6 FLOP per parameter and token.
    steps : int
        Optimiser steps; 0 for a model that was ready.
    batch_size : int
        Samples of one step.
    flop_per_parameter : float
        FLOP of one sample over the weights of the model, for the books of a cost twin.
    """

    flop_per_sample: float
    steps: int
    batch_size: int
    flop_per_parameter: float = 0.0
