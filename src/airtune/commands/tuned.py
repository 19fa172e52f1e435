"""Which tuned model of a run folder a command is about."""

from __future__ import annotations

from airtune.commands.terminal import resumption
from airtune.errors import InputError
from airtune.planning.plans import with_pretraining
from airtune.record import Cell, RunFolder, check_cell, documents, names, read_document
from airtune.scenario import Scenario
from airtune.scenario.base import chosen
from airtune.study import sweep as sweeps

FAVOURITE = "movable"
WITHOUT_AIR = "ideal"


def finished_cell(run: RunFolder, scheme: str | None, seed: int) -> Cell:
    """Return a finished cell of a run or a comparison.

    Parameters
    ----------
    run : RunFolder
    scheme : str or None
        Its case does not count.  By default ``movable`` where it is in the run, else the first one
        that is not ``ideal``.
    seed : int
        Number of the repetition, from 0.

    Raises
    ------
    InputError
        The run has no such scheme or seed, or the cell is unfinished.
    """
    if run.kind == sweeps.KIND:
        points = sorted(p.parent.name for p in run.folder.glob(f"*/{names.RUN}"))
        raise InputError(
            f"{run.folder}: is a sweep; name the folder of one of its points"
            + (f", for example {run.folder / points[0]}" if points else "")
        )
    there = run.scenario.schemes
    if scheme is None:
        others = [name for name in there if name != WITHOUT_AIR]
        scheme = FAVOURITE if FAVOURITE in there else (others or list(there))[0]
    scheme = chosen(scheme, there)
    if scheme not in there:
        raise InputError(f"--scheme {scheme}: the run has {', '.join(there)}")
    if not 0 <= seed < run.scenario.seeds:
        raise InputError(f"--seed {seed}: the run has seeds 0 to {run.scenario.seeds - 1}")
    cell = next(c for c in run.cells if c.scheme == scheme and c.seed == seed)
    if not cell.finished:
        raise InputError(
            f"{run.folder}: {scheme}, seed {seed} is unfinished; go on with: "
            f"{resumption(run.folder)}"
        )
    check_cell(cell, adapter=True)
    return cell


def scenario_of(run: RunFolder, cell: Cell) -> Scenario:
    """Return the settings of a cell, of the day of the run, with phase 1 as planned."""
    plan = read_document(cell.plan_file, documents.PlanDocument, sealed=True)
    steps, batch = plan.rounds.get("pretraining"), plan.batch.get("pretraining")
    if not isinstance(steps, int) or not isinstance(batch, int) or min(steps, batch) < 0:
        raise InputError(
            f"{cell.plan_file}: does not say how the model was pre-trained; put back a whole copy "
            "of it"
        )
    return with_pretraining(run.dated_scenario, steps, batch)
