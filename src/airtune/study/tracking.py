"""Tracking: what a run saves is told to an experiment tracker, cell after cell."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from airtune import record
from airtune.errors import InputError, clip
from airtune.record import Cell, Document, RunFolder, names
from airtune.registry import TRACKERS
from airtune.study.histories import read_cell
from airtune.study.outcomes import REFERENCE, cell_figures
from airtune.study.targets import Targets, target_losses
from airtune.track.base import Parameter, TrackedCell, Tracker

_COUNTED = ("dropped", "missing")
"""Lists of clients in a line of metrics of which the length is a figure."""

_NO_FIGURES = ("round", "per_client", "gain_map", "history", "plan")
"""Numbers of a line of metrics or of results that are no figures of the round or the cell."""


def check(name: str) -> None:
    """Refuse a tracker that is not known or whose library is not installed.

    Raises
    ------
    InputError
        Says what is allowed, or what to install.
    """
    check_library = getattr(TRACKERS.load(name, "--track"), "check", None)
    if check_library is not None:
        check_library()


class Tracking:
    """Tells a tracker of rounds and cells as they are saved; the block of a ``with`` closes it.

    A tracker that fails is told of nothing more, and the run goes on.  What has been told in full
    is noted in ``track/NAME.json``: cells that are finished and not in it are told again from the
    run folder, on `airtune resume`.

    Parameters
    ----------
    run_folder : RunFolder
        With the name of the tracker.
    warn : callable
        Takes the sentence on a failure.

    Raises
    ------
    ValueError
        The run has no tracker.
    """

    def __init__(self, run_folder: RunFolder, warn: Callable[[str], None]) -> None:
        if run_folder.track is None:
            raise ValueError("the run has no tracker")
        self.name, self._run_folder, self._warn = run_folder.track, run_folder, warn
        home = run_folder.folder / names.TRACK
        self._folder, self._notes = home / self.name, home / f"{self.name}.json"
        self._tracker: Tracker | None = None
        self._current: Cell | None = None
        self._failed = False
        # Where the tracker's folder has been removed, nothing of what was told is there.
        self._done = self._noted() if self._folder.is_dir() else set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._current is not None:
            self._safely(lambda tracker: tracker.end(None))

    def round_saved(self, cell: Cell, line: Document) -> None:
        """Tell of a round that has been saved; with the first of a cell, of all before it."""
        if self._current == cell:
            self._safely(lambda tracker: tracker.log(line["round"], figures_of(line)))
        else:
            self._begin(cell)

    def cell_saved(self, cell: Cell) -> None:
        """Tell of a finished cell's results."""
        if self._current != cell:
            self._begin(cell)
        self._current = None

        def end(tracker: Tracker) -> None:
            tracker.end(_results(self._run_folder, cell))
            self._done.add(_name(cell))
            record.write_json(self._notes, {"cells": sorted(self._done)})

        self._safely(end)

    def catch_up(self) -> None:
        """Tell of finished cells that the tracker lacks: it failed, or the process was ended."""
        for cell in self._run_folder.cells:
            if cell.finished and not self._failed and _name(cell) not in self._done:
                self.cell_saved(cell)

    def _begin(self, cell: Cell) -> None:
        """Begin a cell and tell all rounds that it has on disk."""
        self._current = cell
        known = TrackedCell(
            self._run_folder.scenario.name,
            self._run_folder.folder.absolute().name,
            cell.scheme,
            cell.seed,
            parameters(self._run_folder.scenario.to_dict()),
        )

        def begin(tracker: Tracker) -> None:
            record.refuse_links_out(self._folder)  # the tracker removes what it has of the cell
            tracker.begin(known)
            for line in record.read_metrics(cell):
                tracker.log(line["round"], figures_of(line))

        self._safely(begin)

    def _noted(self) -> set[str]:
        """Return the names of the cells that have been told in full; none where that is unknown."""
        try:
            return set(record.read_json(self._notes)["cells"])
        except (InputError, KeyError, TypeError):
            return set()

    def _safely(self, tell: Callable[[Tracker], None]) -> None:
        """Keep the run from what goes wrong with the tracker; nothing is told after a failure."""
        if self._failed:
            return
        try:
            with contextlib.redirect_stdout(sys.stderr):  # stdout is for the results
                if self._tracker is None:
                    check(self.name)  # a resumed run goes on where the library is no longer there
                    record.own_folders(self._folder.parent, self._folder)
                    record.refuse_links_out(self._folder)
                    self._tracker = TRACKERS[self.name](self._folder)
                tell(self._tracker)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a library raises, SystemExit among it
            self._failed = True
            self._warn(
                f"--track {self.name} failed ({type(error).__name__}: {clip(error)}); the run goes "
                "on without it, and `airtune resume` of the run folder tells it what it lacks"
            )


def parameters(settings: Mapping[str, Any], within: str = "") -> dict[str, Parameter]:
    """Return settings by their dotted names; lists and null as JSON text.

    Examples
    --------
    >>> parameters({"seed": 1, "array": {"region": [4.0, 4.0], "drive": None}})
    {'seed': 1, 'array.region': '[4.0, 4.0]', 'array.drive': 'null'}
    """
    flat: dict[str, Parameter] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= parameters(value, f"{within}{name}.")
        else:
            plain = isinstance(value, bool | int | float | str)
            flat[f"{within}{name}"] = value if plain else json.dumps(value)
    return flat


def figures_of(line: Mapping[str, Any], within: str = "") -> dict[str, float]:
    """Return the figures of a round: all finite numbers of its line, parts after a slash.

    Of clients whose update was dropped or is missing their number; what is kept to be drawn is left
    out.

    Examples
    --------
    >>> line = {"round": 3, "evaluated": True, "loss": None, "dropped": [4]}
    >>> figures_of(line | {"time_s": 2.5, "round_energy_j": {"uplink": 0.5}})
    {'dropped': 1, 'time_s': 2.5, 'round_energy_j/uplink': 0.5}
    """
    figures: dict[str, float] = {}
    for name, value in line.items():
        if name in _NO_FIGURES:
            continue
        if isinstance(value, Mapping):
            figures |= figures_of(value, f"{within}{name}/")
        elif name in _COUNTED and isinstance(value, list):
            figures[f"{within}{name}"] = len(value)
        elif (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        ):
            figures[f"{within}{name}"] = value
    return figures


def _results(run_folder: RunFolder, cell: Cell) -> dict[str, float]:
    """Return the results of a finished cell; targets where the reference has finished."""
    targets: Targets = {}
    for other in run_folder.cells:
        if (other.scheme, other.seed) == (REFERENCE, cell.seed) and other.finished:
            losses = read_cell(other).losses
            targets = target_losses(losses) if losses else {}
    figures = cell_figures(read_cell(cell), targets, run_folder.scenario)
    return figures_of(dict(figures), "final/")


def _name(cell: Cell) -> str:
    return f"{cell.scheme}/{names.seed_folder(cell.seed)}"
