"""Tries of untrusted input, each in a forked process with limits on its time and its memory.

A process that has imported airtune once is forked for every try, which takes some milliseconds
where a new one takes seconds.  Forking needs Linux or macOS.
"""

from __future__ import annotations

import math
import os
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MIB = 2.0**20
LIMIT_S = 60.0
"""Processor time of a try; other work on the machine does not count."""
WAITING = 10.0
"""A try that waits, or that others keep from the processor, is killed after so many times that."""
LIMIT_MIB = 6144.0
LONGEST = 400
"""Most characters of a line that a command prints on an error."""
PROBLEMS = 20
"""Most messages of a command that lists what is wrong."""


@dataclass(frozen=True)
class Outcome:
    """How a try ended.

    Attributes
    ----------
    code : int
        Exit code; minus the number of the signal that ended it.
    seconds, memory_mib : float
        Processor time of the try, and the most memory that it held, shared pages of the parent
        included.
    error : str
        What it printed on stderr.
    late : bool
        It ran past the limit.
    lists : bool
        It may print several messages, a list of problems.
    """

    code: int
    seconds: float
    memory_mib: float
    error: str
    late: bool = False
    lists: bool = False

    def failure(self) -> str | None:
        """Say what is wrong with the way it ended; None where nothing is.

        Fine are success, and the exit codes 1 and 2 with one message of at most `LONGEST`
        characters; a list of problems has up to `PROBLEMS` of them.  Warnings beside it are fine.
        """
        if self.late:
            return "time"
        if "Traceback (most recent call last)" in self.error:
            return "traceback"
        if "an error of the program" in self.error:
            return "error of the program"
        if self.code not in (0, 1, 2):
            return f"exit code {self.code}"
        if re.search(r"^\S*:\d+: \w*Warning: ", self.error, re.MULTILINE):
            return "warning of Python"
        lines = [line for line in self.error.splitlines() if line.strip()]
        told = [line for line in lines if line.startswith("airtune: ")]
        messages = [line for line in told if ": warning: " not in line[:20]]
        if self.code and not messages:
            return "no message"
        if len(messages) > (PROBLEMS if self.lists else 1):
            return f"{len(messages)} messages"
        if any(len(line) > LONGEST for line in lines):
            return "long message"
        return "other lines" if len(lines) > len(told) else None


def attempt(
    work: Callable[[], int],
    limit_s: float = LIMIT_S,
    limit_mib: float = LIMIT_MIB,
    *,
    lists: bool = False,
) -> Outcome:
    """Do a piece of work in a forked process.

    Parameters
    ----------
    work : callable
        Returns the exit code.
    limit_s, limit_mib : float
        Limits of its processor time and of the memory that it takes.
    lists : bool
        Whether it may print a list of problems.
    """
    with tempfile.TemporaryDirectory() as folder:
        printed = Path(folder) / "stderr"
        child = os.fork()
        if child == 0:
            _be_child(work, printed, limit_s, limit_mib)
        code, usage, late = _wait(child, time.perf_counter() + WAITING * limit_s)
        seconds, late = usage.ru_utime + usage.ru_stime, late or code == -signal.SIGXCPU
        memory = usage.ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0) / MIB
        error = printed.read_text(encoding="utf-8", errors="replace") if printed.exists() else ""
    return Outcome(code, seconds, memory, error[-20_000:], late, lists)


def _be_child(work: Callable[[], int], printed: Path, limit_s: float, limit_mib: float) -> None:
    """Run the work with its own stderr and end the process."""
    code = 70
    try:
        os.setpgid(0, 0)
        nothing = os.open(os.devnull, os.O_RDWR)
        error = os.open(printed, os.O_WRONLY | os.O_CREAT)
        for target, source in ((0, nothing), (1, nothing), (2, error)):
            os.dup2(source, target)
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        most = int(limit_mib * MIB)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        whole = math.ceil(limit_s)
        resource.setrlimit(resource.RLIMIT_CPU, (whole, whole + 5))
        code = work()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc(file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(code)


def _wait(child: int, until: float) -> tuple[int, resource.struct_rusage, bool]:
    """Wait for the child; kill it and its children at a time of the clock."""
    late = False
    while True:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), usage, late
        if not late and time.perf_counter() > until:
            late = True
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.002)
