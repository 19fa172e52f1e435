"""Pilots, reports and broadcast of a mean round."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from airtune.kinds import Mask
from airtune.planning.broadcast import expected_broadcast
from airtune.planning.many_reports import ExpectedOverheads, pilots_of_all
from airtune.planning.repetition import Repetition
from airtune.scheduling import Choice
from airtune.schemes import BuiltScheme, Forecast, Link, Signalling


def expected_signalling(
    repetition: Repetition,
    scheme: BuiltScheme,
    choice: Choice,
    participants: Mask,
    forecast: Forecast,
) -> Signalling:
    """Return who sends pilots and reports in a mean round, and who hears the broadcast.

    Parameters
    ----------
    repetition : Repetition
    scheme : BuiltScheme
    choice : Choice
        Who transmits.
    participants : ndarray of bool, shape (K,)
    forecast : Forecast
        Who has no airtime reports nothing.
    """
    everyone = np.flatnonzero(participants)
    signalling = repetition.signalling(
        scheme.array,
        everyone,
        forecast.airtime_s[choice.clients] > 0,
        broadcast=expected_broadcast(repetition, scheme.air, everyone),
    )
    if repetition.scenario.aggregation.scale_reports == "joint":
        bits = np.full(len(choice.clients), _report_bits(repetition, scheme))
        signalling = replace(signalling, report_bits=bits)
    return signalling


def expected_overheads(
    repetition: Repetition,
    scheme: BuiltScheme,
    broadcast_and_upload: tuple[Link, Link],
    choice: Choice,
    participants: Mask,
    signalling: Signalling,
) -> ExpectedOverheads:
    """Return pilots, reports and broadcast of a mean round.

    Where some of the participants are selected only, the means over all who may be are taken:
    pilots are sent in turn.

    Parameters
    ----------
    repetition : Repetition
    scheme : BuiltScheme
    broadcast_and_upload : (Link, Link)
        As in :meth:`airtune.schemes.air.base.AirInterface.overheads`.
    choice : Choice
        Who transmits.
    participants : ndarray of bool, shape (K,)
    signalling : Signalling
        Of :func:`expected_signalling`.
    """
    hardware, (before, link) = repetition.hardware, broadcast_and_upload
    everyone, sizes = np.flatnonzero(participants), repetition.matrix_sizes
    booked = scheme.air.overheads(before, link, choice.clients, sizes, signalling)
    broadcast = booked.downlink_s, booked.downlink_j
    if len(choice.clients) == len(everyone):
        drawn = hardware.client_energy(booked.pilot_j, booked.times_s)
        return ExpectedOverheads(drawn, booked.pilot_s, *broadcast)
    selected, count = len(choice.clients), len(everyone)
    of_all = replace(signalling, reporting=None, report_bits=None)
    if signalling.report_bits is not None:
        of_all = replace(of_all, report_bits=np.full(count, _report_bits(repetition, scheme)))
    both = pilots_of_all(scheme.air, link, everyone, sizes, of_all, selected)
    drawn = hardware.client_energy(both.pilot_j, both.times_s)
    silent_s = signalling.silent_symbols / repetition.scenario.radio.bandwidth_hz
    if signalling.sounded is None:
        mean_s = (both.pilot_s - silent_s) * selected / count + silent_s
        return ExpectedOverheads(drawn, mean_s, *broadcast)
    nobody = replace(of_all, reporting=np.zeros(len(everyone), dtype=np.bool_))
    alone = scheme.air.pilots(link, everyone, sizes, nobody)  # pilots that all of them send
    mean_s = alone.pilot_s + (both.pilot_s - alone.pilot_s) * selected / count
    idle = (1 - selected / count) * hardware.client_energy(alone.pilot_j, alone.times_s)
    return ExpectedOverheads(drawn, mean_s, *broadcast, shared_j=float(idle.sum()))


def _report_bits(repetition: Repetition, scheme: BuiltScheme) -> float:
    """Return the mean length of a joint report [bit].

    Half of the full one, and over the run one in full besides: for the first report, and for
    matrices that are 0 in the first round.
    """
    rounds = repetition.inputs.likely_rounds
    return scheme.air.reported_bits(repetition.matrix_sizes) * (0.5 + 1.0 / rounds)
