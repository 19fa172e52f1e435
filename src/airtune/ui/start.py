"""A comparison started from the cell that is looked at."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from airtune.errors import FailedError, InputError, clip, shown
from airtune.memory import demand
from airtune.radio.channels.path_file import PathSet, write_paths
from airtune.scenario import Scenario
from airtune.scenario import file as scenario_file
from airtune.study import compare
from airtune.ui.cell import Cell
from airtune.ui.processes import argument, check_name
from airtune.ui.runs import Runs


@dataclass(frozen=True)
class Wish:
    """What is to be run.

    Attributes
    ----------
    name : str
        Of the run's folder; empty: scenario and time.
    schemes : tuple of str
    seeds : int
    rounds : int
    settings : tuple of str
        Further assignments ``a.b=c``.
    """

    name: str
    schemes: tuple[str, ...]
    seeds: int
    rounds: int
    settings: tuple[str, ...] = ()


def begin(runs: Runs, cell: Cell, wish: Wish) -> str:
    """Start ``airtune compare`` for a cell; return the run's name.

    Where stations were moved, the paths of all rounds are written to ``<name>.npz`` beside the run,
    and every repetition of the run takes them from there (`radio.channel: file`).

    Parameters
    ----------
    runs : Runs
    cell : Cell
    wish : Wish

    Raises
    ------
    InputError
        A setting or the name cannot be used.
    FailedError
        Files cannot be written, or the process cannot be started.
    """
    overrides = [*cell.overrides, f"training.rounds={wish.rounds}", *wish.settings]
    scenario = _checked(cell.source, overrides, wish)
    name = check_name(wish.name or f"{scenario.name}-{time.strftime('%Y%m%d-%H%M%S')}")
    folder = runs.root / name
    if folder.is_symlink() or folder.exists():
        raise InputError(f"name = {shown(name)}: is taken in {clip(runs.root)}; give another one")
    file = runs.root / f"{name}.npz"
    if cell.moved:
        if file.is_symlink() or file.exists():
            raise InputError(f"name = {shown(name)}: {clip(file)} is there; give another one")
        cell = _as_run(cell, scenario)
        try:
            runs.root.mkdir(parents=True, exist_ok=True)
            _write_paths(cell, file)
        except OSError as error:
            raise FailedError(f"{clip(file)}: cannot be written ({error.strerror})") from error
        overrides += ["radio.channel=file", f"radio.channel_file={_quoted(str(file))}"]
    arguments = [part for setting in overrides for part in ("--set", setting)]
    chosen = ("--schemes", ",".join(wish.schemes), "--seeds", str(wish.seeds))
    command = ("compare", argument(cell.source), *arguments, *chosen, "--out", str(folder))
    try:
        runs.processes.start(name, *command)
    except (InputError, FailedError):
        if cell.moved:  # the name is free again
            file.unlink(missing_ok=True)
        raise
    return name


def _checked(source: str, overrides: Sequence[str], wish: Wish) -> Scenario:
    """Return the scenario, with what can be checked of it without data or model."""
    if not wish.schemes:
        raise InputError("schemes: must be one or more")
    loaded = scenario_file.load(source, overrides)
    changes = {"schemes": list(wish.schemes), "seeds": wish.seeds}
    return compare.check(scenario_file.parse(loaded.to_dict() | changes, "page"), "compare")


def _as_run(cell: Cell, scenario: Scenario) -> Cell:
    """Return the cell with all settings of the run.

    Raises
    ------
    InputError
        Who was moved is not in it, or cannot be.
    """
    if scenario.radio.channel != "block-fading":
        raise InputError(
            f"radio.channel = {shown(scenario.radio.channel)}: must be block-fading where stations "
            "were moved"
        )
    counts = {"clients": scenario.clients.count, "interferers": scenario.radio.interferers.count}
    for group, index in cell.moved:
        if index >= counts[group]:
            raise InputError(
                f"{group}: there are {counts[group]}, and number {index + 1} was moved; change "
                "their number with the control"
            )
    return replace(cell, scenario=scenario)


def _write_paths(cell: Cell, file: Path) -> None:
    scenario = cell.scenario
    blocks = scenario.training.rounds + 1
    channel = cell.channel()
    first = channel.block(0).true
    numbers = first.clients.gains.size + first.interferers.gains.size
    demand(f"training.rounds = {scenario.training.rounds}: the paths", 120.0 * blocks * numbers)
    moved = ", ".join(
        f"{group[:-1]} {index} at {spot.distance_m:.6g} m, {spot.azimuth_deg:.6g} deg azimuth, "
        f"{spot.elevation_deg:.6g} deg elevation"
        for (group, index), spot in sorted(cell.moved.items())
    )
    origin = f"airtune {version('airtune')}, block-fading with moved stations ({moved})"
    everything = tuple(channel.block(t).true for t in range(blocks))
    write_paths(file, PathSet(everything, scenario.radio.carrier_hz, origin))


def _quoted(text: str) -> str:
    """Return a text as a YAML string, whatever is in it."""
    return json.dumps(text)
