"""Who may talk to the server: a browser on this machine that was given the key, on its own page."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HOST = "127.0.0.1"
KEY = "key"
"""Of the query of the address that opens the page."""

FILES = "/files/"
"""Begins addresses that have a key of their own in them: a page in a sandbox sends no cookies."""

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Guard:
    """Lets pass what the page itself asks for, as ASGI middleware.

    The port of a loopback address is open to every user of the machine, and every page of a browser
    can send requests there.  So the address that opens the page has a key, which becomes a cookie;
    other names of the host (DNS rebinding) and other origins are refused.

    Parameters
    ----------
    app : callable
        The ASGI application.
    port : int
    key : str
        What the address must have.
    ticket : str, optional
        Stands for the key once: the address that a browser is started with can be read from the
        list of processes.
    """

    def __init__(self, app: App, port: int, key: str, ticket: str | None = None) -> None:
        self._app, self._key, self._ticket = app, key, ticket
        self._cookie = f"airtune-{port}"
        self._hosts = {f"{HOST}:{port}", f"localhost:{port}"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a connection, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host, origin = headers.get(b"host", ""), headers.get(b"origin")
        if host not in self._hosts or origin not in (None, f"http://{host}"):
            await _refuse(scope, send, "this server answers to its own page only")
            return
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get(KEY, [""])[-1]
        if scope["type"] == "http" and (self._fits(given) or self._takes(given)):
            cookie = f"{self._cookie}={self._key}; Path=/; HttpOnly; SameSite=Strict"
            # Not a redirect by status: a browser sends no strict cookie along one that began in
            # another program or page.
            page = f'<!doctype html><meta http-equiv="refresh" content="0; url={_path(scope)}">'
            more = ((b"set-cookie", cookie.encode()), (b"cache-control", b"no-store"))
            await _answer(send, 200, page, more)
            return
        cookies = SimpleCookie(headers.get(b"cookie", ""))
        mine = cookies[self._cookie].value if self._cookie in cookies else ""
        if not (self._fits(mine) or str(scope["path"]).startswith(FILES)):
            text = "open the address that `airtune ui` has printed; it has a key"
            await _refuse(scope, send, text)
            return
        await self._app(scope, receive, _with_headers(send))

    def _takes(self, given: str) -> bool:
        if self._ticket is None or not secrets.compare_digest(
            given.encode(), self._ticket.encode()
        ):
            return False
        self._ticket = None
        return True

    def _fits(self, given: str) -> bool:
        return _same(given, self._key)


def _same(given: str, wanted: str) -> bool:
    return secrets.compare_digest(given.encode(), wanted.encode())


def _path(scope: Scope) -> str:
    """Return the path of a request as it was written, safe within quotes."""
    from html import escape
    from urllib.parse import quote

    path = quote(str(scope["path"]))
    return escape(path if path.startswith("/") and not path.startswith("//") else "/")


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
        await send(message)

    return sending


async def _refuse(scope: Scope, send: Send, text: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
    else:
        await _answer(send, 403, f"airtune: {text}\n", (), b"text/plain; charset=utf-8")


async def _answer(
    send: Send,
    status: int,
    text: str,
    more: tuple[tuple[bytes, bytes], ...],
    kind: bytes = b"text/html; charset=utf-8",
) -> None:
    headers = [(b"content-type", kind), *_HEADERS, *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
