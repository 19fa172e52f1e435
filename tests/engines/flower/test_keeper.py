"""Commands that run beside a process end with it, and all that they have started."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil

from airtune.engines.flower import keeper


def test_a_command_that_ends_is_seen_and_what_it_said_is_kept(tmp_path) -> None:
    line = [sys.executable, "-c", "print('one'); print('  two'); raise SystemExit(3)"]
    kept = keeper.Kept(line, tmp_path / "log", dict(os.environ))
    until = time.monotonic() + 60
    while kept.running and time.monotonic() < until:
        time.sleep(0.05)
    assert kept.said() == "two"
    assert kept.said(2) == "one two"
    kept.close()


def test_the_keeper_ends_what_it_has_started_when_its_own_parent_is_gone(tmp_path) -> None:
    """A process that only knows how to start others, killed: nothing of them is left."""
    grandchild = (
        "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {0!r}]); {0}"
    )
    forever = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
    command = [sys.executable, "-m", keeper.__name__, sys.executable, "-c"]
    with subprocess.Popen([*command, grandchild.format(forever)], stdin=subprocess.PIPE) as process:
        until, family = time.monotonic() + 60, []
        while len(family) < 2 and time.monotonic() < until:
            family = psutil.Process(process.pid).children(recursive=True)
            time.sleep(0.1)
        assert len(family) == 2
        process.stdin.close()  # as the system does it for a process that was killed
        process.wait(timeout=60)
    assert not any(each.is_running() and each.status() != "zombie" for each in family)
