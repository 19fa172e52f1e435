"""TensorBoard: event files under ``track/tensorboard``, one folder for each scheme and seed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airtune.track.base import TrackedCell, check_installed

_COMPARED = ("loss", "mse_db", "time_s", "energy_j", "final/exact_match")
"""Figures in the table of hyperparameters."""


class TensorBoardTracker:
    """Writes scalars and hyperparameters with ``torch.utils.tensorboard``.

    Parameters
    ----------
    folder : Path
        ``tensorboard --logdir`` takes it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer: Any = None
        self._last = 0

    @staticmethod
    def check() -> None:
        """Refuse to begin without the library."""
        check_installed("tensorboard", "tensorboard")

    def begin(self, cell: TrackedCell) -> None:
        """Begin the event file of a cell."""
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard import summary as summaries

        table: Any = summaries.hparams  # without types
        place = self.folder / cell.scheme / f"seed-{cell.seed}"
        if place.is_dir():
            shutil.rmtree(place)
        self._writer = SummaryWriter(log_dir=str(place))
        known = {"scheme": cell.scheme, "seed": cell.seed, **cell.parameters}
        for summary in table(known, dict.fromkeys(_COMPARED, 0.0)):
            self._writer.file_writer.add_summary(summary)

    def log(self, round_index: int, figures: Mapping[str, float]) -> None:
        """Write the scalars of a round to disk."""
        self._last = round_index
        for name, value in figures.items():
            self._writer.add_scalar(name, value, round_index)
        self._writer.flush()

    def end(self, results: Mapping[str, float] | None) -> None:
        """Write the results at the last round, and close the file."""
        writer, self._writer = self._writer, None
        for name, value in (results or {}).items():
            writer.add_scalar(name, value, self._last)
        writer.close()
