"""Read the records of finished cells and compute their figures."""

from __future__ import annotations

from airtune import record
from airtune.errors import InputError
from airtune.record import Cell, Document, RunFolder
from airtune.record.documents import LeftOutDocument, PlanDocument, Sample
from airtune.study.outcomes import REFERENCE, CellHistory, Figures, cell_figures, target_loss

_UNFIT = (ArithmeticError, AttributeError, LookupError, StopIteration, TypeError, ValueError)
"""What the figures raise on documents that are of their kind but not of one run."""


def read_cell(cell: Cell) -> CellHistory:
    """Return the records of a finished cell: metrics, totals, plan, answers, what is left out.

    Raises
    ------
    InputError
        A document cannot be read.
    """
    plan, samples, left_out = cell.plan_file, cell.samples_file, cell.left_out_file
    finished, rounds = record.check_cell(cell), record.read_history(cell)
    if [line.round for line in rounds] != list(range(finished.rounds + 1)):
        raise InputError(
            f"{cell.metrics_file}: does not hold the rounds 0 to {finished.rounds}, each once; "
            f"delete {cell.folder}, and `airtune resume` of the run folder runs it again"
        )
    return CellHistory(
        rounds,
        finished,
        record.read_document(plan, PlanDocument) if plan.exists() else None,
        record.read_documents(samples, Sample) if samples.exists() else (),
        record.read_document(left_out, LeftOutDocument) if left_out.exists() else None,
    )


def finished_figures(run_folder: RunFolder) -> tuple[Figures, dict[int, float | None]]:
    """Return the figures of the finished cells, and the target loss of each seed."""
    histories = {cell: read_cell(cell) for cell in run_folder.cells if cell.finished}
    targets = {
        cell.seed: target_loss(history.losses)
        for cell, history in histories.items()
        if cell.scheme == REFERENCE and history.losses
    }
    figures: Figures = {}
    for cell, history in histories.items():
        try:
            entry = cell_figures(history, targets.get(cell.seed), run_folder.scenario)
        except _UNFIT as error:
            raise InputError(
                f"{cell.folder}: its documents do not fit together "
                f"({type(error).__name__}: {str(error)[:80]}); delete it, and `airtune resume` of "
                "the run folder runs it again"
            ) from None
        figures.setdefault(cell.scheme, {})[cell.seed] = entry
    return figures, targets


def first_left_out(run_folder: RunFolder, kept: int = 5) -> Document | None:
    """Return the count of records that the first finished cell leaves out, and a few of them.

    All schemes of a seed have the same data.  None where no record is left out.
    """
    for cell in run_folder.cells:
        if cell.finished and cell.left_out_file.exists():
            found = record.read_document(cell.left_out_file, LeftOutDocument)
            few = [entry.model_dump() for entry in found.records[:kept]]
            return {"count": found.count, "records": few} if found.count else None
    return None
