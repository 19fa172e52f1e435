"""Run cells of the study as runs of airtune, and sum up what they leave on disk."""

from __future__ import annotations

import shutil
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from airtune import record
from airtune.costs import Components
from airtune.errors import InputError
from airtune.learning.shared import SharedLearners
from airtune.record import documents, names
from airtune.study.cells import run_cells
from studies.points import Cell, Document
from studies.results import Results


class Runner:
    """Runs cells one after the other; keeps the learner while cells share it.

    Parameters
    ----------
    results : Results
        Gets each finished cell at once.
    runs : Path
        Folder of the run folders.  That of a cell is removed once its result is written; one that
        an interruption has left is begun anew.
    """

    def __init__(self, results: Results, runs: Path) -> None:
        self._results, self._runs = results, runs
        self._learners = SharedLearners(most=1)

    def run(self, cell: Cell) -> Document | None:
        """Run one cell and write its result.

        Returns
        -------
        dict or None
            The finished cell, also where another process was faster; None while another process
            is running it.

        Raises
        ------
        InputError
            The rounds cannot be run.  Budgets that no plan keeps are a result, not an error.
        """
        name = f"{cell.scheme}-seed{cell.seed}-lr{cell.rate:g}"
        folder = self._runs / cell.point.section / cell.point.name / name
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(folder / names.LOCK, timeout=0):
                document = self._results.find(cell)
                if document is None:
                    document = self._run(cell, folder / "run")
                shutil.rmtree(folder, ignore_errors=True)
                return document
        except Timeout:
            return None

    def _run(self, cell: Cell, folder: Path) -> Document:
        shutil.rmtree(folder, ignore_errors=True)
        scenario = cell.scenario
        record.create(folder, scenario, "run")
        environment = record.read_json(folder / names.ENVIRONMENT)
        run = record.Cell(
            folder / cell.scheme / names.seed_folder(cell.seed), cell.scheme, cell.seed
        )
        document = {
            "scheme": cell.scheme,
            "seed": cell.seed,
            "learning_rate": cell.rate,
            "machine": environment["processor"],
        }
        began, spent = time.perf_counter(), time.process_time()
        try:
            run_cells(scenario, cell.seed, [run], self._learners)
            document |= summary(run)
        except InputError as error:
            if run.folder.exists():  # a plan was found
                raise
            document["infeasible"] = str(error)
        document["cpu_s"] = time.process_time() - spent
        document["wall_s"] = time.perf_counter() - began
        self._results.add(cell, document, environment)
        return document


def summary(run: record.Cell) -> Document:
    """Sum up a finished run from the files of its cell.

    Parameters
    ----------
    run : record.Cell

    Returns
    -------
    dict
        - ``batch``: mini-batch of each client as first planned;
        - ``largest_weight``: the largest omega_k, a client's share of all records;
        - ``participation``: rounds in which each client was received;
        - ``latency_s``, ``energy_j``: all rounds by component  [s], [J];
        - ``client_energy_j``: of each client  [J];
        - ``history``: the rounds as columns, before the first one included.
    """
    plan = record.read_document(run.plan_file, documents.PlanDocument)
    totals = record.read_document(run.finished_file, documents.FinishedDocument)
    holdings = record.read_document(run.holdings_file, documents.HoldingsDocument)
    records = np.array([sum(labels) for labels in holdings.counts])
    figures = ("participation", "latency_s", "energy_j", "client_energy_j")
    return {
        "batch": plan.batch["clients"],
        "largest_weight": float((records / records.sum()).max()),
        **{name: getattr(totals, name) for name in figures},
        "history": _history(record.read_metrics(run)),
    }


def _history(lines: list[Document]) -> Document:
    """Return the rounds as columns: figures, and time and energy so far, by component too."""
    rounds = lines[1:]
    components = {
        f"{part}_{unit}": np.cumsum([0.0] + [line[f"round_{kind}"][part] for line in rounds])
        for kind, unit in (("latency_s", "s"), ("energy_j", "j"))
        for part in (field.name for field in fields(Components))
    }
    columns = {name: [line.get(name) for line in lines] for name in _FIGURES} | {
        name: values.tolist() for name, values in components.items() if values.any()
    }
    return {
        name: [None if x is None else float(f"{x:.7g}") for x in column]
        for name, column in columns.items()
        if any(x is not None for x in column)
    }


_FIGURES = ("time_s", "energy_j", "loss", "exact_match", "mse", "share", "noise_std", "exposure")
