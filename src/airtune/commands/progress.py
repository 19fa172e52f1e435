"""Progress on the terminal, under the name that commands use; :mod:`airtune.study.progress`."""

from airtune.study.progress import Progress, SweepProgress, preparing

__all__ = ["Progress", "SweepProgress", "preparing"]
