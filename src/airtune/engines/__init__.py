"""Where client updates are computed: the contract, and the engine of this process."""

from airtune.engines.base import Engine, RoundUpdates
from airtune.engines.local import LocalEngine

__all__ = ["Engine", "LocalEngine", "RoundUpdates"]
