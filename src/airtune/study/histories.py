"""Read the records of finished cells and compute their figures."""

from __future__ import annotations

from collections.abc import Mapping

from airtune import record
from airtune.errors import InputError
from airtune.record import Cell, Document, RunFolder
from airtune.record.documents import LeftOutDocument, PlanDocument, Sample
from airtune.study.outcomes import REFERENCE, CellHistory, Figures, cell_figures, over_seeds
from airtune.study.targets import MAIN, SHARES, Targets, target_losses

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
        record.read_document(plan, PlanDocument, sealed=True) if plan.exists() else None,
        record.read_documents(samples, Sample) if samples.exists() else (),
        record.read_document(left_out, LeftOutDocument, sealed=True) if left_out.exists() else None,
    )


def finished_figures(run_folder: RunFolder) -> tuple[Figures, dict[int, Targets]]:
    """Return the figures of the finished cells, and the target losses of each seed by name."""
    histories = {cell: read_cell(cell) for cell in run_folder.cells if cell.finished}
    targets: dict[int, Targets] = {
        cell.seed: target_losses(history.losses)
        for cell, history in histories.items()
        if cell.scheme == REFERENCE and history.losses
    }
    figures: Figures = {}
    for cell, history in histories.items():
        try:
            entry = cell_figures(history, targets.get(cell.seed, {}), run_folder.scenario)
        except _UNFIT as error:
            raise InputError(
                f"{cell.folder}: its documents do not fit together "
                f"({type(error).__name__}: {str(error)[:80]}); delete it, and `airtune resume` of "
                "the run folder runs it again"
            ) from error
        figures.setdefault(cell.scheme, {})[cell.seed] = entry
    return figures, targets


def merged_targets(targets: Mapping[int, Targets]) -> Document:
    """Return `target_loss` and `target_losses` of the results, over the seeds; None without any."""
    if not targets:
        return {"target_loss": None, "target_losses": dict.fromkeys(SHARES)}
    merged = {name: over_seeds([each[name] for each in targets.values()]) for name in SHARES}
    return {"target_loss": merged[MAIN], "target_losses": merged}


def first_left_out(run_folder: RunFolder, kept: int = 5) -> Document | None:
    """Return the count of records that the first finished cell leaves out, and a few of them.

    All schemes of a seed have the same data.  None where no record is left out.
    """
    for cell in run_folder.cells:
        if cell.finished and cell.left_out_file.exists():
            found = record.read_document(cell.left_out_file, LeftOutDocument, sealed=True)
            few = [entry.model_dump() for entry in found.records[:kept]]
            return {"count": found.count, "records": few} if found.count else None
    return None
