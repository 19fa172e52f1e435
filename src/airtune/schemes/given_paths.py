"""The paths that a channel gives for a round: what can be computed with, and what is needed."""

from __future__ import annotations

import numpy as np

from airtune.errors import InputError, clip
from airtune.placement import ProblemError
from airtune.placement.values import check_range
from airtune.radio.channels.base import Block, Transmitters
from airtune.radio.units import LinkBudget
from airtune.scenario import Scenario


def of_antennas(block: Block, scenario: Scenario) -> Block:
    """Return a block with departures from the clients where they have several antennas only.

    Raises
    ------
    InputError
        They have several, and the channel gives no departures.
    """
    antennas = scenario.clients.antennas
    if antennas > 1:
        for one in (block.true.clients, block.perceived.clients):
            if one.departures is None:
                raise InputError(
                    f"clients.antennas = {antennas}: must be 1 with radio.channel = "
                    f"{clip(scenario.radio.channel)}, whose paths have no departures"
                )
        return block
    if block.true.clients.departures is None and block.perceived.clients.departures is None:
        return block

    true = block.true.of_one_antenna()
    known = block.perceived is block.true
    return Block(true, true if known else block.perceived.of_one_antenna())


def check_paths(transmitters: Transmitters, budget: LinkBudget, antennas: int) -> None:
    """Refuse paths that cannot be computed with.

    Raises
    ------
    ProblemError
    """
    clients, interferers = transmitters.clients, transmitters.interferers
    for paths in (clients, interferers):
        for name in ("gains", "directions", "delays", "departures"):
            values = getattr(paths, name)
            if values is not None and not np.isfinite(values).all():
                raise ProblemError(f"the {name} of its paths must be finite numbers")
        if paths.distances is not None and not (paths.distances > 0).all():
            raise ProblemError("the distances of its paths must be > 0")
    with np.errstate(all="ignore"):
        check_range(
            np.sqrt(budget.client_powers)[:, None] * clients.gains,
            np.sqrt(budget.interferer_powers)[:, None] * interferers.gains,
            budget.noise,
            antennas,
            silent=True,
        )
