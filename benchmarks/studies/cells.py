"""Cells of the study: one scheme, one seed, one point; each a small JSON file once it is done.

A point's folder holds `settings.json`, the settings that its cells were run with.  When the
scenario changes, the cells are stale: they count as missing and are run again.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from airtune import record
from airtune.costs import Components
from airtune.errors import InputError
from airtune.learning.shared import SharedLearners
from airtune.rounds.federated import FederatedRun
from airtune.scenario import Scenario

Document = dict[str, Any]

FORMAT = 2
"""Raise it when cells of this version of the code no longer compare with older ones."""
_NOT_SETTINGS = ("name", "seed", "seeds", "schemes", "threads", "cache")


@dataclass(frozen=True)
class Point:
    """Settings under which several schemes and seeds are run.

    Attributes
    ----------
    section, name : str
        Folder and sub-folder of its cells.
    scenario : Scenario
    schemes : tuple of str
    seeds : tuple of int
        Added to `scenario.seed`.
    rates : dict of str to float
        Learning rate of each scheme; those not named take the scenario's.
    """

    section: str
    name: str
    scenario: Scenario
    schemes: tuple[str, ...]
    seeds: tuple[int, ...]
    rates: dict[str, float]

    @cached_property
    def settings(self) -> Document:
        """Every setting that the results depend on, as dotted paths."""
        data = {k: v for k, v in self.scenario.to_dict().items() if k not in _NOT_SETTINGS}
        flat = dict(leaves(data))
        flat.pop("training.learning_rate")  # a cell's own
        for path in ("model.source", "data.source"):
            flat[path] = Path(flat[path]).name
        return flat | {"format": FORMAT, "version": version("airtune")}

    def cells(self) -> Iterator[Cell]:
        """Yield all cells, seed by seed."""
        for seed in self.seeds:
            for scheme in self.schemes:
                rate = self.rates.get(scheme, self.scenario.training.learning_rate)
                yield Cell(self, scheme, seed, rate)


@dataclass(frozen=True)
class Cell:
    """One scheme and one seed of a point, with its learning rate."""

    point: Point
    scheme: str
    seed: int
    rate: float

    def path(self, results: Path) -> Path:
        """Return the file of the finished cell."""
        suffix = f"-lr{self.rate:g}" if self.point.section == "step-size" else ""
        name = f"{self.scheme}-seed{self.seed}{suffix}.json"
        return results / self.point.section / self.point.name / name


def leaves(data: Document, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted paths and values of nested settings."""
    for key, value in data.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def fresh(point: Point, results: Path) -> bool:
    """Tell whether a point's cells, if there are any, were run with its settings of today.

    A setting that did not exist then does not count: its default keeps the results.
    """
    path = results / point.section / point.name / "settings.json"
    if not path.is_file():
        return False
    now = point.settings
    return all(now.get(name, _GONE) == value for name, value in record.read_json(path).items())


_GONE = object()


def load(cell: Cell, results: Path) -> Document | None:
    """Return a finished cell; None where it is missing or stale."""
    path = cell.path(results)
    if not path.is_file() or not fresh(cell.point, results):
        return None
    document: Document = record.read_json(path)
    return document if document["learning_rate"] == cell.rate else None


class Runner:
    """Runs cells one after the other; keeps the learner while cells share it.

    Parameters
    ----------
    results : Path
        Folder of the finished cells.
    lock : Path, optional
        File to hold a lock on while a cell runs, so that other work gets its turns in between.
    """

    def __init__(self, results: Path, lock: Path | None = None) -> None:
        self.results, self._lock = results, lock
        self._learners = SharedLearners(most=1)

    def run(self, cell: Cell) -> Document:
        """Run one cell and write its file."""
        with self._turn():
            began, spent = time.perf_counter(), time.process_time()
            document = self._run(cell)
            document["cpu_s"] = time.process_time() - spent
            document["wall_s"] = time.perf_counter() - began
        self._store(cell, document)
        return document

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self._lock is None:
            yield
            return
        with self._lock.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _store(self, cell: Cell, document: Document) -> None:
        path = cell.path(self.results)
        if not fresh(cell.point, self.results):
            for stale in path.parent.glob("*.json"):
                stale.unlink()
            path.parent.mkdir(parents=True, exist_ok=True)
            record.write_json(path.parent / "settings.json", cell.point.settings)
        # One line: a file of a cell is read by programs, its size counts.
        record.write_text(path, json.dumps(document, allow_nan=False) + "\n")

    def _run(self, cell: Cell) -> Document:
        scenario = cell.point.scenario
        training = scenario.training.model_copy(update={"learning_rate": cell.rate})
        scenario = scenario.model_copy(update={"training": training})
        seed = scenario.seed + cell.seed
        head = {
            "scheme": cell.scheme,
            "seed": cell.seed,
            "learning_rate": cell.rate,
            "machine": record.environment(scenario)["processor"],
        }
        try:
            federated = FederatedRun(scenario, cell.scheme, seed, self._learners(scenario, seed))
        except InputError as error:
            return head | {"infeasible": str(error)}
        lines = [federated.metrics(federated.learner.evaluate(federated.state.adapter))]
        while federated.state.round < federated.plan.rounds:
            lines.append(federated.run_round())
        return head | {
            "batch": federated.plan.batch_sizes.tolist(),
            "largest_weight": float(federated.repetition.omega.max()),
            "participation": federated.state.participation.tolist(),
            "latency_s": federated.state.latency_s.to_dict(),
            "energy_j": federated.state.energy_j.to_dict(),
            "client_energy_j": federated.state.client_energy_j.tolist(),
            "history": _history(lines),
        }


def _history(lines: list[Document]) -> Document:
    """Return the rounds as columns: figures, and time and energy so far, by component too."""
    rounds = lines[1:]
    components = {
        f"{part}_{unit}": np.cumsum([0.0] + [line[f"round_{kind}"][part] for line in rounds])
        for kind, unit in (("latency_s", "s"), ("energy_j", "j"))
        for part in (field.name for field in fields(Components))
    }
    columns = {
        "time_s": [line["time_s"] for line in lines],
        "energy_j": [line["energy_j"] for line in lines],
        "loss": [line["loss"] for line in lines],
        "exact_match": [line["exact_match"] for line in lines],
        "mse": [line.get("mse") for line in lines],
        "share": [line.get("share") for line in lines],
        "noise_std": [line.get("noise_std") for line in lines],
        "exposure": [line.get("exposure") for line in lines],
    } | {name: values.tolist() for name, values in components.items() if values.any()}
    return {
        name: [None if x is None else float(f"{x:.7g}") for x in column]
        for name, column in columns.items()
        if any(x is not None for x in column)
    }
