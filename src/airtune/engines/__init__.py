"""Where client updates are computed; what they are is the learning wing's business."""

from airtune.engines.base import Engine, RoundUpdates
from airtune.engines.local import LocalEngine

__all__ = ["Engine", "LocalEngine", "RoundUpdates"]
