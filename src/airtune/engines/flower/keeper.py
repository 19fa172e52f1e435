"""A process that lives no longer than who asked for it, with all that it has started.

``python -m airtune.engines.flower.keeper COMMAND...`` runs a command until it ends, or until
standard input is closed: the system closes it when the process at its other end dies, however it
dies.  Flower's processes start others, which outlive them when they are asked to end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

GRACE_S = 3.0
"""Time in which processes may end by themselves when they are asked to [s]."""


def end_tree(process: int, grace_s: float = GRACE_S) -> None:
    """End a process and all that it and they have started: politely, then by force."""
    import psutil

    try:
        root = psutil.Process(process)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for each in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.terminate()
    for each in psutil.wait_procs(family, timeout=grace_s)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()


def is_there(process: int) -> bool:
    """Tell whether a process of this machine has not ended."""
    import psutil

    try:
        return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class Kept:
    """A command that runs beside this process and ends with it, whatever it has started.

    Parameters
    ----------
    command : sequence of str
    log : Path
        Where what it prints is written.
    environment : mapping of str to str
    """

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-P", "-m", __name__, *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def said(self, lines: int = 1) -> str:
        """Return the last lines that it printed."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return " ".join([line.strip() for line in text.splitlines() if line.strip()][-lines:])

    def ask_to_end(self) -> None:
        """Have it begin to end; :meth:`close` waits until it has."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def close(self) -> None:
        """End it, if it has not ended."""
        self.ask_to_end()
        try:
            self._process.wait(timeout=4 * GRACE_S)
        except subprocess.TimeoutExpired:
            end_tree(self._process.pid, 0.1)
            self._process.wait()


def main(command: Sequence[str]) -> int:
    """Run a command until it ends or standard input is closed, and return its exit code."""
    child = subprocess.Popen(list(command), stdin=subprocess.DEVNULL)  # noqa: S603 - our own
    ended = threading.Event()

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(sys.stdin.fileno(), 4096):
                pass
        ended.set()

    def stop(number: int, frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    threading.Thread(target=watch, daemon=True).start()
    known = Descendants(child.pid)
    while child.poll() is None and not ended.wait(0.2):
        known.look()
    known.look()
    if child.poll() is None:  # its number may be another process's by now
        end_tree(child.pid)
    known.end()
    return child.wait()


class Descendants:
    """Processes that a process has started, and those that these have, also after it is gone."""

    def __init__(self, process: int) -> None:
        self._root = process
        self._seen: dict[int, object] = {}
        self._looked = 0.0

    def look(self) -> None:
        """Note who is there, at most about once a second."""
        import psutil

        if time.monotonic() - self._looked < 1.0:
            return
        self._looked = time.monotonic()
        with contextlib.suppress(psutil.NoSuchProcess):
            for each in psutil.Process(self._root).children(recursive=True):
                self._seen.setdefault(each.pid, each)

    def end(self) -> None:
        """End those that are still there."""
        import psutil

        for each in self._seen.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                if isinstance(each, psutil.Process) and each.is_running():
                    end_tree(each.pid, 0.5)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
