"""One cell of a sweep, run in a process of its own that keeps its learner for the next one."""

from __future__ import annotations

from collections.abc import Sequence

from airtune.engines.worker import settle
from airtune.learning.shared import SharedLearners
from airtune.record import RunFolder
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
