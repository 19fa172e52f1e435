"""Read the records of finished cells and compute their figures."""

from __future__ import annotations

from airtune import record
from airtune.record import Cell, RunFolder
from airtune.record.documents import FinishedDocument, PlanDocument
from airtune.study.outcomes import REFERENCE, CellHistory, Figures, cell_figures, target_loss


def read_cell(cell: Cell) -> CellHistory:
    """Return metrics, totals and plan of a finished cell.

    Raises
    ------
    InputError
        A document cannot be read.
    """
    plan = cell.plan_file
    return CellHistory(
        record.read_history(cell),
        record.read_document(cell.finished_file, FinishedDocument),
        record.read_document(plan, PlanDocument) if plan.exists() else None,
    )


def finished_figures(run_folder: RunFolder) -> tuple[Figures, dict[int, float | None]]:
    """Return the figures of the finished cells, and the target loss of each seed."""
    histories = {cell: read_cell(cell) for cell in run_folder.cells if cell.finished}
    targets = {
        cell.seed: target_loss(history.losses)
        for cell, history in histories.items()
        if cell.scheme == REFERENCE
    }
    figures: Figures = {}
    for cell, history in histories.items():
        entry = cell_figures(history, targets.get(cell.seed))
        figures.setdefault(cell.scheme, {})[cell.seed] = entry
    return figures, targets
