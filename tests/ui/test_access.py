"""Who may talk to the server, and how the command begins."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from airtune.commands import ui as command
from airtune.engines import extras
from airtune.errors import InputError
from airtune.ui.access import Guard
from airtune.ui.server import listen

HOST = {"host": "127.0.0.1:8000"}
COOKIE = {"cookie": "a=b; airtune-8000=sesame"}


async def inside(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"inside"})


def ask(
    headers: dict[str, str], path: str = "/", query: str = "", kind: str = "http"
) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        said.append(dict(message))

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {
        "type": kind,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    asyncio.run(Guard(inside, 8000, "sesame")(scope, receive, send))
    return said


def test_the_key_becomes_a_cookie_and_leaves_the_address() -> None:
    start, body = ask(HOST, "/runs", "key=sesame")
    cookie = dict(start["headers"])[b"set-cookie"].decode()
    assert cookie.startswith("airtune-8000=sesame;")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert b"url=/runs" in body["body"]
    assert b"inside" not in body["body"]
    start, body = ask(HOST | COOKIE, "/runs")
    assert body["body"] == b"inside"
    assert (b"x-content-type-options", b"nosniff") in start["headers"]


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        (HOST, ""),
        (HOST, "key=guess"),
        (HOST | {"cookie": "airtune-8000=guess"}, ""),
        (HOST | {"cookie": "airtune-8001=sesame"}, ""),
        ({"host": "evil.example:8000"} | COOKIE, ""),
        ({"host": "evil.example:8000"}, "key=sesame"),
        ({"host": "127.0.0.1:8001"} | COOKIE, ""),
        (COOKIE, ""),
        (HOST | COOKIE | {"origin": "http://evil.example"}, ""),
        (HOST | COOKIE | {"origin": "null"}, ""),
        (HOST | COOKIE | {"origin": "https://127.0.0.1:8000"}, ""),
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_others_are_refused(headers: dict[str, str], query: str, kind: str) -> None:
    said = ask(headers, "/", query, kind)
    if kind == "http":
        assert said[0]["status"] == 403
        assert b"inside" not in said[1]["body"]
    else:
        assert said == [{"type": "websocket.close", "code": 1008}]


def test_the_page_itself_is_served() -> None:
    own = HOST | COOKIE | {"origin": "http://127.0.0.1:8000"}
    assert ask(own, kind="websocket") == [{"type": "websocket.accept"}]
    local = {"host": "localhost:8000", "origin": "http://localhost:8000"} | COOKIE
    assert ask(local)[0]["status"] == 200


def test_a_ticket_is_good_once() -> None:
    said: list[Any] = []

    async def send(message: Any) -> None:
        said.append(message)

    scope = {"type": "http", "path": "/", "query_string": b"key=once", "headers": []}
    scope["headers"] = [(b"host", b"127.0.0.1:8000")]
    guard = Guard(inside, 8000, "sesame", "once")
    for _ in range(2):
        asyncio.run(guard(scope, None, send))  # type: ignore[arg-type]
    assert [message["status"] for message in said if "status" in message] == [200, 403]
    assert b"sesame" in dict(said[0]["headers"])[b"set-cookie"]


def test_a_path_cannot_leave_the_page_that_opens() -> None:
    for path in ("//evil.example", '/"><script>', "javascript:alert(1)"):
        body = ask(HOST, path, "key=sesame")[1]["body"].decode()
        assert "<script" not in body
        assert "evil.example" not in body or "url=/" in body
        assert "url=//" not in body


def test_the_server_listens_on_the_loopback_address_only() -> None:
    with listen(0) as bound:
        host, port = bound.getsockname()
        assert host == "127.0.0.1"
        bound.listen()
        with pytest.raises(InputError, match=f"--port {port}"):
            listen(port).close()
    assert bound.family == socket.AF_INET


def test_without_the_extra_one_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs the package nicegui.*airtune\[ui\]"):
        command.ui()


def test_a_folder_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(command, "check_installed", lambda *given: None)
    with pytest.raises(InputError, match="RUN_DIR"):
        command.ui(tmp_path / "none")


def test_a_run_is_shown_among_the_others_of_its_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = tmp_path / "my run"
    run.mkdir()
    (run / "run.json").write_text("{}")
    assert command._root(run) == (tmp_path, "/run/my%20run")
    assert command._source(run) == "quickstart"
    (run / "scenario.yaml").write_text("extends: quickstart\narray: {antennas: 7}\n")
    assert command._source(run) == str(run / "scenario.yaml")
    assert command._root(tmp_path) == (tmp_path, "/runs")
    assert command._root(None) == (Path("runs"), "/")
    monkeypatch.chdir(run)
    root, first = command._root(Path())
    assert (root.resolve(), first) == (tmp_path.resolve(), "/run/my%20run")
