"""Trackio: a local database under ``track/trackio``, one run for each scheme and seed."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airtune.track.base import TrackedCell, check_installed

_ELSEWHERE = (
    *("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "TRACKIO_WEBHOOK_URL", "TRACKIO_WRITE_TOKEN"),
    *("TRACKIO_BUCKET_ID", "TRACKIO_DATASET_ID", "TRACKIO_REGISTRY_BUCKET_ID", "SPACE_REPO_NAME"),
)
"""Environment variables by which Trackio sends what it is told elsewhere, or reads from there."""


class TrackioTracker:
    """Writes runs with Trackio into a local folder; no Space and no server is used.

    Parameters
    ----------
    folder : Path
        ``TRACKIO_DIR=FOLDER trackio show`` shows it.

    Raises
    ------
    RuntimeError
        Trackio writes into another folder in this process; it takes one when it is imported.
    """

    def __init__(self, folder: Path) -> None:
        for variable in _ELSEWHERE:
            os.environ.pop(variable, None)
        os.environ["TRACKIO_DIR"] = str(folder.absolute())
        import trackio
        from trackio.run import Run
        from trackio.utils import TRACKIO_DIR

        # It would ask the Hugging Face Hub for the name of the account whose token is on this
        # machine, and keep it with the run.
        Run._get_username = lambda run: None

        if Path(TRACKIO_DIR).absolute() != folder.absolute():
            raise RuntimeError(f"Trackio writes into {TRACKIO_DIR} until this process ends")
        self.folder = folder
        self._trackio: Any = trackio
        self._run: Any = None
        self._last = 0

    @staticmethod
    def check() -> None:
        """Refuse to begin without the library."""
        check_installed("trackio", "trackio")

    def begin(self, cell: TrackedCell) -> None:
        """Begin a run; one that the cell had before is deleted."""
        from trackio.sqlite_storage import SQLiteStorage

        self._last = 0
        with contextlib.redirect_stdout(io.StringIO()):  # it tells how to open its page
            SQLiteStorage.delete_run(cell.study, cell.name)
            self._run = self._trackio.init(
                project=cell.study,
                name=cell.name,
                group=cell.group,
                config={"scheme": cell.scheme, "seed": cell.seed, **cell.parameters},
                resume="never",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )

    def log(self, round_index: int, figures: Mapping[str, float]) -> None:
        """Write the figures of a round."""
        self._last = round_index
        self._run.log(dict(figures), step=round_index)

    def end(self, results: Mapping[str, float] | None) -> None:
        """Write the results at the last round, and end the run."""
        run, self._run = self._run, None
        if results:
            run.log(dict(results), step=self._last)
        with contextlib.redirect_stdout(io.StringIO()):
            self._trackio.finish()
