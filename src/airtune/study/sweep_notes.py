"""What a sweep says of its points: budgets that cannot be kept, energy that is not measured."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from airtune import record
from airtune.meter import NONE
from airtune.record import RunFolder, names
from airtune.record.documents import InfeasibleDocument
from airtune.scenario import Scenario


def note_infeasible(run: RunFolder, index: int, message: str | None) -> None:
    """Note in a point's folder why its budgets cannot be kept, or remove the note.

    Parameters
    ----------
    run : RunFolder
        Of the point.
    index : int
        Number of the repetition, from 0.
    message : str or None
        None where they can be kept.
    """
    path = run.folder / names.infeasible(index)
    if message is None:
        path.unlink(missing_ok=True)
    else:
        content = {"seed": index, "message": message}
        record.write_document(path, InfeasibleDocument, content)


def discard_points(folders: Iterable[Path]) -> None:
    """Remove the points of a sweep in which nothing could be computed, given by their folders."""
    for folder in folders:
        if folder.is_dir() and not folder.is_symlink():
            for note in folder.glob(names.INFEASIBLE):
                note.unlink()
            record.discard_unused(folder)


def unmeasured(points: Iterable[Scenario]) -> list[str]:
    """Return one sentence where `costs.measure` asks for readings: points are not measured."""
    asked = sorted({scenario.costs.measure for scenario in points} - {NONE})
    return [
        f"costs.measure = {name!r}: points of a sweep are not measured, they may run side by side"
        for name in asked[:1]
    ]
