"""A link whose channels the server has measured where its antennas stand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from airtune.kinds import Integer
from airtune.radio.channels.base import Block, Transmitters
from airtune.radio.measured import Sounding, measure, updated
from airtune.scenario import Csi
from airtune.schemes.link import Link
from airtune.streams import generator


def measured(link: Link, clients: Integer, sounding: Sounding, csi: Csi, name: str) -> Link:
    """Return a link whose perceived paths agree with what is measured at its antennas.

    Parameters
    ----------
    link : Link
    clients : ndarray, int, shape (S,)
        Who sends pilots; of the others nothing new is known.
    sounding : Sounding
        How often.
    csi : Csi
        How wrong beliefs are.
    name : str
        Of this measurement among those of the round: it names the noise.
    """
    radio = link.radio
    rng = generator(radio.seed, "measured", radio.round, name)
    told = measure(link.true.everybody, link.perceived.everybody, radio.powers, sounding, rng)
    known = updated(radio.perceived, link.positions, told, csi)
    heard = np.isin(np.arange(len(radio.powers)), clients)
    paths = radio.perceived.clients.replaced(heard, known.clients)
    block = Block(radio.true, Transmitters(paths, known.interferers))
    return replace(link, radio=replace(radio, block=block))
