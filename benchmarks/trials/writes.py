"""What happens at the n-th write of a command: Python's audit events of files that it changes.

`airtune` has no switch for this: the hook is put into the forked process before the command.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

_REMOVALS = {"os.remove", "os.rmdir", "shutil.rmtree"}
_CHANGES = {"os.rename", "os.link", "os.mkdir", "os.truncate", *_REMOVALS}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def at_write(
    below: Path, number: int, then: Callable[[], None], *, removals: bool = True
) -> Callable[[], None]:
    """Return a hook that does something at the n-th change of a file below a folder, and after.

    Parameters
    ----------
    below : Path
    number : int
        From 0.
    then : callable
        Called at this change and at every later one, before it is made; what it raises is raised
        there.
    removals : bool
        Whether the removal of a file is a change, too.
    """
    place, count, guard = str(below), [0], threading.Lock()

    def happened(event: str, given: tuple[object, ...]) -> None:
        if not _is_change(event, given, place) or not (removals or event not in _REMOVALS):
            return
        with guard:
            reached = count[0] >= number
            count[0] += 1
        if reached:
            then()

    def install() -> None:
        sync = os.fsync

        def audited(descriptor: int) -> None:
            happened("os.truncate", (place,))
            sync(descriptor)

        os.fsync = audited
        sys.addaudithook(happened)

    return install


def counted(below: Path, report: Path, *, removals: bool) -> Callable[[], None]:
    """Return a hook that writes a byte into a file for each change below another folder."""

    def note() -> None:
        descriptor = os.open(report, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, b".")
        os.close(descriptor)

    return at_write(below, 0, note, removals=removals)


def full_disk() -> None:
    """Raise what a write to a full disk raises."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def killed() -> None:
    """End the process as SIGKILL from outside does."""
    os.kill(os.getpid(), 9)


def _is_change(event: str, given: tuple[object, ...], place: str) -> bool:
    if event == "open":
        path, mode, flags = given[:3]
        changes = isinstance(flags, int) and bool(flags & _WRITING)
        changes = changes or (isinstance(mode, str) and bool(set(mode) & set("wax+")))
        return changes and _is_below(path, place)
    return event in _CHANGES and any(_is_below(path, place) for path in given[:2])


def _is_below(path: object, place: str) -> bool:
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    return isinstance(path, str | os.PathLike) and str(Path(path).absolute()).startswith(place)
