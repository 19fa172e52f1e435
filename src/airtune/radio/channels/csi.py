"""Errors of channel-state information: the paths as the server believes them to be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from airtune.radio.channels import directions
from airtune.radio.channels.base import Block, Paths
from airtune.radio.channels.block_fading import _complex_normal
from airtune.scenario import Csi
from airtune.streams import generator


def perceived(paths: Paths, csi: Csi, rng: np.random.Generator) -> Paths:
    """Return the paths as the planner sees them; the air uses the true ones.

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
    gains, moved = paths.gains, paths.directions
    if csi.gain_error > 0:
        gains = gains * (1.0 + csi.gain_error * _complex_normal(gains.shape, rng))
    if csi.angle_error_deg > 0:
        moved = directions.random_step(moved, np.deg2rad(csi.angle_error_deg), rng)
    return replace(paths, gains=gains, directions=moved)


def perceived_block(block: Block, csi: Csi, seed: int, round_index: int) -> Block:
    """Return the block of a round with CSI error, the same for every scheme of (seed, round)."""
    return Block(
        perceived(block.clients, csi, generator(seed, "csi", round_index, "clients")),
        perceived(block.interferers, csi, generator(seed, "csi", round_index, "interferers")),
    )
