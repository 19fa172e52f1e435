"""Commands of airtune in processes of their own, forked from one that has its libraries loaded.

A process that is forked is as much one of its own as one that is started, and is killed like one;
it only saves the seconds in which torch is imported.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

CPU_S, SLOWEST_S = 60, 600.0
"""A command that works or waits longer is ended: it hangs.  Others may have the processor."""
MEMORY_BYTES = 8 << 30
LONGEST = 400
"""Most characters of a line that a command prints on stderr, a warning or a note included."""
CRASHED = 70
"""Exit code of a command that raised."""

_LIBRARIES = (
    *("jinja2", "peft", "safetensors.numpy", "torch", "transformers.models.llama.modeling_llama"),
    *(f"matplotlib.backends.backend_{kind}" for kind in ("agg", "pdf", "svg")),
    *(f"airtune.commands.{name}" for name in ("push", "run")),
    *(f"airtune.learning.{name}" for name in ("learner", "model", "shared", "talk", "tuned")),
    *("airtune.cli", "airtune.rounds.cell_io", "airtune.schemes"),
)

Hook = Callable[[], None]


def load_libraries() -> None:
    """Import what commands import when they run, so that forked processes have it.

    Pages get one figure of ten: drawing them takes three quarters of a tiny run.
    """
    importlib.import_module("airtune.learning.quiet").without_hints()  # as commands do
    for name in _LIBRARIES:
        importlib.import_module(name)
    figures = importlib.import_module("airtune.report.figures")
    figures.KINDS = figures.KINDS[:1]
    importlib.import_module("torch").set_num_threads(1)


@dataclass(frozen=True)
class Ended:
    """How a command has ended.

    Attributes
    ----------
    code : int
        Exit code; minus the signal where one ended it.
    out, err : str
        What it has printed.
    seconds : float
    late : bool
        It was ended because it took too long.
    """

    code: int
    out: str
    err: str
    seconds: float
    late: bool = False

    @property
    def hung(self) -> bool:
        """Whether it worked or waited longer than any command does."""
        return self.late or self.code == -signal.SIGXCPU

    @property
    def said(self) -> list[str]:
        """Lines on stderr that are of airtune: messages, warnings and notes."""
        return [line for line in self.err.splitlines() if line.startswith("airtune: ")]

    @property
    def messages(self) -> list[str]:
        """Those that are no warnings or notes."""
        others = ("airtune: warning", "airtune: note")
        return [line for line in self.said if not line.startswith(others)]

    def wrong(self, codes: Sequence[int]) -> str | None:
        """Say what is wrong with the way it ended; None where nothing is.

        Parameters
        ----------
        codes : sequence of int
            Exit codes that are right.
        """
        if self.hung:
            return f"hung: exit code {self.code} after {self.seconds:.0f} s"
        if "Traceback" in self.err or self.code == CRASHED:
            return f"traceback: {self.err.strip().splitlines()[-1][:300]}"
        if self.code not in codes:
            return f"exit code {self.code}: {self.err.strip()[-300:]}"
        if self.code in (1, 2) and len(self.messages) != 1:
            return f"{len(self.messages)} messages: {self.err.strip()[-300:]}"
        return next((f"a line of {len(x)} characters" for x in self.said if len(x) > LONGEST), None)


class Process:
    """A command that runs.

    Parameters
    ----------
    arguments : sequence of object
        As on the command line, without the program.
    folder : Path
        Its working directory, which also gets what it prints.
    before : callable, optional
        Called in the new process before the command.
    limited : bool
        Whether it is ended after so much work.
    """

    def __init__(
        self,
        arguments: Sequence[object],
        folder: Path,
        before: Hook | None = None,
        *,
        limited: bool = True,
    ):
        self._began = time.perf_counter()
        self._code: int | None = None
        self._streams = [folder / f".{name}-{time.monotonic_ns()}" for name in ("out", "err")]
        for stream in self._streams:  # it may be killed before it opens them
            stream.touch()
        sys.stdout.flush()
        sys.stderr.flush()
        self.number = os.fork()
        if self.number == 0:
            _become(list(map(str, arguments)), folder, self._streams, before, limited)

    def poll(self) -> int | None:
        """Return the exit code, minus the signal where one ended it; None while it runs."""
        if self._code is None:
            number, status = os.waitpid(self.number, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if number else None
        return self._code

    def kill(self) -> Ended:
        """End it by SIGKILL, whatever it does."""
        if self.poll() is None:
            os.kill(self.number, signal.SIGKILL)
        return self.wait()

    def wait(self, seconds: float = SLOWEST_S) -> Ended:
        """Return how it has ended; it is killed where that takes too long."""
        end, late = time.perf_counter() + seconds, False
        while (code := self.poll()) is None:
            if time.perf_counter() > end:
                late = True
                os.kill(self.number, signal.SIGKILL)
            time.sleep(0.002)
        out, err = (path.read_text(encoding="utf-8", errors="replace") for path in self._streams)
        for path in self._streams:
            path.unlink()
        return Ended(code, out, err, time.perf_counter() - self._began, late)


def command(arguments: Sequence[object], folder: Path, before: Hook | None = None) -> Ended:
    """Run a command to its end; parameters as of :class:`Process`."""
    return Process(arguments, folder, before).wait()


def _become(
    arguments: list[str], folder: Path, streams: list[Path], before: Hook | None, limited: bool
) -> None:
    """Turn a forked process into a command; does not return."""
    code = CRASHED
    try:
        for number, path in enumerate(streams, 1):
            opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(opened, number)
        os.chdir(folder)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        if limited:
            # SIGXCPU at the first limit; at the second it would be SIGKILL, as of a try
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 5))
        sys.argv = ["airtune", *arguments]
        if before is not None:
            before()
        from airtune import cli

        cli.main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
