"""Who may talk to the server, and how the command begins."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from airtune.commands import ui as command
from airtune.engines import extras
from airtune.errors import InputError
from airtune.ui.access import Access, Guard
from airtune.ui.server import _has_ipv6, listen, private_page

ACCESS = Access(8000, "me.localhost", "files.localhost", "sesame", "once")
HOST = {"host": "me.localhost:8000"}
FILES_HOST = {"host": "files.localhost:8000"}


async def inside(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"inside"})


def ask(
    headers: dict[str, str],
    path: str = "/",
    query: str = "",
    kind: str = "http",
    *,
    guard: Guard | None = None,
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
    asyncio.run((guard or Guard(inside, ACCESS))(scope, receive, send))
    return said


def cookie_of(said: list[dict[str, Any]]) -> str:
    return dict(said[0]["headers"])[b"set-cookie"].decode().partition(";")[0]


def entered(query: str = "key=sesame") -> tuple[Guard, dict[str, str]]:
    """Return a guard, and the headers of a browser that it has let in."""
    guard = Guard(inside, ACCESS, lambda path: path.startswith("/files/right/"))
    return guard, HOST | {"cookie": cookie_of(ask(HOST, query=query, guard=guard))}


def test_the_key_becomes_a_cookie_and_leaves_the_address() -> None:
    guard = Guard(inside, ACCESS)
    start, body = ask(HOST, "/runs", "key=sesame", guard=guard)
    cookie = dict(start["headers"])[b"set-cookie"].decode()
    assert cookie.startswith("airtune-8000=")
    assert "sesame" not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "domain" not in cookie.lower()
    assert b"url=/runs" in body["body"]
    assert b"inside" not in body["body"]
    own = HOST | {"cookie": f"a=b; {cookie.partition(';')[0]}"}
    start, body = ask(own, "/runs", guard=guard)
    assert body["body"] == b"inside"
    assert (b"x-content-type-options", b"nosniff") in start["headers"]
    policy = dict(start["headers"])[b"content-security-policy"]
    assert b"frame-ancestors 'none'" in policy
    assert policy.endswith(b"frame-src http://files.localhost:8000")


@pytest.mark.parametrize(
    ("more", "query"),
    [
        ({"cookie": ""}, ""),
        ({"cookie": ""}, "key=guess"),
        ({"cookie": "airtune-8000=guess"}, ""),
        ({"cookie": "airtune-8000=sesame"}, ""),
        ({"host": "evil.example:8000"}, ""),
        ({"host": "evil.example:8000"}, "key=sesame"),
        ({"host": "127.0.0.1:8000"}, ""),
        ({"host": "127.0.0.1:8000"}, "key=sesame"),
        ({"host": "localhost:8000"}, "key=sesame"),
        ({"host": "files.localhost:8000"}, "key=sesame"),
        ({"host": "me.localhost:8001"}, ""),
        ({"host": ""}, ""),
        ({"origin": "http://evil.example"}, ""),
        ({"origin": "null"}, ""),
        ({"origin": "http://me.localhost:8001"}, ""),
        ({"origin": "http://files.localhost:8000"}, ""),
        ({"origin": "https://me.localhost:8000"}, ""),
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_others_are_refused(more: dict[str, str], query: str, kind: str) -> None:
    guard, own = entered()
    said = ask(own | more, "/", query, kind, guard=guard)
    if kind == "http":
        assert said[0]["status"] == 403
        assert b"inside" not in said[1]["body"]
    else:
        assert said == [{"type": "websocket.close", "code": 1008}]


def test_the_page_itself_is_served() -> None:
    guard, own = entered()
    own |= {"origin": "http://me.localhost:8000"}
    assert ask(own, kind="websocket", guard=guard) == [{"type": "websocket.accept"}]
    assert ask(own, guard=guard)[0]["status"] == 200


@pytest.mark.parametrize(
    "other", ['prefs={"a": 1}', "a=b c", "x@y=1", "=", 'q="', "airtune-8000=x"]
)
@pytest.mark.parametrize("first", [True, False])
def test_cookies_of_other_servers_do_no_harm(other: str, first: bool) -> None:
    guard, own = entered()
    both = [other, own["cookie"]] if first else [own["cookie"], other]
    assert ask(own | {"cookie": "; ".join(both)}, guard=guard)[0]["status"] == 200


def test_a_ticket_is_good_once_and_a_second_use_closes_what_it_has_opened() -> None:
    guard, own = entered("key=once")
    with_key = HOST | {"cookie": cookie_of(ask(HOST, query="key=sesame", guard=guard))}
    assert ask(own, guard=guard)[0]["status"] == 200
    # "Back" in the browser that has used it is no theft.
    assert ask(own, query="key=once", guard=guard)[0]["status"] == 200
    assert ask(own, guard=guard)[0]["status"] == 200
    assert ask(HOST, query="key=once", guard=guard)[0]["status"] == 403
    assert ask(own, guard=guard)[0]["status"] == 403
    assert ask(own, query="key=once", guard=guard)[0]["status"] == 403
    assert ask(with_key, guard=guard)[0]["status"] == 200


def test_a_connection_ends_when_its_session_is_closed() -> None:
    heard: list[Any] = []

    async def listening(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(2):
            heard.append(await receive())
            ask_again()

    def ask_again() -> None:
        thread = threading.Thread(target=lambda: ask(HOST, query="key=once", guard=guard))
        thread.start()
        thread.join()

    guard, own = entered("key=once")
    guard._app = listening
    ask(own, kind="websocket", guard=guard)
    assert [message["type"] for message in heard] == ["http.request", "websocket.disconnect"]


def test_files_have_a_host_and_keys_of_their_own() -> None:
    guard, own = entered()
    start, body = ask(FILES_HOST, "/files/right/x/report.html", guard=guard)
    assert body["body"] == b"inside"
    policy = dict(start["headers"])[b"content-security-policy"]
    assert policy == b"frame-ancestors http://me.localhost:8000"
    for path in ("/files/wrong/x/report.html", "/", "/runs"):
        assert ask(FILES_HOST, path, guard=guard)[0]["status"] == 403
    assert ask(FILES_HOST, "/files/right/x", kind="websocket", guard=guard) == [
        {"type": "websocket.close", "code": 1008}
    ]
    assert ask(own, "/files/right/x/report.html", guard=guard)[0]["status"] == 403
    assert ask(HOST, "/files/right/x/report.html", guard=guard)[0]["status"] == 403


def test_the_browser_is_started_with_an_address_that_holds_no_secret() -> None:
    with private_page(ACCESS.redirect("/runs")) as file:
        assert file.stat().st_mode & 0o777 == 0o600
        assert "http://me.localhost:8000/runs?key=once" in file.read_text()
        assert "sesame" not in file.read_text()
    assert not file.exists()


def test_every_server_has_names_and_keys_of_its_own() -> None:
    one, two = Access(1), Access(1)
    words = [(x.host, x.files_host, x.key, x.ticket) for x in (one, two)]
    assert len({*words[0], *words[1]}) == 8
    assert one.address("/runs") == f"http://{one.host}:1/runs?key={one.key}"


def test_a_path_cannot_leave_the_page_that_opens() -> None:
    for path in ("//evil.example", '/"><script>', "javascript:alert(1)"):
        body = ask(HOST, path, "key=sesame")[1]["body"].decode()
        assert "<script" not in body
        assert "evil.example" not in body or "url=/" in body
        assert "url=//" not in body


def test_the_server_listens_on_the_loopback_addresses_only() -> None:
    sockets = listen(0)
    try:
        addresses = {bound.getsockname()[0] for bound in sockets}
        (port,) = {bound.getsockname()[1] for bound in sockets}
        assert addresses == ({"127.0.0.1", "::1"} if _has_ipv6() else {"127.0.0.1"})
        for bound in sockets:
            bound.listen()
        with pytest.raises(InputError, match=f"--port {port}"):
            listen(port)
    finally:
        for bound in sockets:
            bound.close()


@pytest.mark.skipif(not _has_ipv6(), reason="there is no IPv6")
def test_a_port_that_somebody_has_on_the_other_address_is_not_used() -> None:
    """Browsers ask ::1 first for names under localhost, and would tell the key there."""
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as other:
        other.bind(("::1", 0))
        other.listen()
        with pytest.raises(InputError, match="--port"):
            listen(other.getsockname()[1])


def test_without_the_extra_one_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs the package nicegui.*airtune\[ui\]"):
        command.ui()


def test_a_folder_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("airtune.engines.extras.check_installed", lambda *given: None)
    with pytest.raises(InputError, match="RUN_DIR"):
        command.ui(tmp_path / "none")


def test_a_run_above_is_shown_by_its_name_and_a_cell_that_cannot_be_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inside_run = tmp_path / "my run" / "fixed"
    inside_run.mkdir(parents=True)
    (tmp_path / "my run" / "run.json").write_text("{}")
    monkeypatch.chdir(inside_run)
    assert command._root(Path("..")) == (tmp_path.resolve(), "/run/my%20run")
    (tmp_path / "my run" / "scenario.yaml").write_text(
        "extends: quickstart\nclients: {count: 300}\n"
    )
    assert command._source(Path("..")) == "quickstart"
    assert "clients.count = 300" in capsys.readouterr().err


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
