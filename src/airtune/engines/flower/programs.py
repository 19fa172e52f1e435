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

HERE = ("127.0.0.1", "localhost", "::1")
"""Names of this machine, which no proxy is asked for."""

ANSWERED_S = 10.0
"""Time in which a SuperLink answers [s]."""


def check_installed() -> None:
    """Refuse the engine where Flower is not installed (:func:`extras.check_installed`)."""
    extras.check_installed("flower", "flwr")


def environment(home: Path) -> dict[str, str]:
    """Return the environment of Flower's programs, which keep their files in `home`.

    Programs that belong to this Python are found first, and this machine without a proxy.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    known = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    direct = os.environ.get("no_proxy", os.environ.get("NO_PROXY", ""))
    # an asterisk stands for all hosts by itself only
    direct = direct if direct.strip() == "*" else ",".join(part for part in (direct, *HERE) if part)
    return {
        **os.environ,
        **SETTINGS,
        "no_proxy": direct,
        "NO_PROXY": direct,
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
        Of the authority that signed the SuperLink's; None: of those that Flower trusts by itself.

    Raises
    ------
    InputError
        Names the setting.
    """
    try:
        error = trouble(address, certificate)
    except (OSError, ValueError) as unread:
        raise InputError(
            f"engine.certificate = {shown(_text(certificate))}: must be a file with the "
            f"certificate of an authority, PEM ({clip(unread)})"
        ) from None
    if isinstance(error, ssl.SSLCertVerificationError):
        raise InputError(
            f"engine.certificate = {shown(_text(certificate))}: does not vouch for engine.address "
            f"= {shown(address)} ({clip(error.verify_message)}); must be of the authority that "
            "signed the SuperLink's certificate, which names that host"
        )
    if error is not None:
        raise InputError(
            f"engine.address = {shown(address)}: no SuperLink of Flower answers there with TLS "
            f"({clip(str(error) or type(error).__name__)})"
        )


def trouble(address: str, certificate: str | Path | None) -> Exception | None:
    """Return what is in the way to a SuperLink; None: it answers.

    It is asked as Flower asks in :func:`environment`, by the same library with the same roots, and
    by the proxy that is named there, if any.

    Parameters
    ----------
    address, certificate
        As in :func:`check_reachable`.

    Returns
    -------
    Exception or None
        A :class:`ssl.SSLCertVerificationError` where the certificate does not vouch for it.

    Raises
    ------
    OSError, ValueError
        The certificate cannot be read.
    """
    import httpx

    context = _context(certificate)
    direct = {f"all://{f'[{name}]' if ':' in name else name}": None for name in HERE}
    try:
        with (
            httpx.Client(verify=context, timeout=ANSWERED_S, mounts=direct) as client,
            client.stream("GET", f"https://{address}/"),
        ):
            pass  # whatever it would send: it has answered
    except httpx.ReadTimeout:  # TLS is there, and who is behind it is busy
        return None
    except (httpx.HTTPError, httpx.InvalidURL, ImportError, OSError, ValueError) as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
            cause = cause.__cause__ or cause.__context__
        return error if cause is None else cause
    return None


def _context(certificate: str | Path | None) -> ssl.SSLContext:
    """Return what judges a server where Flower connects."""
    import httpx

    if certificate is None:
        own: ssl.SSLContext = httpx.create_ssl_context()
        return own
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=Path(certificate).read_bytes().decode("ascii"))
    return context


def _text(certificate: str | Path | None) -> str | None:
    return None if certificate is None else str(certificate)


def free_port() -> int:
    """Return a port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
