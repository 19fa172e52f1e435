"""The server of the live page: loopback only, its pages on NiceGUI, runs as processes."""

from __future__ import annotations

import contextlib
import logging
import secrets
import socket
import threading
import webbrowser
from pathlib import Path
from typing import Any

from airtune.errors import InputError
from airtune.report import page
from airtune.ui.access import FILES, HOST, KEY, Guard
from airtune.ui.desk import Desk


def listen(port: int) -> socket.socket:
    """Return a socket on the loopback address.

    Parameters
    ----------
    port : int
        0: a free one.

    Raises
    ------
    InputError
        The port is taken or may not be used.
    """
    taken = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((HOST, port))
    except (OSError, OverflowError) as error:
        taken.close()
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"--port {port}: cannot be used ({reason}); give another one, or 0 for a free one"
        ) from None
    return taken


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

    bound = listen(port)
    port = bound.getsockname()[1]
    key, ticket = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    page_address = f"http://{HOST}:{port}{first}?{KEY}="
    guarded = Guard(application(desk), port, key, ticket if browser else None)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    config = uvicorn.Config(
        guarded, log_level="error", access_log=False, timeout_graceful_shutdown=2, ws="websockets"
    )
    bound.listen()  # who comes before the server is ready waits, and is not refused
    print(f"airtune: the live page is at {page_address}{key}", flush=True)
    print("airtune: end it with Ctrl-C; runs go on", flush=True)
    if browser:
        threading.Timer(1.0, webbrowser.open, (page_address + ticket,)).start()
    try:
        with contextlib.suppress(KeyboardInterrupt):  # the usual way to end it
            uvicorn.Server(config).run(sockets=[bound])
    finally:
        bound.close()


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
        # What a run folder holds may be anybody's: it gets an origin of its own.
        headers = {"content-security-policy": "sandbox allow-scripts allow-downloads allow-popups"}
        if not secrets.compare_digest(key.encode(), desk.files_key.encode()):
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
