"""Settings of what goes wrong in the rounds; nothing does by default."""

from __future__ import annotations

from airtune.scenario.base import Settings
from airtune.scenario.poison import Poison


class Faults(Settings):
    """What goes wrong in the rounds; nothing by default."""

    poison: Poison = Poison()
