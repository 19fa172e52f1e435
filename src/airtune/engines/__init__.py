"""Where client updates are computed; what they are is the learning wing's business."""

from airtune.engines.local import LocalEngine, RoundUpdates

__all__ = ["LocalEngine", "RoundUpdates"]
