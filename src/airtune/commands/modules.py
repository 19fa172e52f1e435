"""``airtune --import MODULE``: modules of the user's that register schemes and other objects."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from airtune.errors import InputError


def import_module(name: str) -> None:
    """Import a module from the present folder or wherever Python finds it.

    Raises
    ------
    InputError
        The name is no module's, there is none of that name, or it cannot be imported.
    """
    if not all(part.isidentifier() for part in name.split(".")):
        raise InputError(f"--import {name}: must be the name of a module, without .py")
    if str(Path.cwd()) not in sys.path:  # last, and for good: it may import others later
        sys.path.append(str(Path.cwd()))
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise InputError(f"--import {name}: needs the module {error.name!r}") from None
        raise InputError(f"--import {name}: no such module here or among the installed") from None
    except (ImportError, SyntaxError) as error:
        raise InputError(f"--import {name}: cannot be imported ({error})") from None
