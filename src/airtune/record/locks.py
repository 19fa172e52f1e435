"""The lock of a run folder: one process at a time writes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from airtune.errors import InputError
from airtune.record import names
from airtune.record.whole import not_written, refuse_link

if TYPE_CHECKING:
    from filelock import BaseFileLock


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Keep other processes from writing the same run folder.

    Raises
    ------
    InputError
        Another process is writing it, or there can be no lock.
    """
    held = _acquired(folder)
    if held is None:
        raise InputError(f"{folder}: another process is writing this run; wait until it has ended")
    try:
        yield
    finally:
        held.release()


@contextmanager
def lock_in_turn(folder: Path, timeout_s: float = 60.0) -> Iterator[None]:
    """Hold the lock of a folder that several processes write for moments, each in its turn.

    Parameters
    ----------
    folder : Path
    timeout_s : float
        Longest to wait [s].

    Raises
    ------
    InputError
        Another process has kept it for longer, or there can be no lock.
    """
    held = _acquired(folder, timeout_s)
    if held is None:
        raise InputError(f"{folder}: another process is writing this run; wait until it has ended")
    try:
        yield
    finally:
        held.release()


@contextmanager
def lock_if_free(folder: Path) -> Iterator[bool]:
    """Take the lock of a run folder where no other process has it; yield whether that is so.

    Raises
    ------
    InputError
        There can be no lock.
    """
    held = _acquired(folder)
    try:
        yield held is not None
    finally:
        if held is not None:
            held.release()


def _acquired(folder: Path, timeout_s: float = 0.0) -> BaseFileLock | None:
    """Return the lock; None where another process has it for so long."""
    from filelock import FileLock, Timeout

    path = folder / names.LOCK
    refuse_link(path)
    held = FileLock(path)
    try:
        held.acquire(timeout=timeout_s)
    except Timeout:
        return None
    except OSError as error:
        raise not_written(path, error) from None
    return held
