"""Flower's SuperLink and SuperNode, with more patience than they have by themselves.

Flower starts a process for each message and gives it 30 s to come up; then it starts another one
beside it.  On a machine that is busy none of them ever comes up, and the message is never answered.
There is no setting for that.  ``python -m airtune.engines.flower.patient PROGRAM OPTIONS...`` runs
one of the two programs with `PATIENCE_S` in its place; where a version of Flower names it in
another way the program runs as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

PATIENCE_S = 240
"""Time in which a process that Flower starts has to come up [s]; alive, it is missed after twice
that."""

PROGRAMS = {
    "flower-superlink": "flwr.superlink.cli.flower_superlink:flower_superlink",
    "flower-supernode": "flwr.supernode.cli.flower_supernode:flower_supernode",
}
STATES = ("flwr.supercore.corestate.in_memory_corestate", "flwr.supercore.corestate.sql_corestate")
NAME = "HEARTBEAT_DEFAULT_INTERVAL"


def command(name: str) -> list[str]:
    """Return the command that runs a program with patience."""
    return [sys.executable, "-P", "-m", __name__, name]


def wait_longer() -> int:
    """Set the patience where Flower keeps it, and return in how many places."""
    found = 0
    for path in STATES:
        try:
            module = import_module(path)
        except ImportError:
            continue
        if isinstance(getattr(module, NAME, None), int):
            setattr(module, NAME, PATIENCE_S)
            found += 1
    return found


def main(arguments: Sequence[str]) -> None:
    """Run a program with its options."""
    name, *options = arguments
    path, _, function = PROGRAMS[name].partition(":")
    wait_longer()
    sys.argv = [name, *options]
    getattr(import_module(path), function)()


if __name__ == "__main__":
    main(sys.argv[1:])
