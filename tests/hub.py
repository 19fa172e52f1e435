"""A stand-in for the Hugging Face hub on 127.0.0.1: the requests that an upload makes."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_stand_in"


@dataclass
class Hub:
    """What a stand-in has received.

    Attributes
    ----------
    address : str
    user : str
    repositories : dict of str to dict of str to bytes
        Files of each repository by path.
    private : set of str
    requests : list of str
        Methods and paths.
    agents : set of str
        What the clients said of themselves.
    read_only : bool
        Whether commits are refused.
    """

    address: str = ""
    user: str = "me"
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    messages: list[str] = field(default_factory=list)
    read_only: bool = False


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def _note(self) -> bool:
        self.hub.requests.append(f"{self.command} {self.path}")
        self.hub.agents.add(self.headers.get("user-agent", ""))
        if self.headers.get("authorization") == f"Bearer {TOKEN}":
            return True
        self._answer({"error": "Invalid username or password."}, 401)
        return False

    def _answer(self, document: Any, status: int = 200) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def do_GET(self) -> None:
        if not self._note():
            return
        if self.path == "/api/whoami-v2":
            self._answer({"type": "user", "name": self.hub.user, "orgs": []})
        elif (name := self.path.removeprefix("/api/models/")) in self.hub.repositories:
            self._answer({"id": name, "private": name in self.hub.private})
        else:
            self._answer({"error": "not found"}, 404)

    def do_POST(self) -> None:
        body = self._body()
        if not self._note():
            return
        path = self.path.partition("?")[0]
        if path == "/api/repos/create":
            self._create(json.loads(body))
        elif path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            files = json.loads(body)["files"]
            modes = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files
            ]
            self._answer({"files": modes})
        elif "/commit/" in path:
            self._commit(path.removeprefix("/api/models/").partition("/commit/")[0], body)
        else:
            self._answer({"error": "not found"}, 404)

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked.get('organization') or self.hub.user}/{asked['name']}"
        if name.split("/")[0] != self.hub.user:
            self._answer({"error": f"You don't have the rights for {name.split('/')[0]}"}, 403)
            return
        new = name not in self.hub.repositories
        self.hub.repositories.setdefault(name, {})
        if new and (asked.get("private") or asked.get("visibility") == "private"):
            self.hub.private.add(name)
        self._answer({"url": f"{self.hub.address}/{name}"})

    def _commit(self, name: str, body: bytes) -> None:
        if self.hub.read_only:
            self._answer({"error": "This repository is read-only."}, 403)
            return
        for line in body.splitlines():
            entry = json.loads(line)
            if entry["key"] == "header":
                self.hub.messages.append(entry["value"]["summary"])
            else:
                assert entry["key"] == "file"
                content = base64.b64decode(entry["value"]["content"])
                self.hub.repositories[name][entry["value"]["path"]] = content
        oid = "1" * 40
        self._answer({"commitUrl": f"{self.hub.address}/{name}/commit/{oid}", "commitOid": oid})


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Run a stand-in until the end of the block."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
