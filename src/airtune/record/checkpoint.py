"""The checkpoint of a cell: what a process that is killed goes on from.

It is replaced atomically after each round, so at most one round is lost.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from airtune.errors import InputError
from airtune.record import names
from airtune.record.cells import Cell
from airtune.record.documents import CheckpointDocument
from airtune.record.files import read_document, write_document, write_text
from airtune.record.metrics import read_metrics

Arrays = dict[str, np.ndarray]


def save_checkpoint(cell: Cell, round_index: int, arrays: Arrays, state: Mapping[str, Any]) -> None:
    """Replace the checkpoint: arrays as safetensors, then the JSON that names them.

    The JSON is replaced last and atomically; whatever is interrupted, it names a whole file.

    Parameters
    ----------
    cell : Cell
    round_index : int
        Round that has just ended.
    arrays : dict of str to ndarray
        Of any shape, () included.
    state : mapping
        The rest of the state in plain JSON types.
    """
    from safetensors.numpy import save_file

    folder = cell.checkpoint_folder
    folder.mkdir(parents=True, exist_ok=True)
    name = names.checkpoint_arrays(round_index)
    temporary = folder / names.temporary(name)
    save_file({key: np.asarray(value, order="C") for key, value in arrays.items()}, temporary)
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(folder / name)
    content = {"round": round_index, "arrays": name, "state": dict(state)}
    write_document(folder / names.CHECKPOINT_STATE, CheckpointDocument, content)
    for stale in folder.glob("round-*"):
        if stale.name != name:
            stale.unlink()


def load_checkpoint(cell: Cell) -> tuple[int, Arrays, dict[str, Any]] | None:
    """Return (round, arrays, state) of the last checkpoint and drop metrics beyond it.

    Raises
    ------
    InputError
        The checkpoint or the metrics up to it are damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = cell.checkpoint_folder / names.CHECKPOINT_STATE
    if not path.is_file():
        cell.metrics_file.unlink(missing_ok=True)
        return None
    try:
        document = read_document(path, CheckpointDocument)
        arrays = load_file(path.with_name(document.arrays))
        lines = [line for line in read_metrics(cell) if line["round"] <= document.round]
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise InputError(f"{cell.folder}: damaged ({error}); delete it to start anew") from None
    if [line["round"] for line in lines] != list(range(document.round + 1)):
        raise InputError(f"{cell.folder}: damaged (rounds are missing); delete it to start anew")
    write_text(
        cell.metrics_file, "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)
    )
    return document.round, arrays, document.state
