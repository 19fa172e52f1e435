"""Arrays of plain numbers and text from .npz files, read without pickles."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray

from airtune.errors import InputError, clip
from airtune.memory import demand


def load_arrays(path: str | Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return the arrays of some names that an .npz file has; others are not unpacked.

    Parameters
    ----------
    path : str or Path
    names : sequence of str

    Raises
    ------
    InputError
        There is no such file, it is none of plain arrays, or it needs more memory than there is.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/two.npz", a=np.arange(3), b=np.ones(2))
    ...     {name: array.tolist() for name, array in load_arrays(f"{folder}/two.npz", "ac").items()}
    {'a': [0, 1, 2]}
    """
    shown = clip(path)
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise InputError(f"{shown}: not a readable .npz file (no file)")
        with Path(path).open("rb"):
            zipped = is_zipfile(path)
    except InputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: no file can have this name
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{shown}: not a readable .npz file ({reason})") from error
    if not zipped:
        raise InputError(f"{shown}: not a readable .npz file (not a zip archive)")
    try:
        with ZipFile(path) as archive:
            wanted = [m for m in archive.infolist() if m.filename.removesuffix(".npy") in names]
            demand(f"{shown}: its arrays", 3.0 * sum(member.file_size for member in wanted))
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names if name in file}
    except InputError:
        raise
    # numpy, zipfile, zlib and lzma each have their own ways to say that bytes are wrong
    except Exception as error:
        reason = (str(error) or type(error).__name__)[:80]
        raise InputError(
            f"{shown}: not a readable .npz file of plain numbers ({reason})"
        ) from error


def check_target(path: str | Path) -> Path:
    """Return where a file is to be written, or refuse the place.

    Parameters
    ----------
    path : str or Path
        Of `--out`.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        There is no such folder, or the name is that of a folder, a pipe, a device or a link that
        leads to no place for a file.
    """
    target = Path(path)
    if "\0" in str(target) or not target.parent.is_dir():
        raise InputError(f"out: the folder {clip(target.parent)} does not exist")
    if target.is_dir():
        raise InputError(f"out: {clip(target)} is a folder, not a file")
    if target.exists() and not target.is_file():
        raise InputError(f"out: {clip(target)} is a pipe or a device, not a file")
    there = Path(os.path.realpath(target))
    if there.is_symlink() or not there.parent.is_dir():
        raise InputError(f"out: {clip(target)} is a link that leads to no place for a file")
    return target
