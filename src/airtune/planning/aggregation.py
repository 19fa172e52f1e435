"""What `digital.aggregation` makes of a repetition: payload, aggregation and broadcast."""

from __future__ import annotations

from dataclasses import replace

from airtune.kinds import Integer
from airtune.learning.exact import AGGREGATIONS, ExactAggregation, pairs_of
from airtune.learning.payload.shared_a import SharedA
from airtune.planning.repetition import Repetition
from airtune.registry import SCHEMES
from airtune.schemes import AirInterface, Broadcast
from airtune.schemes.air.digital import Digital


def aggregating(repetition: Repetition, scheme: str) -> Repetition:
    """Return the repetition of a scheme whose clients keep a B of their own; others as they are.

    Raises
    ------
    InputError
        The adapter matrices do not go with `digital.aggregation`.
    """
    kind, matrices = repetition.scenario.digital.aggregation, tuple(repetition.sizes.matrices)
    if kind == "mean" or not issubclass(SCHEMES[scheme].air, Digital):
        return repetition
    if kind != "fedsa":
        pairs_of(matrices)  # says what does not fit
        return repetition
    payload = SharedA(matrices, repetition.seed)
    payload.blocks("")  # says what does not fit
    return replace(repetition, channel=repetition.paths, own_payload=payload, _schemes={})


def exact_of(repetition: Repetition, air: AirInterface) -> ExactAggregation | None:
    """Return what aggregates the products of the factors exactly; None: the mean of the updates."""
    kind = AGGREGATIONS.get(air.digital.aggregation) if isinstance(air, Digital) else None
    return None if kind is None else kind(pairs_of(repetition.sizes.matrices), repetition.seed)


def exact_broadcast(
    exact: ExactAggregation, air: AirInterface, participants: Integer, clients: int
) -> Broadcast:
    """Return the broadcast after a round in which so many clients were heard; 0: the adapter alone.

    It is so before the first round and after one without a step: the change was told before.

    Everybody has to follow every change of the frozen weights.  A cost twin has large layers: it
    is told of them by factors.

    Parameters
    ----------
    exact : ExactAggregation
    air : AirInterface
    participants : ndarray, int
        Ascending indices of all clients that take part.
    clients : int
    """
    twin = air.twin
    numbers = exact.message(clients) if twin is None else max(1, clients) * twin.entries
    return Broadcast(participants, float(numbers * air.radio.downlink_bits))
