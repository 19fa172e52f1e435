"""Runs as processes of their own: started, stopped, and found again by a later server."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airtune import record
from airtune.errors import FailedError, InputError, clip, shown

NOTES = ".airtune-ui"
"""Folder beside the runs: for each run that was started here a note of its process and its log."""

_NEW_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_NAME = re.compile(r"[^\W_][^/\\\x00-\x1f]{0,149}")
"""Names that folders get here, and those that folders may have which were begun elsewhere."""

_LONGEST_TAIL = 4000


def check_name(name: str) -> str:
    """Return the name of a run's folder, or refuse it.

    Raises
    ------
    InputError
        It is none that a folder beside the others can have.

    Examples
    --------
    >>> check_name("quickstart-1")
    'quickstart-1'
    """
    if not _NEW_NAME.fullmatch(name):
        raise InputError(
            f"name = {shown(name)}: must be 1 to 100 letters, digits, dots, dashes or underscores, "
            "beginning with a letter or a digit"
        )
    return name


@dataclass(frozen=True)
class Process:
    """What is known of the process of a run.

    Attributes
    ----------
    running : bool
    code : int or None
        Exit code; None while it runs, and where this server did not see it end.
    """

    running: bool
    code: int | None = None


class Processes:
    """The processes of the runs of a folder.

    They are no part of this process: they go on when it ends, and are found again by their notes.

    Parameters
    ----------
    root : Path
        Folder of the run folders.
    modules : sequence of str
        Modules that every command imports first (``airtune --import``).
    """

    def __init__(self, root: Path, modules: Sequence[str] = ()) -> None:
        self.root = root
        imports = [part for module in modules for part in ("--import", module)]
        self._command = [sys.executable, "-P", "-m", "airtune.cli", *imports]
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *arguments: str) -> None:
        """Start a command of airtune as the process of a run.

        Parameters
        ----------
        name : str
            Of the run's folder.
        *arguments : str
            Command and arguments.

        Raises
        ------
        InputError
            A process of this run goes on, or the name is none for a folder.
        FailedError
            It cannot be started.
        """
        if not _NAME.fullmatch(name):
            raise InputError(
                f"name = {shown(name)}: must begin with a letter or a digit and have no slash, for "
                "a process to be started"
            )
        if self.of(name).running:
            raise InputError(f"{name}: is running; wait until it has ended, or stop it")
        try:
            self._notes.mkdir(parents=True, exist_ok=True)
            record.own_folders(self._notes)
            with (self._notes / f"{name}.log").open("wb") as log:
                child = subprocess.Popen(  # noqa: S603 - a list of arguments, and no shell
                    [*self._command, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C in this terminal is not for the runs
                )
        except OSError as error:
            raise FailedError(f"{clip(name)}: cannot be started ({error.strerror})") from error
        self._children[name] = child
        self._note(name, pid=child.pid, created=_created(child.pid), code=None)

    def stop(self, name: str) -> None:
        """Ask the process of a run to end with what is finished saved, as Ctrl-C does.

        Raises
        ------
        InputError
            No process that was started from a page like this one runs.
        """
        if not self.of(name).running:
            raise InputError(f"{shown(name)}: no process that this page has started is running")
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(int(self._read(name)["pid"]), signal.SIGINT)

    def of(self, name: str) -> Process:
        """Return what is known of the process of a run; the note of one that has ended is kept."""
        child = self._children.get(name)
        if child is not None:
            code = child.poll()
            if code is None:
                return Process(running=True)
            del self._children[name]
            self._note(name, pid=child.pid, created=None, code=code)
        note = self._read(name)
        if not note:
            return Process(running=False)
        created = note.get("created")
        alive = isinstance(created, float) and _created(note.get("pid")) == created
        code = note.get("code")
        return Process(alive, code if isinstance(code, int) and not alive else None)

    def names(self) -> set[str]:
        """Return the runs that have a note."""
        if self._notes.is_symlink() or not self._notes.is_dir():
            return set()
        found = {path.stem for path in self._notes.glob("*.json") if path.is_file()}
        return {name for name in found if _NAME.fullmatch(name)}

    def forget(self, name: str) -> None:
        """Remove note and log of a run that did not begin."""
        if _NAME.fullmatch(name) and not self.of(name).running:
            for suffix in ("json", "log"):
                (self._notes / f"{name}.{suffix}").unlink(missing_ok=True)

    def tail(self, name: str) -> str:
        """Return the end of what the process of a run has printed."""
        path = self._notes / f"{name}.log"
        if not _NAME.fullmatch(name) or path.is_symlink() or not path.is_file():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LONGEST_TAIL))
            return file.read().decode("utf-8", "replace")

    @property
    def _notes(self) -> Path:
        return self.root / NOTES

    def _note(self, name: str, **content: Any) -> None:
        record.write_text(self._notes / f"{name}.json", json.dumps(content))

    def _read(self, name: str) -> dict[str, Any]:
        path = self._notes / f"{name}.json"
        if not _NAME.fullmatch(name) or path.is_symlink() or not path.is_file():
            return {}
        try:
            content = record.read_json(path)
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}


def _created(pid: object) -> float | None:
    """Return when a process of airtune began; None where that number is no such process.

    Numbers of processes are used again, so the number alone does not tell.
    """
    import psutil

    if not isinstance(pid, int) or pid < 1:
        return None
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE or "airtune.cli" not in process.cmdline():
            return None
        return float(process.create_time())
    except psutil.Error:
        return None
