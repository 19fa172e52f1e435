"""Standard streams that are closed, full, or read by nobody any more.

- A closed stream is as if it were the null device, for the child processes, too: otherwise the
  next file that is opened would get its number, and what is meant for the stream.
- Where the reader of stdout or stderr has ended (``airtune ... | head -1``) the rest is dropped
  and the work goes on: hours of it are not lost with the pager that showed them.
- Nothing that stderr cannot take changes the result.
- What stdout cannot take for another reason, such as a full disk, is an error.
- What its encoding lacks is none: a file's name is written as the bytes that it is, anything else
  is escaped.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import Any

_NAMES = "airtune-names"


def _bytes_of(error: UnicodeError) -> tuple[bytes, int]:
    """Answer for characters that an encoding lacks: the handler of errors `_NAMES`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    byte = ((c, ord(c) - 0xDC00) for c in lacking)  # as of the handler ``surrogateescape``
    found = (
        bytes([x]) if 0x80 <= x <= 0xFF else c.encode("ascii", "backslashreplace") for c, x in byte
    )
    return b"".join(found), error.end


codecs.register_error(_NAMES, _bytes_of)


def settle() -> None:
    """Open what is closed of stdin, stdout and stderr, and guard what is written to the two last.

    Streams that are no plain ones of this process, such as those of a test, stay as they are.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free is given.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, "r", closefd=False)))
    sys.stdout = _guarded(sys.stdout, 1, "stdout")
    sys.stderr = _guarded(sys.stderr, 2, "stderr")


class _Output(io.FileIO):
    """A stream that goes to the null device from the first write on that fails."""

    def write(self, data: Any) -> int:
        left = memoryview(data).cast("B")
        size = left.nbytes
        try:
            # A system call may take a part, at the end of a disk for one; only the next one fails.
            while left and (taken := super().write(left)):
                left = left[taken:]
            return size - left.nbytes
        except OSError as error:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            if self.fileno() == 1 and not isinstance(error, BrokenPipeError):
                raise OSError(error.errno, os.strerror(error.errno or 0), self.name) from None
            return size


def _guarded(stream: Any, number: int, name: str) -> Any:
    """Return a stream like the given one, over `_Output`."""
    if stream is None:
        nowhere = io.BufferedWriter(io.FileIO(number, "w", closefd=False))
        stream = io.TextIOWrapper(nowhere, encoding="utf-8")
    if type(stream) is not io.TextIOWrapper or stream.fileno() != number:
        return stream  # a stand-in of somebody else
    stream.flush()
    raw = _Output(number, "w", closefd=False)
    raw.name = f"<{name}>"
    unbuffered = stream.write_through
    return io.TextIOWrapper(
        raw if unbuffered else io.BufferedWriter(raw),
        encoding=stream.encoding,
        # The second one is that of the C locale, where it stands for names alone.
        errors=_NAMES if stream.errors in ("strict", "surrogateescape") else stream.errors,
        line_buffering=stream.line_buffering,
        write_through=unbuffered,
    )
