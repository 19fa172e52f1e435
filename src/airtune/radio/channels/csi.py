"""Errors of channel-state information (CSI): the paths as the server believes them to be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from airtune.radio.channels import directions
from airtune.radio.channels.base import Paths, Transmitters
from airtune.radio.gaussian import complex_normal
from airtune.scenario import Csi
from airtune.streams import generator


def perceived_paths(paths: Paths, csi: Csi, rng: np.random.Generator) -> Paths:
    """Return the paths as the server perceives them.

    Each gain becomes ``a (1 + gain_error CN(0, 1))``, each direction is turned by a Gaussian of
    `angle_error_deg` about both tangent axes.  Without errors the paths come back unchanged.

    Parameters
    ----------
    paths : Paths
        True paths.
    csi : Csi
        Section ``radio.csi`` of the scenario.
    rng : Generator
        Source of the errors.

    Returns
    -------
    Paths
    """
    gains, turned = paths.gains, paths.directions
    if csi.gain_error > 0:
        gains = gains * (1.0 + csi.gain_error * complex_normal(gains.shape, rng))
    if csi.angle_error_deg > 0:
        turned = directions.random_step(turned, np.deg2rad(csi.angle_error_deg), rng)
    return replace(paths, gains=gains, directions=turned)


def perceived(true: Transmitters, csi: Csi, seed: int, round_index: int) -> Transmitters:
    """Return the paths of a round with CSI error, the same for every scheme of (seed, round).

    Departures from clients with several antennas are turned as directions are.

    Parameters
    ----------
    true : Transmitters
        True paths.
    csi : Csi
        Section ``radio.csi`` of the scenario.
    seed : int
        Root of the repetition's streams.
    round_index : int
        Round of the block.

    Returns
    -------
    Transmitters
    """
    clients = perceived_paths(true.clients, csi, generator(seed, "csi", round_index, "clients"))
    if clients.departures is not None and csi.angle_error_deg > 0:
        rng = generator(seed, "csi", round_index, "departures")
        step = np.deg2rad(csi.angle_error_deg)
        turned = directions.random_step(clients.departures, step, rng)
        clients = replace(clients, departures=turned)
    return Transmitters(
        clients,
        perceived_paths(true.interferers, csi, generator(seed, "csi", round_index, "interferers")),
    )
