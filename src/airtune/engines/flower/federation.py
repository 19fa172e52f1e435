"""A SuperLink and nodes of Flower, started here or joined, and the way to the nodes.

Everything is encrypted and every node has a key that the SuperLink knows.  No program of Flower
reports home, looks for updates or installs packages.  Messages go by a ServerApp that passes them
on (:mod:`airtune.engines.flower.apps`) to the process of the run.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airtune.engines.flower import apps, certificates, frames, patient
from airtune.engines.flower.folders import folder_here
from airtune.engines.flower.keeper import Kept
from airtune.engines.flower.programs import environment, free_port, program
from airtune.errors import FailedError, InputError, clip, shown
from airtune.registry import IMPORTED

STARTED_S = 300.0
"""Longest time that a program of Flower takes to begin [s], on a machine that is busy."""

RETRIES = 2
"""Times that an app is started again, or a message sent again, that Flower has lost."""

LOOKED_S = 45.0
"""Time after which Flower is asked what has become of a run that does not come up [s]."""

HANG_UP_S, ASKED_S = 20.0, 10.0
"""Longest time of leaving a SuperLink that goes on, and of one command for it [s]."""

CONNECTION = "airtune"


@dataclass
class Answers:
    """What nodes answered, and why others did not.

    Attributes
    ----------
    bodies : dict of str to bytes
    lost : dict of str to str
        Why a node has not answered.
    """

    bodies: dict[str, bytes] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)


class Federation:
    """A SuperLink with nodes; what is started here ends with :meth:`close`.

    Parameters
    ----------
    address : str or None
        ``host:port`` of a SuperLink that stands; None: one is started here.
    certificate : Path or None
        Of the authority that has signed the SuperLink's certificate.
    """

    def __init__(self, address: str | None = None, certificate: Path | None = None) -> None:
        self._opened = ExitStack()
        self.folder = self._opened.enter_context(folder_here(within=1))
        self._environment = environment(self.folder / "flwr")
        self._link: Kept | None = None
        self._connection: socket.socket | None = None
        self._run = ""
        self.address, self.certificate = address, certificate
        self.nodes_here: list[Kept] = []

    def open(self) -> None:
        """Start the SuperLink unless one stands, and have it run the app that passes messages on.

        Raises
        ------
        FailedError
            It does not start.
        InputError
            There is none at the address, or it does not take the app.
        """
        if self.address is None:
            self._start_link()
        self._write_connection()
        path = self.folder / "run.socket"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
            listening.bind(str(path))
            listening.listen(1)
            listening.settimeout(1.0)
            app = apps.write_app(self.folder / "relay")
            for _ in range(1 + RETRIES):
                said = self._flwr("run", str(app), CONNECTION, "--run-config", f'socket="{path}"')
                self._run = str(said["run-id"])
                self._connection = self._accepted(listening)
                if self._connection is not None:
                    break
            else:
                raise FailedError(
                    "engine.name = 'flower': the app that passes messages on has not come up "
                    f"({clip(self._state())}); a SuperLink at engine.address must run on this "
                    "machine, under the same user"
                )
        self._opened.callback(self._hang_up)

    def start_nodes(self, options: Sequence[Sequence[str]]) -> None:
        """Start nodes on this machine, one for each list of options of ``airtune node``."""
        for number, own in enumerate(options):
            key = self.folder / f"node-{number}.key"
            public = certificates.write_node_key(key)
            self._flwr("supernode", "register", str(public), CONNECTION)
            imports = [part for name in IMPORTED for part in ("--import", name)]
            command = [sys.executable, "-P", "-m", "airtune.cli", *imports, "node"]
            command += ["--address", str(self.address), "--certificate", str(self.certificate)]
            command += ["--key", str(key), *own]
            log = self.folder / f"node-{number}.log"
            inside = {**self._environment, "TMPDIR": str(self.folder)}  # goes with this folder
            self.nodes_here.append(Kept(command, log, inside))
            self._opened.callback(self.nodes_here[-1].close)

    def nodes(self) -> list[str]:
        """Return the names of the nodes that the SuperLink can reach, in ascending order."""
        header, _ = self._asked(frames.pack({"do": "nodes"}))
        return sorted(header["nodes"], key=int)

    def wait_for(
        self, count: int, limit_s: float, tell: Callable[[int], None] | None = None
    ) -> list[str]:
        """Return the nodes once there are `count` of them.

        Parameters
        ----------
        count : int
        limit_s : float
            [s]
        tell : callable, optional
            Called with how many there are, again and again while there are too few.

        Raises
        ------
        FailedError
            There are not after `limit_s`, or a node that was started here has ended.
        """
        until = time.monotonic() + limit_s
        while len(there := self.nodes()) < count:
            self._check_nodes()
            if tell is not None:
                tell(len(there))
            if time.monotonic() > until:
                raise FailedError(
                    f"engine.workers = {count}: {len(there)} nodes have come to the federation "
                    f"within engine.deadline_s = {limit_s:g}"
                )
            time.sleep(0.5)
        return there

    def ask(
        self, bodies: Mapping[str, bytes], limit_s: float, here: Mapping[str, int] | None = None
    ) -> Answers:
        """Send each node a message and collect the answers.

        Parameters
        ----------
        bodies : mapping of str to bytes
            By node.
        limit_s : float
            A node that has not answered until then is lost [s].
        here : mapping of str to int, optional
            Which of `nodes_here` a node is: it is lost as soon as its process has ended.  As long
            as that is not known none of them may end.

        Raises
        ------
        FailedError
            The SuperLink or its app has ended.
        """
        answers, waiting = Answers(), dict[str, tuple[str, int]]()
        until = time.monotonic() + limit_s
        for node in bodies:
            self._push(node, bodies[node], limit_s, 0, waiting, answers)
        while waiting:
            names = [name for name, _ in waiting.values()]
            header, arrays = self._asked(frames.pack({"do": "pull", "messages": names}))
            if header["message"] is not None:
                node = next(n for n, (name, _) in waiting.items() if name == header["message"])
                _, tries = waiting.pop(node)
                error = header.get("error")
                if error is None:
                    answers.bodies[node] = arrays["body"].tobytes()
                elif tries < RETRIES and _passing(error) and time.monotonic() < until:
                    self._push(node, bodies[node], limit_s, tries + 1, waiting, answers)
                else:
                    answers.lost[node] = str(error)
                continue
            if not here:
                self._check_nodes()
            for node in list(waiting):
                number = (here or {}).get(node)
                if number is not None and not self.nodes_here[number].running:
                    answers.lost[node] = "its process has ended"
                elif time.monotonic() > until:
                    answers.lost[node] = f"no answer within engine.deadline_s = {limit_s:g}"
                if node in answers.lost:
                    del waiting[node]
            time.sleep(0.1)
        return answers

    def close(self) -> None:
        """End what was started here, and the run at a SuperLink that stands."""
        for each in [*self.nodes_here, *([] if self._link is None else [self._link])]:
            each.ask_to_end()
        self._opened.close()

    def _check_nodes(self) -> None:
        """Stop if a node that was started here has ended."""
        for node in self.nodes_here:
            if not node.running:
                raise FailedError(f"engine.name = 'flower': a node ended: {clip(node.said())}")

    def _push(
        self,
        node: str,
        body: bytes,
        limit_s: float,
        tries: int,
        waiting: dict[str, tuple[str, int]],
        answers: Answers,
    ) -> None:
        import numpy as np

        request = {"do": "push", "node": node, "ttl": limit_s + 60.0}
        header, _ = self._asked(frames.pack(request, {"body": np.frombuffer(body, np.uint8)}))
        if header["message"] is None:
            answers.lost[node] = "the SuperLink does not know it any more"
        else:
            waiting[node] = str(header["message"]), tries

    def _asked(self, request: bytes) -> tuple[frames.Header, frames.Arrays]:
        """Have the app that passes messages on do something."""
        if self._connection is None:
            raise RuntimeError("Federation: call open first")
        try:
            frames.send(self._connection, request)
            return frames.unpack(frames.receive(self._connection))
        except OSError:
            raise FailedError(
                f"engine.name = 'flower': the federation has ended ({clip(self._state())}); what "
                "is finished is saved"
            ) from None

    def _start_link(self) -> None:
        home, port = self.folder / "flwr", free_port()
        home.mkdir(mode=0o700, exist_ok=True)
        certificates.write_certificates(self.folder, ["127.0.0.1", "localhost"])
        self.address, self.certificate = f"127.0.0.1:{port}", self.folder / "ca.pem"
        command = [*patient.command("flower-superlink"), "--host", "127.0.0.1", "--port", str(port)]
        command += ["--ssl-ca-certfile", str(self.certificate)]
        command += ["--ssl-certfile", str(self.folder / "server.pem")]
        command += ["--ssl-keyfile", str(self.folder / "server.key")]
        command += ["--enable-supernode-auth", "--disable-runtime-dependency-installation"]
        self._link = Kept(command, self.folder / "superlink.log", self._environment)
        self._opened.callback(self._link.close)
        until = time.monotonic() + STARTED_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
                return
            if not self._link.running or time.monotonic() > until:
                raise FailedError(
                    "engine.name = 'flower': the SuperLink cannot be started: "
                    f"{clip(self._link.said())}"
                )
            time.sleep(0.1)

    def _write_connection(self) -> None:
        """Tell Flower's command where the SuperLink is, in a file of this run's own."""
        home = self.folder / "flwr"
        home.mkdir(mode=0o700, exist_ok=True)
        lines = ["[superlink]", f'default = "{CONNECTION}"', "", f"[superlink.{CONNECTION}]"]
        lines += [f"address = {json.dumps(self.address)}"]
        if self.certificate is not None:
            lines += [f"root-certificates = {json.dumps(str(self.certificate.resolve()))}"]
        (home / "config.toml").write_text("\n".join(lines) + "\n")

    def _flwr(self, *arguments: str, limit_s: float = STARTED_S) -> dict[str, Any]:
        """Run Flower's command for at most so long, and return the JSON that it prints.

        Raises
        ------
        InputError
            It refuses.
        FailedError
            It does not end.
        """
        try:
            done = subprocess.run(  # noqa: S603 - our own arguments
                [program("flwr"), *arguments, "--format", "json"],
                env=self._environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=limit_s,
            )
        except subprocess.TimeoutExpired:
            raise FailedError(
                f"engine.name = 'flower': `flwr {arguments[0]}` has not ended within {limit_s:g} s"
            ) from None
        said = done.stdout + done.stderr
        with contextlib.suppress(ValueError):
            found = json.loads(done.stdout[done.stdout.index("{") :])
            if isinstance(found, dict) and found.get("success"):
                return found
            said = str(found["error-message"]) if "error-message" in found else said
        why = " ".join(said.split()) or f"exit code {done.returncode}"
        raise InputError(
            f"engine.address = {shown(self.address)}: `flwr {arguments[0]}` was refused by the "
            f"SuperLink there ({clip(why[-180:])})"
        )

    def _accepted(self, listening: socket.socket) -> socket.socket | None:
        """Return the connection of the app that passes messages on; None if it has ended.

        On a machine that is busy the token that Flower gives an app to begin with may run out.
        """
        until = time.monotonic() + STARTED_S
        look = time.monotonic() + LOOKED_S
        while time.monotonic() < until and (self._link is None or self._link.running):
            with contextlib.suppress(TimeoutError):
                connection, _ = listening.accept()
                connection.settimeout(STARTED_S)
                return connection
            if time.monotonic() > look:
                if self._state().startswith("finished"):
                    return None
                look = time.monotonic() + LOOKED_S
        return None

    def _state(self, limit_s: float = STARTED_S) -> str:
        """Return what the SuperLink says of the run."""
        try:
            asked = ("list", CONNECTION, "--run-id", self._run)
            runs = self._flwr(*asked, limit_s=limit_s).get("runs", [])
            return str(runs[0]["status"]) if runs else "no such run"
        except (InputError, FailedError, OSError):
            return "the SuperLink does not answer"

    def _hang_up(self) -> None:
        """End the app: it goes when its connection is closed; `flwr stop` where it does not."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        if self._link is None and self._run:  # a SuperLink that goes on
            until = time.monotonic() + HANG_UP_S - ASKED_S
            while (left := until - time.monotonic()) > 0:
                if self._state(min(left, ASKED_S)).startswith("finished"):
                    return
                time.sleep(1.0)
            with contextlib.suppress(InputError, FailedError, OSError):
                self._flwr("stop", self._run, CONNECTION, limit_s=ASKED_S)


def _passing(error: str) -> bool:
    """Tell whether an error may pass: a process that passes a message on died on a busy machine."""
    return error.endswith("(code 8)")


def token() -> str:
    """Return a name that no other run has."""
    return secrets.token_hex(16)
