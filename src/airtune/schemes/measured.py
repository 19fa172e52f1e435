"""A link whose channels the server has measured where its antennas stand."""

from __future__ import annotations

from dataclasses import replace

from airtune.kinds import Integer
from airtune.radio.channels.base import Block, Paths, Transmitters
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
    believed = radio.perceived.of(clients)
    airs = link.true.of(clients), link.perceived.of(clients)
    told = measure(*airs, radio.powers[clients], sounding, rng)
    known = updated(believed, link.positions, told, csi)
    everybody = with_known(radio.perceived.clients, clients, known.clients)
    block = Block(radio.true, Transmitters(everybody, known.interferers))
    # what the pilots have told is no longer as wrong as the errors that are sampled
    return replace(link, radio=replace(radio, block=block, robust=None))


def with_known(paths: Paths, clients: Integer, known: Paths) -> Paths:
    """Return the paths of everybody with those that are now known of some clients (indices)."""
    gains, directions = paths.gains.copy(), paths.directions.copy()
    gains[clients], directions[clients] = known.gains, known.directions
    return replace(paths, gains=gains, directions=directions)
