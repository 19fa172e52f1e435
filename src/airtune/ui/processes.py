"""Runs as processes of their own: started, stopped, and found again by a later server."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
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
_PATIENCE_S = 5.0


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


def argument(path: str) -> str:
    """Return a path as an argument that cannot be taken for an option.

    Examples
    --------
    >>> argument("-o.yaml"), argument("o.yaml")
    ('./-o.yaml', 'o.yaml')
    """
    return f"./{path}" if path.startswith("-") else path


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
    """The processes of the runs of a folder; all methods may be called from any thread.

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
        # -P: what lies in the working folder may be anybody's, and is not to be imported
        self._command = [sys.executable, "-P", "-m", "airtune.cli", *imports]
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._guard = threading.RLock()

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
            A process of this run goes on, the name is none for a folder, or there is a link where
            notes are kept.
        FailedError
            It cannot be started.
        """
        if not _NAME.fullmatch(name):
            raise InputError(
                f"name = {shown(name)}: must begin with a letter or a digit and have no slash, for "
                "a process to be started"
            )
        with self._guard:
            running = self.of(name).running
            record.own_folders(self._notes)
            with record.lock_in_turn(self._notes, _PATIENCE_S):  # another server may start it, too
                if running or self._found(name).running:
                    raise InputError(f"{name}: is running; wait until it has ended, or stop it")
                self._begin(name, arguments)

    def _begin(self, name: str, arguments: Sequence[str]) -> None:
        path = self._notes / f"{name}.log"
        try:
            path.unlink(missing_ok=True)  # a link goes, and not what it leads to
            with open(path, "wb", opener=_new) as log:
                child = subprocess.Popen(  # noqa: S603 - a list of arguments, and no shell
                    [*self._command, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C in this terminal is not for the runs
                )
        except OSError as error:
            raise FailedError(f"{clip(name)}: cannot be started ({error.strerror})") from error
        try:
            self._note(name, pid=child.pid, born=_born_now(child), code=None)
        except BaseException:  # nobody could find it again
            child.kill()
            child.wait()
            raise
        self._children[name] = child

    def stop(self, name: str) -> None:
        """Ask the process of a run to end with what is finished saved, as Ctrl-C does.

        Raises
        ------
        InputError
            No process that was started from a page like this one runs.
        """
        with self._guard:
            if not self.of(name).running:
                raise InputError(f"{shown(name)}: no process that this page has started is running")
            child = self._children.get(name)
            if child is not None:
                child.send_signal(signal.SIGINT)  # whatever the note may say by now
            else:
                _interrupt(self._read(name))

    def of(self, name: str) -> Process:
        """Return what is known of the process of a run; the note of one that has ended is kept."""
        with self._guard:
            child = self._children.get(name)
            if child is not None:
                code = child.poll()
                if code is None:
                    return Process(running=True)
                del self._children[name]
                self._note_end(name, child.pid, code)
            return self._found(name)

    def names(self) -> set[str]:
        """Return the runs that have a note."""
        if not self._ours:
            return set()
        found = {path.stem for path in self._notes.glob("*.json") if path.is_file()}
        return {name for name in found if _NAME.fullmatch(name)}

    def forget(self, name: str) -> None:
        """Remove note and log of a run that did not begin."""
        with self._guard:
            if _NAME.fullmatch(name) and self._ours and not self.of(name).running:
                for suffix in ("json", "log"):
                    (self._notes / f"{name}.{suffix}").unlink(missing_ok=True)

    def tail(self, name: str) -> str:
        """Return the end of what the process of a run has printed."""
        path = self._notes / f"{name}.log"
        if not _NAME.fullmatch(name) or not self._ours or path.is_symlink() or not path.is_file():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LONGEST_TAIL))
            return file.read().decode("utf-8", "replace")

    @property
    def _notes(self) -> Path:
        return self.root / NOTES

    @property
    def _ours(self) -> bool:
        """Whether the folder of notes is there, and no link to another one."""
        return not self._notes.is_symlink() and self._notes.is_dir()

    def _note(self, name: str, **content: Any) -> None:
        record.write_text(self._notes / f"{name}.json", json.dumps(content))

    def _note_end(self, name: str, pid: int, code: int) -> None:
        """Note how a child has ended, unless another server has started the run again."""
        if not self._ours:
            return
        # Where it cannot be noted, the page shows the run as unfinished.
        with (
            contextlib.suppress(InputError, FailedError),
            record.lock_in_turn(self._notes, _PATIENCE_S),
        ):
            if self._read(name).get("pid") == pid:
                self._note(name, pid=pid, born=None, code=code)

    def _found(self, name: str) -> Process:
        """Return what the note of a run tells."""
        note = self._read(name)
        if not note:
            return Process(running=False)
        alive, code = _alive(note), note.get("code")
        known = isinstance(code, int) and not isinstance(code, bool) and not alive
        return Process(alive, code if known else None)

    def _read(self, name: str) -> dict[str, Any]:
        path = self._notes / f"{name}.json"
        if not _NAME.fullmatch(name) or not self._ours or path.is_symlink() or not path.is_file():
            return {}
        try:
            content = record.read_json(path)
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}


def _new(path: str, flags: int) -> int:
    """Open a file that is not there yet."""
    return os.open(path, flags | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)


def _alive(note: dict[str, Any]) -> bool:
    born = note.get("born")
    return isinstance(born, str) and _born(note.get("pid")) == born


def _interrupt(note: dict[str, Any]) -> None:
    """Send Ctrl-C to the process of a note, and to no other that has its number by now."""
    pid = int(note.get("pid", 0))
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        if not hasattr(os, "pidfd_open"):
            if _alive(note):
                os.kill(pid, signal.SIGINT)
            return
        held = os.pidfd_open(pid)
        try:
            if _alive(note):  # looked up again: the number is held from here on
                signal.pidfd_send_signal(held, signal.SIGINT)
        finally:
            os.close(held)


def _born_now(child: subprocess.Popen[bytes]) -> str | None:
    """Return what tells a child that has just been started from others, as `_born` does.

    For a moment it has no command line yet: the kernel closes what is not inherited, for which
    `Popen` waits, before it sets the arguments of the new program.
    """
    latest = time.monotonic() + _PATIENCE_S
    while (born := _born(child.pid)) is None and child.poll() is None and time.monotonic() < latest:
        time.sleep(0.002)
    return born


def _born(pid: object) -> str | None:
    """Return what tells a process of airtune from others with its number; None where it is none.

    Numbers of processes are used again.  On Linux it is the boot and the ticks since then, which
    stay as they are when the clock is set.
    """
    import psutil

    if not isinstance(pid, int) or isinstance(pid, bool) or pid < 1:
        return None
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE or "airtune.cli" not in process.cmdline():
            return None
        created = process.create_time()
    except (psutil.Error, OverflowError):
        return None
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        # The name of a program may have spaces and parentheses in it; the 22nd field is the start.
        ticks = (
            Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
        )
    except (OSError, IndexError):
        return f"{created:.2f}"
    return f"{boot} {ticks}"
