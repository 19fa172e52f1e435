"""The checkpoint of a cell: what a process that is killed goes on from.

Two generations are kept, each with digests of everything that it goes on from: the last round is in
``state.json``, the one before in ``previous.json``.  Each is replaced atomically, so at most one
round is lost; a damaged one costs a second round.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from airtune.errors import DamageWarning, InputError, clip
from airtune.memory import demand
from airtune.record import names
from airtune.record.cells import Cell
from airtune.record.documents import CheckpointDocument, FileHead
from airtune.record.files import complete, read_document
from airtune.record.metrics import read_metrics
from airtune.record.whole import (
    clean,
    open_file,
    own_folders,
    refuse_link,
    write_bytes,
    writing,
)

Arrays = dict[str, np.ndarray]

_PIECE = 1 << 20
_OF_SAFETENSORS = ".tmp" + "[0-9A-Za-z]" * 6
"""What `save_file`, by which checkpoints were written, leaves where it is killed."""


def save_checkpoint(cell: Cell, round_index: int, arrays: Arrays, state: Mapping[str, Any]) -> None:
    """Replace the checkpoint: arrays as safetensors, then the JSON that names them.

    The JSON is replaced last and atomically; whatever is interrupted, it names whole files.  The
    generation before stays, those before it are removed.

    Parameters
    ----------
    cell : Cell
    round_index : int
        Round that has just ended.
    arrays : dict of str to ndarray
        Of any shape, () included.
    state : mapping
        The rest of the state in plain JSON types.

    Raises
    ------
    FailedError
        The disk is full or fails; the generations before are as they were.
    InputError
        The folder may not be written.
    """
    folder = cell.checkpoint_folder
    own_folders(cell.folder.parent, cell.folder, folder)
    name = names.checkpoint_arrays(round_index)
    content: dict[str, Any] = {
        "round": round_index,
        "arrays": name,
        "arrays_sha256": _write_arrays(folder / name, arrays),
    }
    if cell.metrics_file.is_file():
        size = cell.metrics_file.stat().st_size
        content["metrics"] = {"bytes": size, "sha256": digest_of(cell.metrics_file, size)}
    content["state"] = dict(state)
    document = complete(CheckpointDocument, content, sealed=True)
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    current = folder / names.CHECKPOINT_STATE
    write_bytes(current, text.encode(), keep=folder / names.CHECKPOINT_BEFORE)
    _remove_older(folder, {name, _named_by(folder / names.CHECKPOINT_BEFORE)})


def _write_arrays(path: Path, arrays: Arrays) -> str:
    """Write arrays, and return the digest of their file.

    Not by ``save_file``, whose own temporary file has a name that nobody could tell to be ours, and
    may be read by nobody else.
    """
    from safetensors.numpy import save

    content = save({key: np.asarray(value, order="C") for key, value in arrays.items()})
    write_bytes(path, content)
    return hashlib.sha256(content).hexdigest()


def digest_of(path: Path, size: int | None = None) -> str:
    """Return the SHA-256 of a file, or of its first `size` bytes."""
    sha = hashlib.sha256()
    with open_file(path) as file:
        if size is None:
            return hashlib.file_digest(file, "sha256").hexdigest()
        for start in range(0, size, _PIECE):
            sha.update(file.read(min(_PIECE, size - start)))
    return sha.hexdigest()


def _named_by(path: Path) -> str | None:
    """Return the arrays that a generation names; None where it cannot be read."""
    try:
        return read_document(path, CheckpointDocument).arrays
    except InputError:
        return None


def _remove_older(folder: Path, kept: set[str | None]) -> None:
    for stale in folder.glob(names.CHECKPOINT_ARRAYS):
        if stale.name not in kept:
            with contextlib.suppress(OSError):
                stale.unlink()


@dataclass(frozen=True)
class _Generation:
    """A checkpoint that is whole, and the metrics up to its round."""

    document: CheckpointDocument
    arrays: Arrays
    metrics: bytes


def load_checkpoint(cell: Cell) -> tuple[int, Arrays, dict[str, Any]] | None:
    """Return (round, arrays, state) of the last checkpoint, and remove what is beyond it.

    Metrics of later rounds and files that a killed process left are removed.  Where the last
    checkpoint is damaged the one before it is taken, with a `DamageWarning`.

    Returns
    -------
    tuple or None
        None where there is no checkpoint: the cell starts anew.

    Raises
    ------
    InputError
        No generation is whole, or the metrics up to it are damaged.
    """
    for folder in (cell.folder.parent, cell.folder, cell.checkpoint_folder, cell.metrics_file):
        refuse_link(folder)
    folder = cell.checkpoint_folder
    paths = [folder / names.CHECKPOINT_STATE, folder / names.CHECKPOINT_BEFORE]
    there = [path for path in paths if path.is_file() or path.is_symlink()]
    with writing(cell.folder):
        if not there:
            cell.metrics_file.unlink(missing_ok=True)
            _clean(cell, set())
            return None
        found, damage = _newest_whole(cell, there)
        if damage:
            _drop_damaged(cell, found, damage)
        write_bytes(cell.metrics_file, found.metrics)
        before = _named_by(paths[1])
        _clean(cell, {found.document.arrays, before})
    return found.document.round, found.arrays, found.document.state


def _newest_whole(cell: Cell, paths: list[Path]) -> tuple[_Generation, str]:
    """Return the newest generation that is whole, and what is wrong with a newer one."""
    damage = ""
    for path in paths:
        try:
            return _read(cell, path), damage
        except InputError as error:
            damage = damage or str(error).partition(";")[0].replace(f"{cell.folder}/", "")
    raise InputError(
        f"{cell.folder}: damaged ({damage[:150]}), and no checkpoint is whole; delete it to start "
        "anew: `airtune resume` of the run folder then runs it again"
    )


def _read(cell: Cell, path: Path) -> _Generation:
    """Return a generation that is whole.

    Raises
    ------
    InputError
        Something that it names is damaged; the message says what.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    document = read_document(path, CheckpointDocument, sealed=True)
    if document.arrays_sha256 is not None and document.sha256 is None:
        raise InputError(f"{path}: has lost its seal since it was written")
    arrays = path.with_name(document.arrays)
    try:
        if document.arrays_sha256 not in (None, digest_of(arrays)):
            raise InputError(f"{arrays}: has been changed or damaged since it was written")
        if not arrays.is_file():
            raise OSError(errno.EINVAL, "it is no file")
        loaded = load_file(arrays)
    except OSError as error:
        raise InputError(f"{arrays}: cannot be read ({error.strerror or error})") from None
    except (SafetensorError, ValueError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{arrays}: not whole ({error})") from None
    return _Generation(document, loaded, _metrics_up_to(cell, document))


def _metrics_up_to(cell: Cell, document: CheckpointDocument) -> bytes:
    """Return the lines of the metrics up to the round of a checkpoint, as they stand there."""
    path, head = cell.metrics_file, document.metrics
    if head is not None:
        return _head_of(path, head)
    lines = [line for line in read_metrics(cell) if line.get("round", -1) <= document.round]
    if [line["round"] for line in lines] != list(range(document.round + 1)):
        raise InputError(f"{path}: rounds are missing")
    return "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines).encode()


def _head_of(path: Path, head: FileHead) -> bytes:
    try:
        with open_file(path) as file:
            size = min(head.bytes, os.fstat(file.fileno()).st_size)
            demand(f"{clip(path)}: its rounds", size)
            content = file.read(size)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if len(content) != head.bytes or hashlib.sha256(content).hexdigest() != head.sha256:
        raise InputError(f"{path}: has been changed or damaged since it was written")
    return content


def _drop_damaged(cell: Cell, found: _Generation, damage: str) -> None:
    """Say that the last checkpoint is damaged, and make the one before it the last."""
    warnings.warn(
        f"{cell.folder}: the last checkpoint is damaged ({damage}); going on from the one before, "
        f"of round {found.document.round}",
        DamageWarning,
        stacklevel=4,
    )
    # The metrics first: a kill in between finds the damaged one again.
    write_bytes(cell.metrics_file, found.metrics)
    (cell.checkpoint_folder / names.CHECKPOINT_STATE).unlink(missing_ok=True)


def _clean(cell: Cell, kept: set[str | None]) -> None:
    """Remove what a killed process left in a cell's folder."""
    folder = cell.checkpoint_folder
    clean(folder, names.OF_A_CHECKPOINT)
    for path in folder.glob(_OF_SAFETENSORS):
        path.unlink(missing_ok=True)
    _remove_older(folder, kept)
