"""The radio of a round when the clients send, some time after the server has looked at it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy.special import j0

from airtune.errors import InputError, clip
from airtune.radio.channels.base import Block, Channel, Transmitters
from airtune.scenario import Csi, Radio
from airtune.schemes.link import RadioRound


def checked(channel: Channel, radio: Radio) -> Channel:
    """Return a channel that has what `radio.csi.age_s` asks for.

    Parameters
    ----------
    channel : Channel
    radio : Radio
        Section ``radio`` of the scenario.

    Raises
    ------
    InputError
        Paths are to grow old, and those of the channel stay for a whole round.
    """
    if radio.csi.age_s != 0 and not channel.turns:
        raise InputError(
            f"radio.csi.age_s = {radio.csi.age_s}: must be 0 with radio.channel = "
            f"{clip(radio.channel)}, whose paths stay for a whole round (it has no later)"
        )
    return channel


def aged(radio: RadioRound, channel: Channel, age_s: float) -> RadioRound:
    """Return a round whose true paths have gone on while what is believed of them has not.

    A jammer's paths, which the channel does not have, stay.

    Parameters
    ----------
    radio : RadioRound
    channel : Channel
        Of the repetition.
    age_s : float
        Age of what the server believes when the clients send [s]; 0 leaves the round as it is.
    """
    if age_s == 0.0:
        return radio
    true = channel.later(radio.round, age_s)
    others, count = radio.true.interferers, len(true.interferers.gains)
    if len(others.gains) > count:
        jammer = others.of(np.arange(count, len(others.gains)))
        true = Transmitters(true.clients, true.interferers.joined(jammer))
    return replace(radio, block=Block(true, radio.perceived), age_s=age_s)


def outdated(csi: Csi, age_s: float, max_doppler_hz: float | None) -> Csi:
    """Return errors of channel knowledge that grow with its age.

    A gain whose phase has gone on is off by ``E |exp(j phi) - 1|^2 = 2 (1 - J0(2 pi f t))`` of its
    power, in Clarke's model of waves from all around.

    Parameters
    ----------
    csi : Csi
        Section ``radio.csi`` of the scenario.
    age_s : float  [s]
    max_doppler_hz : float or None
        f [Hz]; None, not known: nothing is known of the phases.

    Examples
    --------
    >>> outdated(Csi(gain_error=0.1), 0.0, 10.0).gain_error
    0.1
    >>> round(outdated(Csi(), 0.01, 1.0).gain_error, 3)  # sqrt(2) pi f t at first
    0.044
    """
    if age_s == 0.0:
        return csi
    alike = 0.0 if max_doppler_hz is None else float(j0(2.0 * np.pi * max_doppler_hz * age_s))
    error = math.sqrt(csi.gain_error**2 + 2.0 * (1.0 - alike))
    return csi.model_copy(update={"gain_error": error})
