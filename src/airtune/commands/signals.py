"""What SIGINT and SIGTERM do: before a command runs, while it runs, and when it has ended."""

from __future__ import annotations

import _thread
import atexit
import contextlib
import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from types import FrameType

SAID = "airtune: interrupted; what is finished is saved"
CODE = 130

_NUMBERS = (signal.SIGINT, signal.SIGTERM)
_AGAIN_S = 0.02
_seen: list[int] = []
_lost: list[int] = []
_hooks = [sys.__unraisablehook__]


def quit_at_once() -> None:
    """Let a signal end the process with a message and exit code 130.

    For the time in which nothing is unsaved.  An exception would come up in whatever is being
    imported then, where a library may drop it or make another one of it.
    """
    _lost.clear()
    for number in _NUMBERS:
        signal.signal(number, _quit)


def leave_the_end_alone() -> None:
    """Have signals ignored from the moment at which the interpreter answers none any more.

    By then everything is done; the process would end by the signal instead of with its exit code.
    What is registered first at the exit is called last.
    """
    for number in _NUMBERS:
        atexit.register(signal.signal, number, signal.SIG_IGN)


def interrupt() -> None:
    """Let a signal raise KeyboardInterrupt, and note it for `interrupted`."""
    answered()
    if sys.unraisablehook is not _raise_again:
        _hooks[:] = [sys.unraisablehook]
        sys.unraisablehook = _raise_again
    for number in _NUMBERS:
        signal.signal(number, _raise)


def interrupted() -> bool:
    """Whether a signal came; commands look it up between rounds.

    A signal that arrives inside a library's callback raises there, and the library may drop it.
    """
    if _seen:
        _lost.clear()  # it is answered now
    return bool(_seen)


def answered() -> None:
    """Forget a signal that the command has answered, and goes on."""
    _seen.clear()
    _lost.clear()


def _quit(number: int, frame: FrameType | None) -> None:
    try:
        os.write(2, f"{SAID}\n".encode())
    except OSError:  # nobody reads it
        os._exit(CODE)
    os._exit(CODE)


def _raise(number: int, frame: FrameType | None) -> None:
    _seen.append(number)
    raise KeyboardInterrupt


def _raise_again(lost: UnraisableHookArgs) -> None:
    # Python drops what comes up while an object is deleted, with a traceback: the signal comes
    # again when that is over, unless somebody has looked it up by then, from a thread that takes no
    # lock which may be held here.
    if not (_seen and lost.exc_type is KeyboardInterrupt):
        _hooks[0](lost)
        return
    _lost.append(_seen[-1])
    with contextlib.suppress(RuntimeError):  # the interpreter ends
        _thread.start_new_thread(_send, (_thread.get_ident(), _seen[-1]))


def _send(thread: int, number: int) -> None:
    time.sleep(_AGAIN_S)
    if number in _lost:
        _lost.clear()
        signal.pthread_kill(thread, number)  # also where it waits in a call of the system
