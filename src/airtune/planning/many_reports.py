"""Pilots and reports of more clients than can report at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from airtune.costs import FloatArray
from airtune.kinds import Integer
from airtune.schemes import Link
from airtune.schemes.air.base import AirInterface
from airtune.schemes.air.signalling import Overheads, Signalling

MOST = 256
"""Joint reports of more clients are computed in sets: their work grows with the cube."""


@dataclass(frozen=True)
class ExpectedOverheads:
    """Pilots, reports and broadcast of a mean round.

    Attributes
    ----------
    pilot_j : ndarray, float, shape (E,)
        What each participant draws in a round in which it is selected [J].
    pilot_s, downlink_s : float  [s]
    downlink_j : float
        Radiated by the base station [J].
    shared_j : float
        Drawn by participants for pilots in rounds in which they are not selected [J].
    """

    pilot_j: FloatArray
    pilot_s: float
    downlink_s: float
    downlink_j: float
    shared_j: float = 0.0


def pilots_of_all(
    air: AirInterface,
    link: Link,
    clients: Integer,
    matrix_sizes: Integer,
    signalling: Signalling,
    together: int,
) -> Overheads:
    """Return pilots and reports of all clients, of whom some at a time transmit in a round.

    Up to `MOST` clients report in one message of all of them.  More do it in sets as large as
    those that transmit, each client in one of the sets: what a set takes is what a round takes,
    and `pilot_s` is the sum of the sets'.

    Parameters
    ----------
    air : AirInterface
    link : Link
    clients, matrix_sizes, signalling
        As in :meth:`airtune.schemes.air.base.AirInterface.pilots`; all report the same bits.
    together : int
        Clients that transmit in a round.

    Returns
    -------
    Overheads
        Without the broadcast.
    """
    if air.aggregation.scale_reports != "joint" or len(clients) <= MOST:
        return air.pilots(link, clients, matrix_sizes, signalling)

    def reporting(group: Integer, some: bool) -> Overheads:
        bits = signalling.report_bits
        given = replace(
            signalling,
            report_bits=None if bits is None else np.full(len(group), bits[0]),
            reporting=np.full(len(group), some),
        )
        return air.pilots(link, group, matrix_sizes, given)

    found = reporting(clients, some=False)
    joules, times, pilot_s = found.pilot_j.copy(), found.times_s.copy(), found.pilot_s
    senders = clients if found.senders is None else found.senders
    sets = -(-len(clients) // together)
    for first in range(sets):
        group = clients[first::sets]
        with_reports, without = reporting(group, some=True), reporting(group, some=False)
        theirs = group if without.senders is None else without.senders
        at = np.searchsorted(senders, theirs)
        joules[at] += with_reports.pilot_j - without.pilot_j
        times[at] += with_reports.times_s - without.times_s
        pilot_s += with_reports.pilot_s - without.pilot_s
    return replace(found, pilot_j=joules, sending_s=times, pilot_s=pilot_s)
