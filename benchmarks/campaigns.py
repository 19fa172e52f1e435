"""Cells that several processes measure into one file: each cell once, each written at once.

A process takes a lock for a cell, looks whether the file holds it by now, measures it and writes
it.  A process that is killed loses its cell and no other; its locks go with it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from airtune import load_scenario, record

Document = dict[str, Any]
LOCKS = Path(__file__).parents[1] / ".cache" / "campaigns"
WAIT_S = 5.0


@dataclass(frozen=True)
class Task:
    """One cell.

    Attributes
    ----------
    name : str
    work : callable
        Gets the document, returns what is kept of the cell as plain JSON types.
    needs : str, optional
        A cell that has to be there before.
    """

    name: str
    work: Callable[[Document], Document]
    needs: str | None = None


@dataclass(frozen=True)
class Campaign:
    """A file of results.

    Attributes
    ----------
    file : Path
        JSON; its `cells` are the results by the names of their tasks.
    facts : dict
        What goes into the file besides, as plain JSON types: settings and the like.
    """

    file: Path
    facts: Document

    def read(self) -> Document:
        """Return the document, an empty one where there is no file."""
        document: Document = {}
        if self.file.exists():
            document = json.loads(self.file.read_text(encoding="utf-8"))
        document.setdefault("cells", {})
        return document

    def change(self, change: Callable[[Document], None]) -> Document:
        """Read the document, change it and write it, while no other process does."""
        with FileLock(self._lock("the file")):
            document = self.read()
            change(document)
            document |= self.facts
            document["environment"] = record.environment(load_scenario("quickstart", ["threads=1"]))
            record.write_json(self.file, document)
        return document

    def run(self, tasks: Iterable[Task], until: float | None = None) -> None:
        """Measure the cells that the file lacks, until all are there or being measured.

        Parameters
        ----------
        tasks : iterable of Task
            In this order.
        until : float, optional
            Begin no cell after this time [s of the epoch].
        """
        given = list(tasks)
        known = {task.name for task in given} | set(self.read()["cells"])
        for task in given:
            if task.needs is not None and task.needs not in known:
                raise ValueError(f"{task.name} needs {task.needs}, which no task measures")
        while given:
            left = []
            for task in given:
                if until is not None and time.time() > until:
                    return
                if not self._measured(task):
                    left.append(task)
            if len(left) == len(given):
                if all(task.needs is None for task in left):
                    return  # others measure them
                time.sleep(WAIT_S)
            given = left

    def _measured(self, task: Task) -> bool:
        """Measure a cell that is missing; tell whether the file holds it now."""
        try:
            with FileLock(self._lock(task.name), timeout=0):
                document = self.read()
                if task.name in document["cells"]:
                    return True
                if task.needs is not None and task.needs not in document["cells"]:
                    return False
                began, spent = time.perf_counter(), time.process_time()
                cell = task.work(document)
                cell["cell_cpu_s"] = time.process_time() - spent
                cell["cell_wall_s"] = time.perf_counter() - began
                self.change(lambda document: document["cells"].update({task.name: cell}))
                figures = {k: v for k, v in cell.items() if isinstance(v, float)}
                print(task.name, *(f"{k}={v:.3g}" for k, v in figures.items()), flush=True)
                return True
        except Timeout:
            return False

    def _lock(self, name: str) -> Path:
        """Return where the lock of a cell is."""
        LOCKS.mkdir(parents=True, exist_ok=True)
        key = hashlib.sha256(f"{self.file.resolve()} {name}".encode()).hexdigest()
        return LOCKS / key[:24]
