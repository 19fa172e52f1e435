"""Cells of a sweep, each run in a process that keeps its learner for the next one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from airtune.engines.worker import settle
from airtune.errors import InfeasibleError
from airtune.learning.shared import SharedLearners
from airtune.record import Cell, RunFolder
from airtune.registry import IMPORTED
from airtune.study.cells import run_cells

_learners = SharedLearners(most=1)


def run_cell(
    run: RunFolder, scheme: str, index: int, directory: str, modules: Sequence[str]
) -> None:
    """Run a cell unless it is finished; it goes on from its checkpoint.

    Plans are made as if all unfinished cells of the point and the seed were run here, so that a
    point whose budgets cannot be kept is refused as a whole.

    Parameters
    ----------
    run : RunFolder
        Point of the sweep, whose head has been written.
    scheme : str
    index : int
        Number of the repetition, from 0.
    directory, modules
        As of :func:`airtune.engines.worker.settle`.

    Raises
    ------
    InputError
        No plan keeps the budgets, or another process runs the cell.
    """
    settle(directory, modules)
    scenario = run.dated_scenario
    here = scenario.engine.model_copy(update={"name": "local"})
    own = [cell for cell in run.cells if cell.seed == index]
    (cell,) = [cell for cell in own if cell.scheme == scheme]
    if cell.finished:
        return
    cells = [one for one in own if not one.finished]
    run_cells(scenario.model_copy(update={"engine": here}), index, cells, _learners, only=cell)


def run_spread(
    points: Sequence[tuple[RunFolder, Sequence[Cell]]],
    index: int,
    spread: Callable[..., Iterable[tuple[int, Any]]],
    done: Callable[[int, Cell], None],
) -> dict[int, str | None]:
    """Run the cells of several points elsewhere, and tell of each that is finished.

    Parameters
    ----------
    points : sequence of (RunFolder, sequence of Cell)
        Unfinished cells of one seed; the heads of the points have been written.
    index : int
        Number of the repetition, from 0.
    spread : callable
        ``spread(function, jobs)`` yields number and result of each job that has ended; see
        :meth:`airtune.engines.ray_workers.RayEngine.tasks`.
    done : callable
        Called with the number of the point and the cell.

    Returns
    -------
    dict of int to str or None
        Why the budgets of a point cannot be kept, by its number; None where they can.

    Raises
    ------
    Exception
        What a cell raised otherwise; those that run are ended.
    """
    place = str(Path.cwd()), tuple(IMPORTED)
    jobs = [(number, cell) for number, (_, cells) in enumerate(points) for cell in cells]
    runs = [replace(run, folder=run.folder.absolute()) for run, _ in points]
    calls = [(runs[number], cell.scheme, index, *place) for number, cell in jobs]
    refused: dict[int, str | None] = dict.fromkeys(range(len(points)))
    for job, result in spread(run_cell, calls) if calls else ():
        number, cell = jobs[job]
        if isinstance(result, InfeasibleError):
            refused[number] = refused[number] or str(result)
        elif isinstance(result, Exception):
            raise result
        else:
            done(number, cell)
    return refused
