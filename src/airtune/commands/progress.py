"""Progress on the terminal, under the name that commands use."""

from airtune.study.progress import Progress, preparing
from airtune.study.sweep_progress import SweepProgress

__all__ = ["Progress", "SweepProgress", "preparing"]
