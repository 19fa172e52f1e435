"""The size of a study: what would not fit into the memory is refused before any of it is made."""

from __future__ import annotations

from airtune.memory import demand
from airtune.scenario.scenario import Scenario


def check_paths(scenario: Scenario) -> None:
    """Refuse more paths of clients and interferers than fit into the memory.

    Raises
    ------
    InputError
        Names the settings, what is needed and what is there.

    Examples
    --------
    >>> check_paths(Scenario())
    """
    clients, radio, antennas = scenario.clients, scenario.radio, scenario.array.antennas
    wide = radio.resource_blocks > 1
    stations = clients.count * clients.antennas + radio.interferers.count
    several = f"clients.antennas = {clients.antennas}, " if clients.antennas > 1 else ""
    blocks = f"radio.resource_blocks = {radio.resource_blocks}, " if wide else ""
    demand(
        f"clients.count = {clients.count}, {several}radio.paths.count = {radio.paths.count}, "
        f"{blocks}array.antennas = {antennas}: the paths",
        32.0 * stations * radio.paths.count * (antennas + 5 + 2 * wide * radio.resource_blocks),
    )
