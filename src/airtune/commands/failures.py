"""What the command line says of files that fail and of damage that it goes on without."""

from __future__ import annotations

import errno
import sys
import warnings
from typing import TextIO

from airtune.errors import DamageWarning, clip, shown

FAILED, BAD_INPUT = 1, 2

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
_plain_warning = warnings.showwarning


def show_failure(error: OSError) -> int:
    """Say which file could not be read or written, and return the exit code.

    Raises
    ------
    OSError
        It is neither of a name that is too long nor of the disk.
    """
    if error.errno == errno.ENAMETOOLONG:
        print(f"airtune: {shown(error.filename)}: no file has so long a name", file=sys.stderr)
        return BAD_INPUT
    if error.errno not in _DISK:
        raise error
    place = "" if error.filename is None else f"{clip(error.filename)}: "
    print(f"airtune: {place}cannot be written: {error.strerror}", file=sys.stderr)
    return FAILED


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning of damage in one line, others as Python does."""
    if issubclass(category, DamageWarning):
        print(f"airtune: warning: {message}", file=sys.stderr)
    else:
        _plain_warning(message, category, filename, lineno, file, line)
