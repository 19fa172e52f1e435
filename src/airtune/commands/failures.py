"""What is said of errors without a message of their own, and of damage that does not stop work."""

from __future__ import annotations

import errno
import os
import re
import sys
import tempfile
import traceback
import warnings
from typing import TextIO

from airtune.errors import DamageWarning, InputError, RoundWarning, clip, shown, spoken

FAILED, BAD_INPUT = 1, 2

_plain_warning = warnings.showwarning

_OF_THE_NAME = {
    errno.EACCES,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}
"""Ends of a system call that another name or other rights would avoid."""


_tracebacks = {"shown": False}


def show_tracebacks(shown: bool) -> None:
    """Let `told` and `told_input` print where an error came up, too, or not."""
    _tracebacks["shown"] = shown


def told_input(error: InputError) -> None:
    """Print the message of an error that the person can act on."""
    if error.__cause__ is not None and _tracebacks["shown"]:
        traceback.print_exception(error.__cause__)
    print(f"airtune: {error}", file=sys.stderr)


def told(error: Exception) -> int:
    """Print one message on an error, and return the exit code.

    Parameters
    ----------
    error : Exception
        No `InputError`.  Where an error of the program came up is written into a file, unless
        tracebacks were asked for.

    Returns
    -------
    int
        2 where a file or folder that was named cannot be used; 1 where the disk or the memory is
        full, or the program is at fault.
    """
    if isinstance(error, OSError) and error.filename is not None:
        _say(f"{shown(os.fspath(error.filename))}: {_reason(error)}")
        return BAD_INPUT if error.errno in _OF_THE_NAME else FAILED
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE):
        _say(_reason(error))
        return FAILED
    from airtune.record.whole import is_full

    if is_full(error):  # of a library that is not of Python
        code = re.search(r"\(os error (\d+)\)", str(error))
        _say(os.strerror(int(code[1]) if code else errno.ENOSPC))
        return FAILED
    if isinstance(error, MemoryError):
        _say("the memory is full; `airtune check` estimates what a scenario needs")
        return FAILED
    kind = f"{type(error).__name__}: {clip(' '.join(clip(error).split()))}"
    if _tracebacks["shown"]:
        traceback.print_exception(error)
        _say(f"this is an error of the program, please report it: {kind}")
        return FAILED
    place = _written(error)
    where = f"where it came up is in {place}" if place else "--traceback shows where it came up"
    _say(f"this is an error of the program, please report it: {kind} ({where})")
    return FAILED


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning of airtune's own in one line, others as Python does."""
    if issubclass(category, DamageWarning | RoundWarning):
        print(spoken(f"warning: {message}"), file=sys.stderr)
    else:
        _plain_warning(message, category, filename, lineno, file, line)


def _say(message: str) -> None:
    print(spoken(message), file=sys.stderr)


def _reason(error: OSError) -> str:
    if error.errno == errno.ENAMETOOLONG:
        return "no file has so long a name"
    return error.strerror or type(error).__name__


def _written(error: Exception) -> str | None:
    """Write the traceback into a file of its own, and return its name; None if that fails."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="airtune-", suffix=".txt", delete=False, encoding="utf-8", errors="replace"
        ) as file:
            traceback.print_exception(error, file=file)
            return file.name
    except OSError:
        return None
