"""Sweeps: the same comparison at every point of a grid of settings.

A sweep folder holds a run folder for each point; points of a seed share a learner where they can.
"""

from __future__ import annotations

import datetime
import itertools
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from airtune import record
from airtune.errors import InfeasibleError, InputError, clip
from airtune.record import Cell, Document, RunFolder, names
from airtune.record.documents import InfeasibleDocument, SweepResultsDocument, SweepRunDocument
from airtune.registry import ENGINES
from airtune.scenario import Scenario
from airtune.scenario import file as scenario_file
from airtune.study import compare
from airtune.study.cells import Watcher as CellWatcher
from airtune.study.cells import run_cells
from airtune.study.engine import session
from airtune.study.histories import finished_figures, merged_targets
from airtune.study.outcomes import CellFigures, baseline_of, over_cells
from airtune.study.savings import headline
from airtune.study.statistics import paired_figures
from airtune.study.sweep_notes import discard_points, note_infeasible

KIND = "sweep"
_OWN_OPTIONS = {"schemes": "--schemes", "seeds": "--seeds", "seed": "--seeds", "name": "--out"}
MOST_POINTS = 10_000
"""Points of a sweep at most, each a folder with a comparison."""
_COMBINATIONS = 100
"""Points of the grid that are tried to see whether a value is allowed at all."""


@dataclass(frozen=True)
class Axis:
    """A setting and the values that it takes.

    Attributes
    ----------
    setting : str
        Dotted path.
    values : tuple
        As the scenario holds them after validation, in plain JSON types.
    """

    setting: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Point:
    """One point of the grid: its values and the run folder of its comparison."""

    settings: Mapping[str, Any]
    run: RunFolder

    @property
    def name(self) -> str:
        """Name of the point's folder."""
        return self.run.folder.name


@dataclass(frozen=True)
class Sweep:
    """A sweep folder; `version` and `date` are those of its run.json."""

    folder: Path
    scenario: Scenario
    axes: tuple[Axis, ...]
    version: int = record.SCHEMA_VERSION
    date: datetime.date | None = None

    @property
    def points(self) -> list[Point]:
        """All points, the last axis fastest."""
        grid = list(itertools.product(*(axis.values for axis in self.axes)))
        width = max(2, len(str(len(grid) - 1)))
        settings = [axis.setting for axis in self.axes]
        return [
            _point(self, dict(zip(settings, values, strict=True)), f"point-{index:0{width}d}")
            for index, values in enumerate(grid)
        ]

    @property
    def cells(self) -> list[Cell]:
        """The cells of all points."""
        return [cell for point in self.points for cell in point.run.cells]


class Watcher(CellWatcher, Protocol):
    """Follows a sweep, as a display of its progress does."""

    def point_started(self, point: Point, seed: int) -> None:
        """Take note that the cells of a point and a seed begin."""

    def waiting(self) -> None:
        """Called a few times a second while cells run in other processes."""


def _point(sweep: Sweep, settings: Mapping[str, Any], name: str) -> Point:
    scenario = _at(sweep.scenario, settings)
    return Point(settings, RunFolder(sweep.folder / name, scenario, "compare", date=sweep.date))


def _at(scenario: Scenario, settings: Mapping[str, Any]) -> Scenario:
    """Return the scenario with some settings changed."""
    data = scenario.to_dict()
    for path, value in settings.items():
        scenario_file.put(data, path, value, where=f"--vary {clip(path)}")
    assignments = ", ".join(f"{path}={json.dumps(value)}" for path, value in settings.items())
    return scenario_file.parse(data, where=f"--vary {clip(assignments)}")


def parse_axes(scenario: Scenario, texts: Sequence[str]) -> tuple[Axis, ...]:
    """Read ``--vary a.b=1,2,3``: values in YAML, lists in brackets.

    Raises
    ------
    InputError
        A setting is unknown, varied twice or not to be varied, or a value is not allowed.

    Examples
    --------
    >>> from airtune import load_scenario
    >>> axes = parse_axes(load_scenario("quickstart"), ["array.antennas=2,4", "plan=own"])
    >>> [(axis.setting, axis.values) for axis in axes]
    [('array.antennas', (2, 4)), ('plan', ('own',))]
    """
    given: dict[str, Sequence[Any]] = {}
    for text in texts:
        path, listed = scenario_file.split_values(text)
        if path in _OWN_OPTIONS:
            raise InputError(f"--vary {path}: is not varied; use {_OWN_OPTIONS[path]}")
        if scenario_file.newer_name(path) in map(scenario_file.newer_name, given):
            raise InputError(f"--vary {path}: is varied twice")
        given[path] = listed
    points = math.prod(len(values) for values in given.values())
    if points > MOST_POINTS:
        raise InputError(
            f"--vary: makes {points} points with {len(scenario.schemes) * scenario.seeds} cells "
            f"each; must make at most {MOST_POINTS} points"
        )
    axes: list[Axis] = []
    for path, values in given.items():
        read: list[Any] = []
        for value in values:
            settled = _settled(scenario, path, value, given)
            if settled in read:
                raise InputError(
                    f"--vary {path}: the value {clip(json.dumps(settled))} appears twice"
                )
            read.append(settled)
        axes.append(Axis(path, tuple(read)))
    if not axes:
        raise InputError("--vary: name at least one setting, as in --vary array.antennas=2,4,8")
    return tuple(axes)


def _settled(scenario: Scenario, path: str, value: Any, given: Mapping[str, Sequence[Any]]) -> Any:
    """Return a value as the scenario holds it after validation.

    A value may be allowed only beside values of the other varied settings (eta needs eta <= 1/L):
    it is tried with the scenario as given first, then with their combinations in turn.
    """
    others = {name: values for name, values in given.items() if name != path}
    grid = itertools.islice(itertools.product(*others.values()), _COMBINATIONS)
    refused: InputError | None = None
    for settings in ({}, *(dict(zip(others, point, strict=True)) for point in grid)):
        try:
            return scenario_file.value_at(_at(scenario, {path: value, **settings}).to_dict(), path)
        except InputError as error:
            refused = refused or error
    assert refused is not None
    raise refused


def create(scenario: Scenario, axes: Sequence[Axis], folder: Path | None = None) -> Sweep:
    """Make a new sweep folder; parameters and errors as of :func:`begin`.

    The lock is given back at the end: another process may begin in the folder until the first cell
    is there.
    """
    with begin(scenario, axes, folder) as sweep:
        return sweep


@contextmanager
def begin(scenario: Scenario, axes: Sequence[Axis], folder: Path | None = None) -> Iterator[Sweep]:
    """Check every point, make a new sweep folder, and hold its lock until the end of the block.

    Where the block ends with an `InputError` before anything has been computed, what has been
    written here is removed.

    Parameters
    ----------
    scenario : Scenario
    axes : sequence of Axis
    folder : Path, optional
        New or empty; ``runs/<name>-sweep-<time>`` by default.

    Raises
    ------
    InputError
        A point cannot be run, the folder cannot be used, or another process is writing it.
    FailedError
        The disk is full or fails.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S")
    target = folder or Path("runs") / f"{scenario.name}-sweep-{stamp}"
    sweep = Sweep(target, compare.check(scenario, "compare", measures=False), tuple(axes))
    check = partial(compare.check, kind="compare", measures=False)
    points = [check(point.run.scenario) for point in sweep.points]
    vary = [{"setting": axis.setting, "values": list(axis.values)} for axis in axes]
    facts = {"vary": vary, "swept_files": record.swept_files(sweep.scenario, points)}
    with record.begin(target, sweep.scenario, KIND, facts) as run_folder:
        begun = replace(sweep, date=run_folder.date)
        try:
            yield begun
        except InputError:
            discard_points([point.run.folder for point in begun.points])
            raise


def open_sweep(run_folder: RunFolder) -> Sweep:
    """Open an existing sweep folder.

    Raises
    ------
    InputError
        What is varied cannot be read.
    """
    path = run_folder.folder / names.RUN
    try:
        vary = record.read_document(path, SweepRunDocument).vary
    except InputError:
        raise InputError(f"{path}: damaged; it does not say what is varied") from None
    axes = tuple(Axis(axis.setting, tuple(axis.values)) for axis in vary)
    count = 1
    for axis in axes:
        count *= len(axis.values)
        if not 1 <= count <= MOST_POINTS:
            most = f"1 to {MOST_POINTS} points"
            raise InputError(f"{path}: damaged; what is varied must make {most}")
    opened = Sweep(
        run_folder.folder, run_folder.scenario, axes, run_folder.version, run_folder.date
    )
    try:
        _ = opened.points
    except (InputError, TypeError) as error:
        raise InputError(f"{path}: damaged; what is varied cannot be used ({error})") from None
    return opened


def execute(sweep: Sweep, watcher: Watcher | None = None, *, locked: bool = False) -> None:
    """Run all unfinished cells, seed by seed; each goes on from its checkpoint.

    A point whose budgets cannot be kept is noted in its folder, and the sweep goes on.

    Parameters
    ----------
    sweep : Sweep
    watcher : Watcher, optional
    locked : bool
        Whether the caller holds the lock.
    """
    with nullcontext() if locked else record.lock(sweep.folder), ExitStack() as opened:
        record.clean_folder(sweep.folder, sweep.cells)
        if not all(cell.finished for cell in sweep.cells):
            opened.enter_context(session(sweep.scenario))
        spread = getattr(ENGINES[sweep.scenario.engine.name], "tasks", None)
        for index in range(sweep.scenario.seeds):
            if spread is not None:
                _execute_spread(sweep, index, watcher, spread)
                continue
            for points in _sharing(sweep.points):
                _execute(points, index, watcher)


def _sharing(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Yield the points that can share one learner together."""
    from airtune.learning.learner import prepared_from

    groups: dict[str, list[Point]] = {}
    for point in points:
        key = json.dumps(prepared_from(point.run.scenario), sort_keys=True)
        groups.setdefault(key, []).append(point)
    yield from groups.values()


def _execute(points: Sequence[Point], index: int, watcher: Watcher | None) -> None:
    from airtune.learning.shared import SharedLearners

    learners = SharedLearners()
    for point in points:
        if not (cells := _left(point, index)):
            continue
        record.create_within(point.run)
        if watcher:
            watcher.point_started(point, index)
        try:
            run_cells(point.run.dated_scenario, index, cells, learners, watcher)
        except InfeasibleError as error:
            note_infeasible(point.run, index, str(error))
        else:
            note_infeasible(point.run, index, None)


def _execute_spread(
    sweep: Sweep, index: int, watcher: Watcher | None, spread: Callable[..., Any]
) -> None:
    """Run the cells of one seed on an engine's workers, those that share a learner in turn."""
    from airtune.study.sweep_cell import run_spread

    points = [p for group in _sharing(sweep.points) for p in group if _left(p, index)]
    for point in points:
        record.create_within(point.run)

    def done(number: int, cell: Cell) -> None:
        if watcher:
            watcher.point_started(points[number], index)
            watcher.cell_done(cell)

    call = partial(spread, sweep.scenario, waiting=watcher and watcher.waiting)
    jobs = [(p.run, _left(p, index)) for p in points]
    for number, why in run_spread(jobs, index, call, done).items():
        note_infeasible(points[number].run, index, why)


def _left(point: Point, index: int) -> list[Cell]:
    """Return the cells of a point and a seed that are not finished."""
    return [c for c in point.run.cells if c.seed == index and not c.finished]


def summarise(sweep: Sweep) -> Document:
    """Write results.json from the records of the finished cells, and return it.

    Raises
    ------
    InputError
        No cell is finished.
    """
    points = [_summarise(point) for point in sweep.points]
    if not any(point["schemes"] for point in points):
        message = next((p["infeasible"][0] for p in points if p["infeasible"]), "")
        raise InputError(
            message or f"{sweep.folder}: no cell has finished; `airtune resume` goes on"
        )
    document = {
        **record.older_version(sweep.version),
        "scenario": sweep.scenario.to_dict(),
        "vary": [{"setting": a.setting, "values": list(a.values)} for a in sweep.axes],
        "schemes": list(sweep.scenario.schemes),
        "seeds": sweep.scenario.seeds,
        "points": points,
        "environment": record.read_environment(sweep.folder),
    }
    return record.write_document(sweep.folder / names.RESULTS, SweepResultsDocument, document)


def _summarise(point: Point) -> Document:
    figures, targets = finished_figures(point.run)
    notes = sorted(point.run.folder.glob(names.INFEASIBLE))
    return {
        "name": point.name,
        "settings": dict(point.settings),
        "cells": len(point.run.cells),
        "finished": sum(map(len, figures.values())),
        "infeasible": [record.read_document(note, InfeasibleDocument).message for note in notes],
        **merged_targets(targets),
        "schemes": {name: _without_history(c) for name, c in figures.items()},
        "headline": headline(figures),
        **compare.named_twin(point.run.scenario),
        "paired": paired_figures(figures, baseline_of(figures)) if figures else None,
    }


def _without_history(cells: Mapping[int, CellFigures]) -> Document:
    """Merge the figures of a scheme over the seeds; each point's own folder has the curves."""
    return {name: x for name, x in over_cells(cells).items() if name != "history"}


def publish(sweep: Sweep) -> Path:
    """Build figures and page; return the page."""
    from airtune.report.sweep_page import build

    return build(sweep.folder)
