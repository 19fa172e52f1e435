"""Weights & Biases, offline: folders ``track/wandb/wandb/offline-run-*``, one for each cell."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airtune.track.base import TrackedCell, check_installed


class WandbTracker:
    """Writes offline runs with wandb; telemetry, statistics of the machine and reports are off.

    Parameters
    ----------
    folder : Path
        ``wandb sync FOLDER/wandb/offline-run-*`` uploads the runs.
    """

    def __init__(self, folder: Path) -> None:
        # Read when wandb is imported, by it and by the process that it starts.
        os.environ["WANDB_ERROR_REPORTING"] = "false"
        for kind in ("CACHE", "CONFIG", "DATA"):
            os.environ[f"WANDB_{kind}_DIR"] = str(folder.absolute() / kind.lower())
        import wandb

        self.folder = folder
        self._wandb: Any = wandb
        self._run: Any = None

    @staticmethod
    def check() -> None:
        """Refuse to begin without the library."""
        check_installed("wandb", "wandb")

    def begin(self, cell: TrackedCell) -> None:
        """Begin an offline run; one that the cell had before is removed, and its id is kept.

        So a second upload goes on with the run of the first.
        """
        slug = f"{cell.scheme}-seed-{cell.seed}"
        name = f"{secrets.token_hex(4)}-{slug}"
        for earlier in sorted((self.folder / "wandb").glob(f"offline-run-*-*-{slug}")):
            name = earlier.name.split("-", 3)[3]  # offline-run-TIME-ID
            shutil.rmtree(earlier)
        settings = self._wandb.Settings(
            mode="offline",
            root_dir=str(self.folder),
            console="off",
            silent=True,
            disable_git=True,
            disable_job_creation=True,
            save_code=False,
            x_disable_machine_info=True,
            x_disable_meta=True,
            x_disable_stats=True,
            symlink=False,  # absolute links, wrong as soon as the run folder is moved
        )
        self._run = self._wandb.init(
            dir=str(self.folder),
            project=cell.study,
            group=cell.group,
            name=cell.name,
            id=name,
            config={"scheme": cell.scheme, "seed": cell.seed, **cell.parameters},
            reinit="create_new",
            settings=settings,
        )

    def log(self, round_index: int, figures: Mapping[str, float]) -> None:
        """Write the figures of a round as a step."""
        self._run.log(dict(figures), step=round_index)

    def end(self, results: Mapping[str, float] | None) -> None:
        """Write the results into the summary, and end the run."""
        run, self._run = self._run, None
        for name, value in (results or {}).items():
            run.summary[name] = value
        run.finish(exit_code=1 if results is None else 0)
