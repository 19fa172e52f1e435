"""Temporary folders of runs and nodes; what a killed process has left goes at the next start."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "airtune-fl-"
LOCK = "lock"
"""File that the owner of a folder has locked; the system frees it when the owner is gone."""


@contextmanager
def folder_here() -> Iterator[Path]:
    """Make a folder that only this user may open, for the length of a block.

    Its path is short: that of a socket in it has at most about 100 characters.
    """
    sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name, _locked(Path(name) / LOCK):
        yield Path(name)


def sweep(place: Path) -> list[Path]:
    """Remove folders of this user whose owner is gone, and return them."""
    gone = []
    for folder in place.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            with _locked(folder / LOCK, made=False):
                shutil.rmtree(folder, ignore_errors=True)
            gone.append(folder)
    return gone


@contextmanager
def _locked(path: Path, *, made: bool = True) -> Iterator[None]:
    """Hold the lock of a file for the length of a block.

    Raises
    ------
    OSError
        Somebody else has it, or there is no such file and none is to be made.
    """
    file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | (os.O_CREAT if made else 0), 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(file)
