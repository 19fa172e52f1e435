"""Temporary folders of runs and nodes; what a killed process has left goes at the next start."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from airtune.errors import InputError, shown

PREFIX = "airtune-fl-"
LOCK = "lock"
"""File that the owner of a folder has locked; the system frees it when the owner is gone."""


LONGEST = 103
"""Bytes of the path of a socket at most: 107 on Linux, 103 on macOS."""

SOCKET = "node.socket"
"""Name of a node's socket in its folder."""


@contextmanager
def folder_here(within: int = 0) -> Iterator[Path]:
    """Make a folder that only this user may open, for the length of a block.

    Parameters
    ----------
    within : int
        How many such folders are made in each other in it, with a node's socket in the last one.

    Raises
    ------
    InputError
        The paths of sockets in it would be too long.
    """
    place = _place(within)
    sweep(place)
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, dir=place) as name,
        _locked(Path(name) / LOCK),
    ):
        yield Path(name)


def _place(within: int) -> Path:
    """Return where temporary files go; ``/tmp`` where that path is too long for sockets."""
    named = tempfile.gettempdir()
    room = LONGEST - len(f"/{PREFIX}12345678") * (1 + within) - len(f"/{SOCKET}")
    for each in (named, "/tmp"):  # noqa: S108 - the folder in it is made for this user only
        if len(os.fsencode(each)) <= room and os.access(each, os.W_OK):
            return Path(each)
    raise InputError(
        f"TMPDIR = {shown(named)}: must have at most {room} characters, for sockets of the engine "
        "'flower' are made in it"
    )


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
