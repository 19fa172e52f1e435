"""Flower's programs as airtune runs them: nothing reports home, installs or looks for updates."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
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


def check_reachable(address: str, certificate: str | Path | None) -> None:
    """Refuse at once an address where no SuperLink answers, or one that nobody vouches for.

    Flower tries for minutes, or for ever, and does not say which of the two it is.

    Parameters
    ----------
    address : str
        ``host:port``.
    certificate : str or Path, or None
        Of the authority that signed the SuperLink's; None: those that this system trusts.

    Raises
    ------
    InputError
        Names the setting.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        context = ssl.create_default_context(cafile=certificate)
    except OSError as error:
        raise InputError(
            f"engine.certificate = {shown(str(certificate))}: must be a file with the certificate "
            f"of an authority, PEM ({clip(error)})"
        ) from None
    try:
        with (
            socket.create_connection((host, int(port)), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            pass
    except ssl.SSLCertVerificationError as error:
        named = "null" if certificate is None else shown(str(certificate))
        raise InputError(
            f"engine.certificate = {named}: does not vouch for engine.address = "
            f"{shown(address)} ({clip(error.verify_message)}); must be of the authority that "
            "signed the SuperLink's certificate, which names that host"
        ) from None
    except (OSError, OverflowError, ValueError) as error:
        raise InputError(
            f"engine.address = {shown(address)}: no SuperLink of Flower answers there with TLS "
            f"({clip(error)})"
        ) from None


def listens(address: str) -> bool:
    """Tell whether somebody answers at ``host:port``.

    Examples
    --------
    >>> listens(f"127.0.0.1:{free_port()}")
    False
    """
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=10):
            return True
    except (OSError, OverflowError, ValueError):
        return False


def free_port() -> int:
    """Return a port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
