"""The user's files and folders that a run depends on: what is in them, and that it is not too much.

All of it is looked at without reading a byte, so that what no run could use is refused at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from airtune.errors import InputError, shown
from airtune.memory import PARSED, demand

MOST_ENTRIES = 100_000
"""Files and folders at most in a folder that a setting names."""

_FOLDERS = {
    "model.source": "config.json",
    "model.adapter": "adapter_config.json",
    "planning.pilot": "pilot.json",
}
"""Settings that may name a folder, and the file that tells what the folder is."""

_WEIGHTS = 16.0
"""Bytes of a model's files at most, over the memory of this machine.

Float32 weights are opened as 4 bits, one matrix at a time, and may lie there in two formats.
"""

_TEXTS = (".json", ".jsonl", ".txt")
_GGUF = b"GGUF"


def files_in(path: Path, *, links: bool) -> Iterator[tuple[str, Path | None]]:
    """Yield the files of a folder and of those in it, by their names, or a file by none.

    Parameters
    ----------
    path : Path
    links : bool
        Go into linked folders, too.  A link to a folder that it lies in itself is yielded as
        ``name -> target`` without a file.

    Raises
    ------
    InputError
        The folder holds more than `MOST_ENTRIES` files and folders.
    """
    if not path.is_dir():
        if path.is_file():
            yield "", path
        return
    count = 0
    for folder, inner, found in os.walk(path, followlinks=links):
        count += len(inner) + len(found)
        if count > MOST_ENTRIES:
            raise InputError(
                f"{shown(str(path))}: holds more than {MOST_ENTRIES} files and folders; name a "
                "folder that holds only what is needed"
            )
        inner.sort()
        for name in sorted(found):
            each = Path(folder, name)
            if each.is_file():
                yield each.relative_to(path).as_posix(), each
        for name in list(inner) if links else ():
            each = Path(folder, name)
            if each.is_symlink() and _leads_back(path, each):
                inner.remove(name)
                yield f"{each.relative_to(path).as_posix()} -> {each.readlink()}", None


def _leads_back(top: Path, link: Path) -> bool:
    """Tell whether a link leads to a folder on the way to it, or to one above."""
    target = link.resolve()
    ways = accumulate(link.parent.relative_to(top).parts, Path.joinpath, initial=top)
    return any(way.resolve().is_relative_to(target) for way in ways)


def check_extent(setting: str, name: str) -> None:
    """Refuse a file or folder of the user's that no run can use, before any of it is read.

    Parameters
    ----------
    setting : str
        That names it.
    name : str
        Of something that exists.

    Raises
    ------
    InputError
        It is of another kind (see `other_kind`), holds too many files, or more bytes than this
        machine could use.
    """
    path, what = Path(name), f"{setting} = {shown(name)}"
    kind = other_kind(setting, name)
    if kind is not None:
        raise InputError(f"{what}: {kind}")
    if path.is_dir() or (path.is_file() and setting == "model.source"):
        sizes = (each.stat().st_size for _, each in files_in(path, links=True) if each)
        size = sum(sizes)
        demand(f"{what}: its files of {size} bytes, even as weights of 4 bits,", size / _WEIGHTS)
    elif path.is_file():
        parsed = PARSED if path.suffix.lower() in _TEXTS else 1.0
        demand(f"{what}: its records", parsed * path.stat().st_size)


def other_kind(setting: str, name: str) -> str | None:
    """Say why something is not of the kind that a setting names; None where it may be.

    A folder where a file is due, one without what makes it a model or an adapter, or a model's file
    that does not begin as one.
    """
    path, needed = Path(name), _FOLDERS.get(setting)
    if path.is_dir():
        if needed is None:
            return "is a folder; must be a file"
        if not (path / needed).is_file():
            return f"cannot be loaded: the folder holds no {needed}"
    elif path.is_file() and setting == "model.source":
        with path.open("rb") as file:
            if file.read(len(_GGUF)) != _GGUF:
                return "cannot be loaded: the file is no GGUF file"
    return None
