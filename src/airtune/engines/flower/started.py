"""Nodes that a run starts on its own machine: how many, and with which options."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from airtune.engines.flower import allowed

if TYPE_CHECKING:
    from airtune.scenario import Scenario


def nodes_here(scenario: Scenario) -> int:
    """Return how many nodes are started on this machine where nothing says so.

    As many as the processors carry with `threads` each, but two at least, and no more than clients.
    """
    carried = (os.cpu_count() or 1) // scenario.threads
    return min(scenario.clients.count, max(2, carried))


def options_of(scenario: Scenario, clients: Sequence[int]) -> list[str]:
    """Return options of ``airtune node`` for a node that is started here."""
    named = ",".join(map(str, clients))
    found = ["--clients", named, "--cache", str(Path(scenario.cache).resolve())]
    return [*found, *(part for _, value in allowed.named(scenario) for part in ("--allow", value))]
