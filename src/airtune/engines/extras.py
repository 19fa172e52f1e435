"""Whether the package of an engine is installed."""

from __future__ import annotations

from importlib.util import find_spec

from airtune.errors import InputError


def check_installed(engine: str, package: str) -> None:
    """Refuse an engine whose package is not there; its extra has the engine's name.

    Raises
    ------
    InputError
        Says how to install it.
    """
    found = find_spec(package)
    if found is None or found.origin is None:  # a folder of that name is no package
        raise InputError(
            f"engine.name = {engine!r}: needs the package {package}; install it with: "
            f"pip install 'airtune[{engine}]'"
        )
