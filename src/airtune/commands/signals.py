"""What SIGINT and SIGTERM do: before a command runs, while it runs, and when it has ended."""

from __future__ import annotations

import atexit
import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

SAID = "airtune: interrupted; what is finished is saved"
CODE = 130

_NUMBERS = (signal.SIGINT, signal.SIGTERM)
_seen: list[int] = []


def quit_at_once() -> None:
    """Let a signal end the process with a message and exit code 130.

    For the time in which nothing is unsaved.  An exception would come up in whatever is being
    imported then, where a library may drop it or make another one of it.
    """
    for number in _NUMBERS:
        signal.signal(number, _quit)


def leave_the_end_alone() -> None:
    """Have SIGINT ignored from the moment at which the interpreter answers no signal any more.

    By then everything is done; the process would end by the signal instead of with its exit code.
    What is registered first at the exit is called last.
    """
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)


def interrupt() -> None:
    """Let a signal raise KeyboardInterrupt, and note it for `interrupted`."""
    _seen.clear()
    for number in _NUMBERS:
        signal.signal(number, _raise)


def interrupted() -> bool:
    """Whether a signal came; commands look it up between rounds.

    A signal that arrives inside a library's callback raises there, and the library may drop it.
    """
    return bool(_seen)


def answered() -> None:
    """Forget a signal that the command has answered, and goes on."""
    _seen.clear()


def _quit(number: int, frame: FrameType | None) -> None:
    try:
        os.write(2, f"{SAID}\n".encode())
    except OSError:  # nobody reads it
        os._exit(CODE)
    os._exit(CODE)


def _raise(number: int, frame: FrameType | None) -> None:
    _seen.append(number)
    raise KeyboardInterrupt
