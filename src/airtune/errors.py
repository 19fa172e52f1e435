"""Errors that a person can act on, and how they show what the person gave."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST = 200
"""Most characters of one value or name that a message shows."""

MESSAGE = 390
"""Most characters of a whole message: with ``airtune: `` before it a line stays below 400."""

_PROGRAM = "airtune: "

_OPENING = re.compile(r"""(?<![\w'"])['"]""")
_WITHIN = {quote: re.compile(rf"(?:[^{quote}\\]|\\.)*+", re.S) for quote in "'\""}
_LETTER = re.compile(r"\w")
_WORD = re.compile(rf"\S{{{LONGEST + 1},}}")


def clip(value: object) -> str:
    """Return the text of a value for a message, without its end where it is long.

    Parameters
    ----------
    value : object

    Returns
    -------
    str
        ``str(value)``, or its beginning and its length: at most `LONGEST` characters in all.  What
        cannot be printed, ends of lines among it, is written as Python escapes it.

    Examples
    --------
    >>> clip("a.b")
    'a.b'
    >>> clip("0123456789" * 100)[-36:]
    '4567890123456789...(1000 characters)'
    >>> print(clip("a\\nb\\x1b[2J"))
    a\\nb\\x1b[2J
    """
    text = _printable(whole := _text(value))
    if len(text) <= LONGEST:
        return text
    tail = f"...({len(whole)} characters)"
    return text[: LONGEST - len(tail)] + tail


def _text(value: object) -> str:
    """Return ``str(value)``; of a value that has no text of its own, its type."""
    try:
        return _named_from_here(str(value))
    except Exception:  # the value is the user's, and so is its way to fail
        return f"a {type(value).__name__}"


def _printable(text: str, kept: str = "") -> str:
    """Return a text with what cannot be printed escaped, but for some characters."""
    if text.isprintable():
        return text
    return "".join(x if x.isprintable() or x in kept else repr(x)[1:-1] for x in text)


def shown(value: object) -> str:
    """Return a value for a message as Python writes it, text in quotes, clipped as by `clip`."""
    return clip(repr(value))


class InputError(ValueError):
    """A setting, file or argument that cannot be used.

    The message names the setting, its value and what is allowed.  Commands print it without a
    traceback and exit with code 2.  A quoted text or a word in it that is longer than `LONGEST`
    characters is clipped, whoever writes the message; lists are clipped where they are put in.  Of
    a message that is longer than `MESSAGE` characters still, beginning and end stay.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(clip_message(message))


class InfeasibleError(InputError):
    """A plan that cannot be made: its budgets cannot be kept, or its air cannot be planned with.

    A sweep notes it for the point and goes on with the others.
    """


class OwnDataError(InputError):
    """A file of a node's own that cannot be used; what the message quotes stays on its machine."""


class FailedError(RuntimeError):
    """What stops work that began well, such as a full disk.

    Commands print the message without a traceback and exit with code 1.  Long texts in it are
    clipped as in an `InputError`.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(clip_message(message))


class RoundWarning(RuntimeWarning):
    """What goes otherwise in a round than asked for; commands print it in one line, clipped."""


class DamageWarning(UserWarning):
    """A damaged file without which the work goes on; commands print it in one line, clipped."""


def clip_message(message: object, most: int = MESSAGE) -> str:
    """Return a message of at most so many characters.

    Quoted texts and words that are longer than `LONGEST` characters are clipped; of a message that
    is too long still, beginning and end stay.  What cannot be printed is escaped, but for ends of
    lines: no text of a user's steers a terminal.

    Parameters
    ----------
    message : object
    most : int
        Characters.

    Examples
    --------
    >>> clip_message("word " * 200, 40)
    'word word word word word w ... ord word '
    """
    text = _printable(_text(message), "\n")
    text = _with_short_quotes(text)
    text = _WORD.sub(lambda found: clip(found.group()), text)
    if len(text) <= most:
        return text
    head = 2 * most // 3
    return f"{text[:head]} ... {text[head + 5 - most :]}"


def _with_short_quotes(text: str) -> str:
    """Return a text with its long quoted texts clipped, in a time that grows with its length."""
    parts, done, at, until = list[str](), 0, 0, {"'": 0, '"': 0}
    while found := _OPENING.search(text, at):
        quote, start = found.group(), found.start()
        at = start + 1
        if start < until[quote]:  # it ends where the one before does
            continue
        inside = _WITHIN[quote].match(text, at)
        end = len(text) if inside is None else inside.end()
        until[quote] = end
        closed = text[end : end + 1] == quote
        if closed and end - start > LONGEST and not _LETTER.match(text, end + 1):
            parts += [text[done:start], clip(text[start : end + 1])]
            done = at = end + 1
    return "".join([*parts, text[done:]])


def spoken(text: object) -> str:
    """Return a message, a warning or a note as the line that a command prints, clipped.

    Examples
    --------
    >>> spoken("note: nothing to do")
    'airtune: note: nothing to do'
    >>> len(spoken("warning: " + "word " * 200))
    399
    """
    return clip_message(f"{_PROGRAM}{text}", len(_PROGRAM) + MESSAGE)


NO_ANSWER = "its numbers are too large, too small or too far apart for double precision"
"""Why a calculation with finite numbers has no answer."""


@contextmanager
def computable(what: str) -> Iterator[None]:
    """Turn a calculation that breaks down into an `InputError` that names what was given.

    Parameters
    ----------
    what : str
        Begins the message: the file or the settings.

    Examples
    --------
    >>> with computable("problem.npz"):
    ...     1.0 / 0.0
    Traceback (most recent call last):
    ...
    airtune.errors.InputError: problem.npz: its numbers are too large, too small or too far apart \
for double precision (float division by zero)
    """
    try:
        yield
    except ArithmeticError as error:
        raise InputError(f"{what}: {NO_ANSWER} ({clip(error)})") from error
    except ValueError as error:
        if type(error).__name__ != "LinAlgError":  # NumPy's, without importing it
            raise
        raise InputError(f"{what}: {NO_ANSWER} ({clip(error)})") from error


class _Here:
    """The folder in which a command was typed, and what names it in a message; None outside."""

    folder: str | None = None
    named: re.Pattern[str] | None = None


@contextmanager
def typed_here() -> Iterator[None]:
    """Let messages name what lies below the working folder relative to it, as a user types it.

    It stays that folder until the end of the block, wherever the work goes on meanwhile: a run is
    gone on with in the folder in which it was begun.  The value of a setting stays as it was given.

    Examples
    --------
    >>> with typed_here():
    ...     InputError(f"{Path('runs/mine').absolute()}: holds no run")
    InputError('runs/mine: holds no run')
    """
    known = _Here.folder, _Here.named
    try:
        _Here.folder = str(Path.cwd())
    except OSError:  # it has been removed
        _Here.folder = None
    if _Here.folder == os.sep:
        _Here.folder = None  # every path is below it
    _Here.named = None if _Here.folder is None else _naming(_Here.folder)
    try:
        yield
    finally:
        _Here.folder, _Here.named = known


def _naming(folder: str) -> re.Pattern[str]:
    """Return what finds a folder in a text, as itself or at the beginning of a path."""
    written = "|".join(map(re.escape, dict.fromkeys((folder, repr(folder)[1:-1]))))
    value = r"""(?<!= )(?<!= ['"])"""
    below, itself = rf"""{re.escape(os.sep)}(?=[^\s'"])""", r"""(?=: |['")\]]|$)"""
    return re.compile(rf"""(?<![^\s'"`(\[]){value}(?:{written})({below}|{itself})""")


def as_typed(path: Path) -> Path:
    """Return a path relative to the folder of :func:`typed_here` where it lies below it."""
    folder = _Here.folder
    return path.relative_to(folder) if folder and path.is_relative_to(folder) else path


def _named_from_here(text: str) -> str:
    """Return a text in which paths are as :func:`as_typed` has them."""
    if _Here.named is None:
        return text
    return _Here.named.sub(lambda found: "" if found.group(1) else ".", text)
