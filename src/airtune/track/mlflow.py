"""MLflow: a SQLite store ``track/mlflow/mlflow.db``, one MLflow run for each scheme and seed."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airtune.track.base import TrackedCell, check_installed

_CELL, _LONGEST, _AT_ONCE = "airtune.cell", 6000, 100
"""Tag with the cell's name; characters of a parameter and parameters of a call that are taken."""


class MlflowTracker:
    """Writes runs with MLflow's client; there is no server, and telemetry is off.

    Parameters
    ----------
    folder : Path
        ``mlflow ui --backend-store-uri sqlite:///FOLDER/mlflow.db`` shows it.
    """

    def __init__(self, folder: Path) -> None:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when mlflow is imported
        from mlflow.tracking import MlflowClient
        from sqlalchemy.engine import URL

        for logger in ("mlflow", "alembic"):  # they tell of every table that they make
            logging.getLogger(logger).setLevel(logging.WARNING)
        self.folder = folder.absolute()
        store = URL.create("sqlite", database=str(self.folder / "mlflow.db"))
        self._client: Any = MlflowClient(tracking_uri=store.render_as_string())
        self._run, self._last = "", 0

    @staticmethod
    def check() -> None:
        """Refuse to begin without the library and what its SQLite store needs."""
        check_installed("mlflow", "mlflow", "sqlalchemy", "alembic")

    def begin(self, cell: TrackedCell) -> None:
        """Begin an MLflow run; one that the cell had before is deleted."""
        from mlflow.entities import Param

        found = self._client.get_experiment_by_name(cell.study)
        experiment = (
            found.experiment_id
            if found
            else self._client.create_experiment(
                cell.study, artifact_location=(self.folder / "artifacts").as_uri()
            )
        )
        for run in self._client.search_runs([experiment], f"tags.`{_CELL}` = '{cell.name}'"):
            self._client.delete_run(run.info.run_id)
        tags = {_CELL: cell.name, "airtune.folder": cell.group}
        run = self._client.create_run(experiment, run_name=cell.name, tags=tags)
        self._run, self._last = run.info.run_id, 0
        known = {"scheme": cell.scheme, "seed": cell.seed, **cell.parameters}
        parameters = [Param(name, str(value)[:_LONGEST]) for name, value in known.items()]
        for first in range(0, len(parameters), _AT_ONCE):
            self._client.log_batch(self._run, params=parameters[first : first + _AT_ONCE])

    def log(self, round_index: int, figures: Mapping[str, float]) -> None:
        """Write the metrics of a round in one transaction."""
        from mlflow.entities import Metric

        self._last, now = round_index, int(1000 * time.time())
        metrics = [Metric(name, value, now, round_index) for name, value in figures.items()]
        self._client.log_batch(self._run, metrics=metrics)

    def end(self, results: Mapping[str, float] | None) -> None:
        """Write the results at the last round, and end the MLflow run."""
        if results:
            self.log(self._last, results)
        self._client.set_terminated(self._run, "KILLED" if results is None else "FINISHED")
