"""Flower's programs as airtune runs them: nothing reports home, installs or looks for updates."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

from airtune.engines import extras
from airtune.errors import InputError, clip, shown

if TYPE_CHECKING:
    import httpx

SETTINGS = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "PYTHONUNBUFFERED": "1",
}
"""No reports home, no look for updates; what is printed is in the logs at once."""

HERE = ("127.0.0.1", "localhost", "::1")
"""Names of this machine, which no proxy is asked for."""

ANSWERED_S, WAITED_S = 10.0, 60.0
"""Time of each step in which a SuperLink answers, and longest time of all steps [s]."""


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
            f"({clip(told(error))})"
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
    context, found, way = context_of(certificate), list[Exception | None](), _Way()
    # names are looked up and headers come without a limit of their own
    asking = threading.Thread(
        target=lambda: found.append(_asked(address, context, way)), daemon=True
    )
    asking.start()
    asking.join(WAITED_S)
    return found[0] if found else way.of(TimeoutError(f"no answer within {WAITED_S:g} s"))


def _asked(address: str, context: ssl.SSLContext, way: _Way) -> Exception | None:
    """Ask at an address, and return what is in the way; None: somebody answers."""
    import httpx

    try:
        url = httpx.URL(f"https://{address}/")
        way.to = url.raw_host.decode(), url.port or 443
        with (
            _client(context) as client,
            client.stream("GET", url, extensions={"trace": way.note}),
        ):
            pass  # whatever it would send: it has answered
    except httpx.ReadTimeout as error:  # TLS is there, and who is behind it is busy
        return way.of(error) if way.at_proxy else None
    except Exception as error:  # httpx raises its own, and others of addresses and proxies
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
            cause = cause.__cause__ or cause.__context__
        return way.of(error) if cause is None or way.at_proxy else cause
    return None


def _client(context: ssl.SSLContext) -> httpx.Client:
    """Return what asks, by the proxies of the environment.

    Raises
    ------
    OSError
        One of them cannot be used.
    """
    import httpx

    direct = {f"all://{f'[{name}]' if ':' in name else name}": None for name in HERE}
    try:
        return httpx.Client(verify=context, timeout=ANSWERED_S, mounts=direct)
    except Exception:  # httpx raises its own, and others
        for name, value in _proxies().items():
            try:
                httpx.HTTPTransport(verify=context, proxy=value)
            except Exception:
                raise _unusable(name) from None
        raise _unusable(None) from None


def _proxies() -> dict[str, str]:
    """Return the proxies by the variables that name them, those that are asked first first."""
    found = getproxies()
    names = {name.lower(): name for name in sorted(os.environ) if os.environ[name]}
    return {
        names.get(f"{scheme}_proxy", f"{scheme}_proxy"): (
            found[scheme] if "://" in found[scheme] else f"http://{found[scheme]}"
        )
        for scheme in ("https", "all", "http")
        if found.get(scheme)
    }


def _unusable(name: str | None) -> OSError:
    """Return the error of a variable that names a proxy; None: of those that need none.

    Not its value, nor what httpx says of it: both may show a password.
    """
    wanted = (
        "no_proxy must be names of hosts"
        if name is None
        else f"{name} must be http://host:port, or socks5:// with the package socksio; "
        "/ ? # in a password are %2F %3F %23"
    )
    return OSError(f"the proxy of the environment cannot be used: {wanted}")


class _Way:
    """Whom a request goes to, as httpx tells it: the address itself, or a proxy first.

    Attributes
    ----------
    to : (str, int)
        Host and port that are asked for.
    proxy : str or None
        ``host:port`` of the proxy.
    at_proxy : bool
        Whether it has come no farther than to the proxy.
    """

    def __init__(self) -> None:
        self.to = "", 0
        self.proxy: str | None = None
        self.at_proxy = False

    def note(self, event: str, info: Mapping[str, Any]) -> None:
        """Take note of a step of the request (httpx, "Request extensions: trace")."""
        if event.endswith("connect_tcp.started") and (info["host"], info["port"]) != self.to:
            self.proxy, self.at_proxy = f"{info['host']}:{info['port']}", True
        elif event in ("proxy.start_tls.started", "socks.start_tls.started"):  # beyond it
            self.at_proxy = False

    def of(self, error: Exception) -> Exception:
        """Return an error that names the proxy, if there is one."""
        if self.proxy is None:
            return error
        for name, value in list(_proxies().items())[:1]:
            # a password with one of these ends the host before it: host and port are parts of it
            if re.search(r"://[^/?#]*[/?#].*@", value):
                return _unusable(name)
        return OSError(f"by the proxy {self.proxy} of the environment: {told(error)}")


def told(error: Exception) -> str:
    """Return what an error says, or its kind where it says nothing."""
    return str(error) or type(error).__name__


def context_of(certificate: str | Path | None) -> ssl.SSLContext:
    """Return what judges a server where Flower connects.

    Parameters
    ----------
    certificate
        As in :func:`check_reachable`.

    Raises
    ------
    OSError, ValueError
        It cannot be read.
    """
    if certificate is None:
        import httpx

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
