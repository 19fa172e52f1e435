"""The two apps that Flower starts: each passes messages on, and neither opens a model.

A ServerApp carries them between Flower and the process of the run, a ClientApp between Flower and
the process of a node (`airtune node`).  Both find their process at a socket in the file system.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from airtune.engines.flower import frames
from airtune.errors import FailedError

RECORD = "airtune"
"""Name of the only record of a message, and of the array of bytes in it."""

CONFIGURATION = """\
[project]
name = "airtune-relay"
version = "1.0.0"
description = "Passes messages on to processes of airtune"
license = { file = "LICENSE" }
dependencies = ["flwr>=1.41"]

[tool.flwr.app]
publisher = "airtune"
fab-format-version = 1
flwr-version-target = "1.41.0"

[tool.flwr.app.components]
serverapp = "relay:server"
clientapp = "relay:client"

[tool.flwr.app.config]
socket = ""
"""
"""Of the app that is handed to Flower."""

MODULE = '''\
"""Passes messages on to processes of airtune."""

from airtune.engines.flower.apps import client_app, server_app

client = client_app()
server = server_app()
'''


def write_app(folder: Path) -> Path:
    """Write the app that Flower is handed, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(CONFIGURATION)
    (folder / "relay.py").write_text(MODULE)
    (folder / "LICENSE").write_text("Apache-2.0\n")
    return folder


def wrapped(message: bytes) -> Any:
    """Return bytes as a record that Flower carries."""
    from flwr.app import Array, ArrayRecord, RecordDict

    array = Array("uint8", (len(message),), "bytes", message)
    return RecordDict({RECORD: ArrayRecord({RECORD: array})})


def unwrapped(content: Any) -> bytes:
    """Return the bytes of a record."""
    return bytes(content[RECORD][RECORD].data)


def client_app() -> Any:
    """Return the ClientApp: it hands each message to the node's process, and its answer back."""
    from flwr.app import Message
    from flwr.clientapp import ClientApp

    def passed_on(message: Any, context: Any) -> Any:
        path = str(context.node_config["socket"])
        limit = float(message.metadata.ttl)  # later nobody waits for the answer
        answer = frames.asked(path, unwrapped(message.content), limit)
        return Message(wrapped(answer), reply_to=message)

    app = ClientApp()
    app.query()(passed_on)
    return app


def server_app() -> Any:
    """Return the ServerApp: it does what the process of the run asks for, until that hangs up."""
    from flwr.serverapp import ServerApp

    def carried(grid: Any, context: Any) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(context.run_config["socket"]))
            while True:
                try:
                    request = frames.receive(connection)
                except ConnectionError:
                    return
                frames.send(connection, served(grid, request))

    app = ServerApp()
    app.main()(carried)
    return app


def served(grid: Any, request: bytes) -> bytes:
    """Do what a request asks for with Flower's grid, and return the answer.

    Requests are ``nodes``, whose answer names them; ``push`` of one message, with its ``node`` and
    ``ttl``, whose answer has its ``message``, None where it cannot be sent; and ``pull`` of answers
    to ``messages``: of the first that is there ``message`` it answers, and its ``body`` or
    ``error``.
    """
    header, arrays = frames.unpack(request)
    if header["do"] == "nodes":
        return frames.pack({"nodes": [str(node) for node in grid.get_node_ids()]})
    if header["do"] == "push":
        from flwr.app import Message

        message = Message(
            wrapped(arrays["body"].tobytes()), int(header["node"]), "query", ttl=header["ttl"]
        )
        found = list(grid.push_messages([message]))
        return frames.pack({"message": found[0] if found else None})
    if header["do"] == "pull":
        for name in header["messages"]:
            for reply in grid.pull_messages([name]):
                return _reply(name, reply)
        return frames.pack({"message": None})
    raise FailedError(f"engine.name = 'flower': an unknown request {header['do']!r}")


def _reply(name: str, reply: Any) -> bytes:
    import numpy as np

    if reply.has_error():
        error = f"{reply.error.reason} (code {reply.error.code})"
        return frames.pack({"message": name, "error": error})
    body = np.frombuffer(unwrapped(reply.content), np.uint8)
    return frames.pack({"message": name}, {"body": body})
