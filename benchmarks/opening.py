"""How files of each kind are named in a scenario, and read without a command."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import sound_files
from airtune.errors import InputError
from airtune.scenario import file as scenario_file

NAMED = {
    "adapter": "model.adapter",
    **dict.fromkeys(("paths", "departures"), "radio.channel_file"),
    "tracks": "radio.mobility.track_file",
    "twin": "costs.model",
    **dict.fromkeys(("corpus", "corpus txt"), "data.pretraining_corpus"),
}
"""Settings that name files of a kind; of other kinds it is data.source."""
BESIDE: dict[str, dict[str, Any]] = {
    "txt": {"data.format": "text"},
    "chat": {"data.format": "chat"},
    "preference": {"data.format": "preference", "training.client_objective": "dpo"},
    "paths": {"radio.channel": "file", "radio.interferers.count": 2},
    "departures": {
        "radio.channel": "file",
        "radio.interferers.count": 2,
        "clients.antennas": 2,
    },
    "tracks": {
        "radio.channel": "tracks",
        "radio.interferers.count": 2,
        "radio.mobility.track": "file",
    },
}
"""What a kind needs besides."""


def told(work: Callable[[], None]) -> int:
    """Do what a run begins with, and say what the command line would."""
    from airtune.commands import failures

    try:
        work()
    except InputError as error:
        print(f"airtune: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        failures.show_tracebacks(True)
        return failures.told(error)
    return 0


def open_source(named: dict[str, Any]) -> None:
    """Open a model as a run begins with it."""
    from airtune.learning.sources import open_model

    assignments = [f"{name}={value}" for name, value in named.items()]
    open_model(scenario_file.load("quickstart", assignments), lambda text, part: None)


def read_pilot(named: dict[str, Any]) -> None:
    """Read a pilot and make the objective of a plan of it."""
    from airtune.bound.convergence import BoundConstants
    from airtune.learning.learner import prepare
    from airtune.planning.pilot import objective_of
    from airtune.study.pilot import find_pilot

    assignments = [f"{name}={value}" for name, value in named.items()]
    scenario = scenario_file.load("quickstart", assignments)
    constants = BoundConstants(**sound_files.planning_problem()["bound"])
    pilot = find_pilot(scenario, scenario.seed, prepare)
    objective_of(scenario, pilot, constants, np.full(scenario.clients.count, 0.5))


def prepare_learner(named: dict[str, Any]) -> None:
    """Make the learner of a run."""
    from airtune.learning.learner import prepare

    assignments = [f"{name}={value}" for name, value in named.items()]
    scenario = scenario_file.load("quickstart", assignments)
    prepare(scenario, scenario.seed)
