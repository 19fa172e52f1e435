"""Flower's programs as airtune runs them: nothing reports home, installs or looks for updates."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from pathlib import Path

from airtune.engines import extras
from airtune.errors import InputError, clip, shown

SETTINGS = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "PYTHONUNBUFFERED": "1",
}
"""No reports home, no look for updates; what is printed is in the logs at once."""


def check_installed() -> None:
    """Refuse the engine where Flower is not installed (:func:`extras.check_installed`)."""
    extras.check_installed("flower", "flwr")


def environment(home: Path) -> dict[str, str]:
    """Return the environment of Flower's programs, which keep their files in `home`.

    Programs that belong to this Python are found first.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    known = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    return {
        **os.environ,
        **SETTINGS,
        "PATH": path,
        "FLWR_HOME": str(home),
        "PYTHONPATH": os.pathsep.join(str(Path(part).resolve()) for part in known),
    }


def program(name: str) -> str:
    """Return the path of a program of Flower.

    Raises
    ------
    InputError
        It is not there.
    """
    found = shutil.which(name, path=environment(Path())["PATH"])
    if found is None:
        raise InputError(
            f"engine.name = 'flower': the program {name} is not there; install it with: "
            "pip install 'airtune[flower]'"
        )
    return found


def check_reachable(address: str) -> None:
    """Refuse at once an address where nobody answers: Flower tries for ever.

    Raises
    ------
    InputError
        Names it.
    """
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=10):
            pass
    except (OSError, OverflowError, ValueError) as error:
        raise InputError(
            f"engine.address = {shown(address)}: no SuperLink of Flower answers there "
            f"({clip(error)})"
        ) from None


def free_port() -> int:
    """Return a port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
