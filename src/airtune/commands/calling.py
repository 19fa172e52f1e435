"""Calls a command, and says how it ended."""

from __future__ import annotations

import io
import sys
import warnings
from collections import namedtuple

import click

from airtune.commands import signals
from airtune.commands.app import app
from airtune.commands.failures import (
    BAD_INPUT,
    FAILED,
    show_tracebacks,
    show_warning,
    told,
    told_input,
)
from airtune.errors import DamageWarning, FailedError, InputError, RoundWarning, typed_here

DONE = 0


def call() -> int:
    """Run the command line of this process, and return the documented exit code.

    Whatever stops the command is told in one message on stderr.
    """
    with typed_here():
        code = _called()
        try:
            sys.stdout.flush()
        except OSError as error:
            return code or told(error)
    return code


def _called() -> int:
    warnings.showwarning = show_warning
    # Once in every command, also in the second one of a process, and never as an error; of rounds
    # each time, as those of another scheme or seed may say the same.
    warnings.filterwarnings("default", category=DamageWarning)
    if not _ignored(RoundWarning):
        warnings.filterwarnings("always", category=RoundWarning)
    show_tracebacks(False)
    signals.interrupt()
    try:
        code = app(standalone_mode=False)
        if code == signals.CODE:  # what typer makes of an interruption, without a word
            raise KeyboardInterrupt
        sys.stdout.flush()
    except click.ClickException as error:
        text = io.StringIO()
        error.show(file=text)
        print(InputError(text.getvalue()), end="", file=sys.stderr)  # with long values clipped
        return error.exit_code
    except InputError as error:
        if signals.interrupted():  # what cannot be imported may be a file of the user's
            return _interrupted()
        told_input(error)
        return BAD_INPUT
    except FailedError as error:
        print(f"airtune: {error}", file=sys.stderr)
        return FAILED
    except (KeyboardInterrupt, click.Abort):
        return _interrupted()
    except Exception as error:
        # A library may make an error of its own of the interruption, while it is imported most.
        return _interrupted() if signals.interrupted() else told(error)
    return code or DONE


def _ignored(category: type[Warning]) -> bool:
    """Tell whether `PYTHONWARNINGS` or ``python -W`` ignores all warnings of a category."""
    actions = (
        action
        for action, message, kind, module, line in warnings.filters
        if message is None and module is None and not line and issubclass(category, kind)
    )
    return bool(sys.warnoptions) and next(actions, None) == "ignore"


def _interrupted() -> int:
    # An interruption that came up through code from a text, as of dataclasses, makes Python end by
    # the signal instead of with the exit code, until the next one; a named tuple is such code.
    namedtuple("Nothing", ())
    signals.answered()
    print(signals.SAID, file=sys.stderr)
    return signals.CODE
