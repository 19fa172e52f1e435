"""Flower's programs as airtune runs them: nothing reports home, installs or looks for updates."""

from __future__ import annotations

import ipaddress
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

    Flower tries for minutes, or for ever, and does not say which of the two it is.  What gRPC, by
    which Flower connects, may accept is not refused: behind a proxy (`proxied`) nothing is asked.

    Parameters
    ----------
    address : str
        ``host:port``.
    certificate : str or Path, or None
        Of an authority that signed the SuperLink's, of one between the two, or the SuperLink's own;
        None: by gRPC's own roots, which are not known here, so that only TLS has to answer.

    Raises
    ------
    InputError
        Names the setting.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        context = _context(certificate)
    except OSError as error:
        raise InputError(
            f"engine.certificate = {shown(str(certificate))}: must be a file with the certificate "
            f"of an authority, PEM ({clip(error)})"
        ) from None
    if proxied(host):
        return
    try:
        with (
            socket.create_connection((host, int(port)), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            pass
    except ssl.SSLCertVerificationError as error:
        raise InputError(
            f"engine.certificate = {shown(str(certificate))}: does not vouch for engine.address = "
            f"{shown(address)} ({clip(error.verify_message)}); must be of the authority that "
            "signed the SuperLink's certificate, which names that host"
        ) from None
    except (OSError, OverflowError, ValueError) as error:
        raise InputError(
            f"engine.address = {shown(address)}: no SuperLink of Flower answers there with TLS "
            f"({clip(error)})"
        ) from None


def _context(certificate: str | Path | None) -> ssl.SSLContext:
    """Return what judges a server as gRPC does; without a certificate every server passes."""
    context = ssl.create_default_context(cafile=certificate)
    if certificate is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    # Python 3.13 asks for extensions that many an authority of one's own lacks; gRPC does not.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def proxied(host: str) -> bool:
    """Tell whether gRPC goes to a host by the proxy that the environment names.

    Parameters
    ----------
    host : str
        A name or an IP address, without brackets.

    References
    ----------
    gRPC Core, "Default HTTP Proxy Mapper User Guide": which variables count, in which order.
    """
    proxy = _first_set("grpc_proxy", "https_proxy", "http_proxy")
    direct = _first_set("no_grpc_proxy", "no_proxy").split(",")
    return bool(proxy) and not any(_covers(entry.strip(), host) for entry in direct)


def _first_set(*names: str) -> str:
    """Return the first of some variables that is set, be it to nothing."""
    return next((os.environ[name] for name in names if name in os.environ), "")


def _covers(entry: str, host: str) -> bool:
    """Tell whether an entry of ``no_proxy``, the end of a name or a subnet, is for a host."""
    if entry and host.lower().endswith(entry.lower()):
        return True
    try:
        return "/" in entry and ipaddress.ip_address(host) in ipaddress.ip_network(entry, False)
    except ValueError:
        return False


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
