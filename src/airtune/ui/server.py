"""The server of the live page: loopback only, its pages on NiceGUI, runs as processes."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airtune.errors import InputError
from airtune.report import page
from airtune.ui.access import FILES, LOOPBACK, Access, Guard
from airtune.ui.desk import Desk

TRIES = 20
"""Free ports that are tried until one is free at all loopback addresses."""

FILE_POLICY = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data: blob:; font-src data:; connect-src 'none'; "
    "form-action 'none'; base-uri 'none'"
)
"""What files of runs may do: they may be anybody's, so they get an origin of their own and load
nothing; a report is a single file."""


def listen(port: int) -> list[socket.socket]:
    """Return sockets on the loopback addresses, all of one port.

    Browsers look for names under ``localhost`` on ::1, too: who listened there in our place would
    be given the key.

    Parameters
    ----------
    port : int
        0: a free one.

    Raises
    ------
    InputError
        The port is taken or may not be used.
    """
    for _ in range(TRIES if port == 0 else 1):
        taken: list[socket.socket] = []
        try:
            taken.append(_bound(socket.AF_INET, LOOPBACK, port))
            if _has_ipv6():
                taken.append(_bound(socket.AF_INET6, "::1", taken[0].getsockname()[1]))
            return taken
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            for one in taken:
                one.close()
    raise InputError(
        f"--port {port}: cannot be used ({reason}); give another one, or 0 for a free one"
    )


def _bound(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((address, port))
    except BaseException:
        made.close()
        raise
    return made


def _has_ipv6() -> bool:
    """Whether there is a loopback address of IPv6."""
    try:
        _bound(socket.AF_INET6, "::1", 0).close()
    except OSError:
        return False
    return True


def serve(desk: Desk, port: int = 0, *, first: str = "/", browser: bool = True) -> None:
    """Serve the pages until the process is interrupted.

    Parameters
    ----------
    desk : Desk
    port : int
        0: a free one.
    first : str
        Path of the page that is opened first.
    browser : bool
        Open it in the browser.

    Raises
    ------
    InputError
        The port cannot be used.
    """
    import uvicorn

    sockets = listen(port)
    port = sockets[0].getsockname()[1]
    access = Access(port)
    desk.files_origin = access.files_origin
    guarded = Guard(application(desk), access, desk.opens)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    config = uvicorn.Config(
        guarded, log_level="error", access_log=False, timeout_graceful_shutdown=2, ws="websockets"
    )
    for bound in sockets:
        bound.listen()  # who comes before the server is ready waits, and is not refused
    print(f"airtune: the live page is at {access.address(first)}", flush=True)
    print("airtune: end it with Ctrl-C; runs go on", flush=True)
    with contextlib.ExitStack() as stack:
        for bound in sockets:
            stack.callback(bound.close)
        if browser:
            file = stack.enter_context(private_page(access.redirect(first)))
            threading.Timer(1.0, webbrowser.open, (file.as_uri(),)).start()
        with contextlib.suppress(KeyboardInterrupt):  # the usual way to end it
            uvicorn.Server(config).run(sockets=sockets)


@contextlib.contextmanager
def private_page(text: str) -> Iterator[Path]:
    """Yield a file with a text that only the user can read; it is removed at the end."""
    descriptor, name = tempfile.mkstemp(prefix="airtune-", suffix=".html")  # of mode 0600
    file = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(text)
        yield file
    finally:
        file.unlink(missing_ok=True)


def application(desk: Desk) -> Any:
    """Return the ASGI application: pages, their assets, and files of runs."""
    from fastapi import FastAPI, Response
    from nicegui import ui

    from airtune.ui import pages, views

    @contextlib.asynccontextmanager
    async def living(_: FastAPI) -> Any:
        desk.attach()
        yield

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=living)

    def asset(name: str) -> Response:
        kinds = {"ui.js": "text/javascript", "ui.css": "text/css", "page.css": "text/css"}
        if name not in kinds:
            return Response(status_code=404)
        text = page.asset(name) if name == "page.css" else views.asset(name)
        return Response(text, media_type=kinds[name], headers={"cache-control": "no-cache"})

    def file(key: str, name: str, path: str) -> Response:
        headers = {"content-security-policy": FILE_POLICY}
        if not desk.fits(key, name):
            return Response(status_code=404)
        try:
            content, kind = desk.report(name, path)
        except InputError as error:
            text = f"airtune: {error}\n"
            return Response(text, 404, media_type="text/plain; charset=utf-8", headers=headers)
        return Response(content, media_type=kind, headers=headers | {"cache-control": "no-store"})

    app.add_api_route("/assets/{name}", asset)
    app.add_api_route(FILES + "{key}/{name}/{path:path}", file)
    pages.add(desk)
    ui.run_with(
        app,
        title="airtune",
        favicon=pages.ICON,
        dark=None,
        language="en-US",
        tailwind=False,
        show_welcome_message=False,
        reconnect_timeout=30.0,
        storage_secret=None,
    )
    return app


def scenario_files(folder: Path) -> tuple[str, ...]:
    """Return the names of the YAML files of a folder that look like scenarios."""
    found = sorted(folder.glob("*.yaml")) + sorted(folder.glob("*.yml"))
    return tuple(path.name for path in found if path.is_file())[:200]
