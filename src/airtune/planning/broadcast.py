"""The broadcast of quantised changes (`radio.downlink_quantizer`): its quantiser and its length."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airtune.planning.aggregation import exact_broadcast, exact_of
from airtune.planning.repetition import Repetition
from airtune.radio.quantisers import Quantised, Quantiser
from airtune.radio.quantisers.coding import Coding
from airtune.schemes import AirInterface, Broadcast


def adapter_sizes(repetition: Repetition) -> NDArray[np.int64]:
    """Return the entries of each matrix of the adapter, whatever of it is sent."""
    return np.array([matrix.size for matrix in repetition.sizes.matrices], dtype=np.int64)


def broadcast_coding(repetition: Repetition, air: AirInterface) -> Quantiser | None:
    """Return what rounds the change of the adapter for the broadcast; None: nothing does."""
    radio = repetition.scenario.radio
    if radio.downlink_quantizer == "none" or not air.broadcasts:
        return None
    return Coding(radio.downlink_quantizer, radio.downlink_bits, feedback=True).quantiser


def expected_broadcast(
    repetition: Repetition, air: AirInterface, participants: NDArray[np.int64]
) -> Broadcast | None:
    """Return the broadcast of a mean round; None where it is the adapters as they are.

    Parameters
    ----------
    repetition : Repetition
    air : AirInterface
    participants : ndarray, int
        Ascending indices of all clients that take part.
    """
    exact = exact_of(repetition, air)
    if exact is not None:
        heard = min(repetition.scenario.clients.limit, len(participants))
        return exact_broadcast(exact, air, participants, heard)
    quantiser, sizes = broadcast_coding(repetition, air), adapter_sizes(repetition)
    if quantiser is None:
        return None
    entries, count = int(sizes.sum()), len(sizes)
    bits, groups = int(quantiser.expected_bits(sizes)), quantiser.group_bits * count
    whole = Quantised(np.zeros(entries), bits, groups, entries)
    return Broadcast(participants, air.booked_bits(whole, count))
