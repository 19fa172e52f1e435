"""The end of a cell: its totals, and digests of its files by which a later change is noticed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airtune.errors import DamageWarning, InputError
from airtune.record import names
from airtune.record.cells import Cell
from airtune.record.checkpoint import digest_of
from airtune.record.documents import DigestsDocument, FinishedDocument
from airtune.record.files import read_document, remedy, write_document

_DOCUMENTS = (
    *(names.METRICS, names.PLAN, names.PLACEMENT),
    *(names.SAMPLES, names.HOLDINGS, names.LEFT_OUT),
)
_NEEDED = (names.METRICS, names.PLAN)
"""Without these there are no figures."""


def finish_cell(cell: Cell, summary: Mapping[str, Any]) -> None:
    """Write digests.json, with the digest of each file of the cell, then finished.json.

    Parameters
    ----------
    cell : Cell
        All else has been written.
    summary : mapping
        Content of a :class:`airtune.record.documents.FinishedDocument`.
    """
    files = [cell.folder / name for name in _DOCUMENTS]
    if cell.adapter_folder.is_dir():
        files += sorted(cell.adapter_folder.rglob("*"))
    digests = {
        path.relative_to(cell.folder).as_posix(): digest_of(path)
        for path in files
        if path.is_file()
    }
    write_document(cell.digests_file, DigestsDocument, {"files": digests}, sealed=True)
    write_document(cell.finished_file, FinishedDocument, summary, sealed=True)


def check_cell(cell: Cell, *, adapter: bool = False) -> FinishedDocument:
    """Return the totals of a finished cell, whose files are as they were when it was finished.

    A document that is gone and without which there are figures gives a `DamageWarning`.  A cell
    has a seal and digests, or is of an older version and has neither; of one of version 2 that too
    gives a `DamageWarning`.

    Parameters
    ----------
    cell : Cell
    adapter : bool
        Check the tuned adapter, and not the documents.

    Raises
    ------
    InputError
        A file has been changed or is gone; says what to do.
    """
    finished = read_document(cell.finished_file, FinishedDocument, sealed=True)
    sealed, digested = finished.sha256 is not None, cell.digests_file.exists()
    if not sealed and not digested:  # of an older version
        return finished
    if not sealed:
        raise InputError(
            f"{cell.finished_file}: has lost its seal since it was written"
            f"{remedy(cell.finished_file)}"
        )
    digests = read_document(cell.digests_file, DigestsDocument, sealed=True)
    for name, before in digests.files.items():
        of_adapter = name.startswith(f"{names.ADAPTER}/")
        if of_adapter == adapter and not Path(name).is_absolute() and ".." not in Path(name).parts:
            path, hint = cell.folder / name, _remedy(cell, name)
            _check(path, before, hint, needed=of_adapter or name in _NEEDED)
    return finished


def _check(path: Path, before: str, hint: str, *, needed: bool) -> None:
    try:
        now = digest_of(path)
    except OSError as error:
        if needed or not isinstance(error, FileNotFoundError):
            raise InputError(f"{path}: cannot be read ({error.strerror}){hint}") from None
        warnings.warn(
            f"{path}: is gone since the cell was finished, and what it held is left out",
            DamageWarning,
            stacklevel=4,
        )
        return
    if now != before:
        raise InputError(f"{path}: has been changed or damaged since the cell was finished{hint}")


def _remedy(cell: Cell, name: str) -> str:
    """Return what to do about a file of a cell, named from the folder of the cell."""
    if not name.startswith(f"{names.ADAPTER}/"):
        return remedy(cell.folder / name)
    return (
        f"; delete {names.FINISHED} in the folder that {names.ADAPTER} is in, and `airtune resume` "
        "of the run folder writes both anew"
    )
