"""The broadcast that opens a round: the adapters as they are, or their change rounded.

With `radio.downlink_quantizer` the server sends what the clients' copy of the adapter lacks,
``c = theta - w``, rounded: ``w' = w + Q(c)``.  What was lost, ``theta - w'``, is in the next change
by itself: error feedback at the server.  All start from the same copy, the adapter that a run
begins with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airtune.kinds import Integer, Mask
from airtune.planning.aggregation import exact_broadcast, exact_of
from airtune.planning.broadcast import adapter_sizes, broadcast_coding
from airtune.planning.repetition import Repetition
from airtune.rounds.state import State
from airtune.schemes import AirInterface, Broadcast

Adapter = NDArray[np.float32]


@dataclass(frozen=True)
class Sent:
    """What was broadcast.

    Attributes
    ----------
    adapter : ndarray, float32, shape (d,)
        The copy that the clients have now.
    message : Broadcast or None
        Its length and who hears it; None: the adapter as it is, to the selected clients.
    rounded : bool
        Whether the copy of the clients is not the server's.
    """

    adapter: Adapter
    message: Broadcast | None = None
    rounded: bool = False

    @property
    def copy(self) -> Adapter | None:
        """What has to be remembered: the copy of the clients, where it is not the server's."""
        return self.adapter if self.rounded else None


def broadcast(
    repetition: Repetition,
    air: AirInterface,
    state: State,
    participants: Integer,
    missed: Mask | None = None,
) -> Sent:
    """Return what the broadcast of the next round brings to the clients.

    Who has missed changes can follow only with them: they are sent again, as many bits for each
    round missed as for this one.

    Parameters
    ----------
    repetition : Repetition
    air : AirInterface
        Of the scheme.
    state : State
        After the last round.
    participants : ndarray, int
        Ascending indices of all clients that take part.
    missed : ndarray, bool, shape (K,), optional
        Who does not hear it.
    """
    exact = exact_of(repetition, air)
    if exact is not None:
        return Sent(state.model, exact_broadcast(exact, air, participants, state.heard))
    quantiser, sizes = broadcast_coding(repetition, air), adapter_sizes(repetition)
    if quantiser is None:
        return Sent(state.adapter)
    copy = state.adapter if state.clients_copy is None else state.clients_copy
    sent = quantiser.quantise(state.adapter.astype(np.float64) - copy, sizes)
    bits, received = air.booked_bits(sent, len(sizes)), state.faults.received
    if received is not None and missed is not None and not missed[participants].all():
        behind = received[participants[~missed[participants]]].min()
        bits *= 1 + state.round - int(behind)
    after = (copy + sent.values).astype(np.float32)
    return Sent(after, Broadcast(participants, bits), rounded=True)
