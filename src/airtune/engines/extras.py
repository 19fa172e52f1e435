"""Whether the package of an extra is installed."""

from __future__ import annotations

from importlib.util import find_spec

from airtune.errors import InputError


def check_installed(extra: str, package: str, who: str | None = None) -> None:
    """Refuse what needs a package that is not there.

    Parameters
    ----------
    extra : str
        Installs it; that of an engine has the engine's name.
    package : str
    who : str, optional
        Begins the message; by default the setting of the engine.

    Raises
    ------
    InputError
        Says how to install it.
    """
    found = find_spec(package)
    if found is None or found.origin is None:  # a folder of that name is no package
        raise InputError(
            f"{who or f'engine.name = {extra!r}'}: needs the package {package}; install it with: "
            f"pip install 'airtune[{extra}]'"
        )
