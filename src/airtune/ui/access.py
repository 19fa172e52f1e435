"""Who may talk to the server: a browser on this machine that was given the key, on its own page."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

LOOPBACK = "127.0.0.1"
KEY = "key"
"""Of the query of the address that opens the page."""

FILES = "/files/"
"""Begins addresses that have a key of their own in them: a page in a sandbox sends no cookies."""

_HEADERS: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-dns-prefetch-control", b"off"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


def _name() -> str:
    return f"{secrets.token_hex(10)}.localhost"


def _token() -> str:
    return secrets.token_urlsafe(24)


@dataclass(frozen=True)
class Access:
    """What opens a server that has just been started.

    A cookie knows no port, so that of 127.0.0.1 would be sent to every other server there.
    Browsers take every name under ``localhost`` for this machine (RFC 6761) and each for a site of
    its own.

    Attributes
    ----------
    port : int
    host, files_host : str
        Names of the host of the pages, and of the files of runs: what is in a file may be
        anybody's, and learns the second one only.
    key : str
        Opens the page as often as it is given.
    ticket : str
        Stands for the key once.
    """

    port: int
    host: str = field(default_factory=_name)
    files_host: str = field(default_factory=_name)
    key: str = field(default_factory=_token)
    ticket: str = field(default_factory=_token)

    @property
    def origin(self) -> str:
        """Of the pages."""
        return f"http://{self.host}:{self.port}"

    @property
    def files_origin(self) -> str:
        """Of the files of runs."""
        return f"http://{self.files_host}:{self.port}"

    def address(self, path: str) -> str:
        """Return the address that opens a page in any browser of this machine."""
        return f"{self.origin}{path}?{KEY}={self.key}"

    def redirect(self, path: str) -> str:
        """Return a page that leads to another one with the ticket, to be read by one person only.

        The address that a browser is started with can be read from the list of processes.
        """
        address = f"{self.origin}{path}?{KEY}={self.ticket}"
        return (
            '<!doctype html><meta charset="utf-8"><title>airtune</title>'
            f'<meta http-equiv="refresh" content="0; url={address}">\n'
        )


class Guard:
    """Lets pass what the page itself asks for, as ASGI middleware.

    The port of a loopback address is open to every user of the machine, and every page of a browser
    can send requests there.  So the address that opens the page has a key, which becomes a cookie
    of a host whose name nobody else knows; other names of the host (DNS rebinding among them) and
    other origins are refused, and no other page may have this one in a frame.

    Parameters
    ----------
    app : callable
        The ASGI application.
    access : Access
    opens : callable
        Whether the key in the path of a file (:data:`FILES`) is that of its run.
    """

    def __init__(
        self, app: App, access: Access, opens: Callable[[str], bool] = lambda _: False
    ) -> None:
        self._app, self._access, self._opens = app, access, opens
        self._cookie = f"airtune-{access.port}"
        # What the key has opened, and what the ticket has: the second one can be closed again.
        self._session, self._by_ticket, self._used = _token(), _token(), False
        self._closed = False
        own, files = access.origin.encode(), access.files_origin.encode()
        self._page_headers: Headers = (
            *_HEADERS,
            (b"x-frame-options", b"DENY"),
            (
                b"content-security-policy",
                b"frame-ancestors 'none'; object-src 'none'; base-uri 'self'; frame-src " + files,
            ),
        )
        self._file_headers: Headers = (
            *_HEADERS,
            (b"content-security-policy", b"frame-ancestors " + own),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a connection, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if host == f"{self._access.files_host}:{self._access.port}":
            await self._file(scope, receive, send)
            return
        own = host == f"{self._access.host}:{self._access.port}"
        if not own or origin not in (None, self._access.origin):
            await _refuse(scope, send, "this server answers to its own page only")
            return
        session = self._session_of(headers.get("cookie", ""))
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get(KEY, [""])[-1]
        if scope["type"] == "http" and given:
            new = self._opened_by(given, session)
            if new:
                await self._enter(scope, send, new)
                return
        if not session:
            text = "open the address that `airtune ui` has printed; it has a key"
            await _refuse(scope, send, text)
            return
        if str(scope["path"]).startswith(FILES):
            await _refuse(scope, send, "files of runs have a host of their own")
            return
        sending = _with_headers(send, self._page_headers)
        if scope["type"] == "http":
            await self._app(scope, receive, sending)
        else:
            await self._app(scope, *self._while_open(session, receive, sending))

    async def _file(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope["path"])
        if scope["type"] != "http" or scope.get("method", "GET") not in ("GET", "HEAD"):
            await _refuse(scope, send, "files of runs can be read only")
        elif not path.startswith(FILES) or not self._opens(path):
            await _refuse(scope, send, "this is the address of no file")
        else:
            await self._app(scope, receive, _with_headers(send, self._file_headers))

    async def _enter(self, scope: Scope, send: Send, session: str) -> None:
        cookie = f"{self._cookie}={session}; Path=/; HttpOnly; SameSite=Strict"
        # Not a redirect by status: a browser sends no strict cookie along one that began in another
        # program or page.
        page = f'<!doctype html><meta http-equiv="refresh" content="0; url={_path(scope)}">'
        more = ((b"set-cookie", cookie.encode()), (b"cache-control", b"no-store"))
        await _answer(send, 200, page, (*self._page_headers, *more))

    def _opened_by(self, given: str, session: str) -> str:
        """Return the session that a key or a ticket opens; empty: none.

        A ticket that somebody gives a second time may have been stolen before the first: what it
        has opened is closed.
        """
        if _same(given, self._access.key):
            return self._session
        if not _same(given, self._access.ticket) or self._closed:
            return ""
        if self._used and session != self._by_ticket:
            self._closed = True
            return ""
        self._used = True
        return self._by_ticket

    def _session_of(self, cookies: str) -> str:
        """Return the session of a Cookie header; empty: none.

        By hand: other servers of this machine may have set cookies that no parser takes.
        """
        for part in cookies.split(";"):
            name, _, value = part.strip().partition("=")
            if name == self._cookie:
                for session in (self._session, self._by_ticket):
                    if _same(value, session) and self._is_open(session):
                        return session
        return ""

    def _is_open(self, session: str) -> bool:
        return session == self._session or (self._used and not self._closed)

    def _while_open(self, session: str, receive: Receive, send: Send) -> tuple[Receive, Send]:
        """Return what passes the messages of a connection on until its session is closed."""

        async def receiving() -> Message:
            message = await receive()
            if self._is_open(session):
                return message
            return {"type": "websocket.disconnect", "code": 1008}

        async def sending(message: Message) -> None:
            if self._is_open(session):
                await send(message)

        return receiving, sending


def _headers(scope: Scope) -> dict[str, str]:
    """Return the headers of a request; those of the same name together, as of cookies."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]};{text}" if key in found else text
    return found


def _same(given: str, wanted: str) -> bool:
    return secrets.compare_digest(given.encode(), wanted.encode())


def _path(scope: Scope) -> str:
    """Return the path of a request as it was written, safe within quotes."""
    from html import escape
    from urllib.parse import quote

    path = quote(str(scope["path"]))
    return escape(path if path.startswith("/") and not path.startswith("//") else "/")


def _with_headers(send: Send, more: Headers) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *more]}
        await send(message)

    return sending


async def _refuse(scope: Scope, send: Send, text: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
    else:
        await _answer(send, 403, f"airtune: {text}\n", _HEADERS, b"text/plain; charset=utf-8")


async def _answer(
    send: Send,
    status: int,
    text: str,
    more: Headers,
    kind: bytes = b"text/html; charset=utf-8",
) -> None:
    headers = [(b"content-type", kind), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
