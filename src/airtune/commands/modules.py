"""``airtune --import MODULE``: modules of the user's that register schemes and other objects."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path

from airtune.errors import InputError, clip, shown
from airtune.registry import IMPORTED


def import_module(name: str) -> None:
    """Import a module from the present folder or wherever Python finds it.

    Raises
    ------
    InputError
        The name is no module's, there is none of that name, or it cannot be imported.
    """
    if not all(part.isidentifier() for part in name.split(".")):
        raise InputError(f"--import {clip(name)}: must be the name of a module, without .py")
    if str(Path.cwd()) not in sys.path:  # last, and for good: it may import others later
        sys.path.append(str(Path.cwd()))
    try:
        importlib.import_module(name)
    except InputError as error:  # of what it registers
        raise InputError(f"--import {clip(name)}: {clip(error)}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the module raises, SystemExit among it
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing == name:
            message = "no such module here or among the installed"
            raise InputError(f"--import {clip(name)}: {message}") from None
        if missing:
            raise InputError(f"--import {clip(name)}: needs the module {shown(missing)}") from error
        raise InputError(
            f"--import {clip(name)}: cannot be imported ({type(error).__name__}: "
            f"{clip(error)}{_place(error)})"
        ) from error
    if name not in IMPORTED:
        IMPORTED.append(name)


def _place(error: BaseException) -> str:
    """Return the line of a module's top level that an import came to, as `` at FILE, line N``."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame for frame in frames if frame.name == "<module>"]
    return f" at {lines[-1].filename}, line {lines[-1].lineno}" if lines else ""
