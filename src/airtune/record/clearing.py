"""What a run has written into its folder, removed; files of the user's that lie beside stay."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from airtune.errors import InputError
from airtune.record import names
from airtune.record.whole import clean
from airtune.registry import SCHEMES
from airtune.scenario import file as scenario_file

_POINT = re.compile(r"point-\d{2,}")


def clear_run(folder: Path) -> None:
    """Remove what a run or a sweep has written into its folder, but for its lock, which is held.

    Known names are removed, and folders that are empty then.  A link in the place of a folder is
    removed, what it leads to is not.

    Parameters
    ----------
    folder : Path
    """
    schemes = {*SCHEMES, *_schemes_of(folder)}
    for path in sorted(folder.iterdir()):
        if path.name in schemes and _is_folder(path):
            for seed in sorted(path.glob(names.SEED_FOLDERS)):
                if names.seed_number(seed.name) is not None and _is_folder(seed):
                    _clear_cell(seed)
            _remove_empty(path)
        elif _POINT.fullmatch(path.name) and (path / names.SCENARIO).is_file():
            if _is_folder(path):
                clear_run(path)
                _remove(path, (names.LOCK,))
                _remove_empty(path)
        elif path.name == names.FIGURES and _is_folder(path):
            _remove(path, ("*.pdf", "*.png"))
            _remove_empty(path)
    _remove(folder, names.OF_A_RUN)


def _schemes_of(folder: Path) -> tuple[str, ...]:
    try:
        return scenario_file.load(folder / names.SCENARIO).schemes
    except InputError:  # damaged, or of another version
        return ()


def _clear_cell(folder: Path) -> None:
    checkpoint, adapter = folder / names.CHECKPOINT, folder / names.ADAPTER
    if _is_folder(checkpoint):
        _remove(checkpoint, names.OF_A_CHECKPOINT)
        _remove_empty(checkpoint)
    if _is_folder(adapter):
        shutil.rmtree(adapter)
    _remove(folder, (*names.OF_A_CELL, names.LOCK))
    _remove_empty(folder)


def _is_folder(path: Path) -> bool:
    """Tell whether a path is a folder; a link in its place is removed."""
    if path.is_symlink():
        path.unlink()
        return False
    return path.is_dir()


def _remove(folder: Path, known: Iterable[str]) -> None:
    """Remove files of known names, or patterns of them, and what is half written of them."""
    patterns = tuple(known)
    clean(folder, patterns)
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if path.is_symlink() or path.is_file():
                path.unlink()


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):  # something of the user's is in it
        folder.rmdir()
