"""Progress of a sweep on the terminal; see :mod:`airtune.study.progress`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from airtune.errors import clip
from airtune.record import Cell
from airtune.report.values import decimals
from airtune.study.plain_progress import PlainWatcher
from airtune.study.progress import Lines, Shown, shows_bars, warn_above
from airtune.study.sweep import Point, Sweep


class SweepProgress(Shown):
    """Three bars: cells done of the whole sweep, the preparation, and the cell that runs.

    Parameters
    ----------
    sweep : Sweep
        The sweep shown.
    interrupted : callable
        Tells whether the user wants to stop; asked after each round.
    """

    def __init__(self, sweep: Sweep, interrupted: Callable[[], bool] = lambda: False) -> None:
        self._interrupted = interrupted
        self._several_seeds = sweep.scenario.seeds > 1
        cells, points = sweep.cells, sweep.points
        rounds = max((point.run.scenario.training.rounds for point in points), default=1)
        self._lines = Lines(("cells", "prepare", "round"), max(len(cells), rounds, 100))
        self._bars = self._lines.bars
        self._all = self._bars.add_task("cells", total=len(cells), status="")
        self._preparation = self._bars.add_task("prepare", total=100, status="", start=False)
        self._cell = self._bars.add_task("round", total=None, status="", start=False)
        self._bars.update(self._all, completed=sum(cell.finished for cell in cells))

    def point_started(self, point: Point, seed: int) -> None:
        """Name the point whose cells come next."""
        settings = ", ".join(f"{name.rpartition('.')[2]}={x}" for name, x in point.settings.items())
        which = f"seed {seed}, " if self._several_seeds else ""
        status = self._lines.short_status(which + settings)
        self._bars.update(self._all, status=status)
        self._bars.update(self._cell, total=point.run.scenario.training.rounds)

    def preparing(self, text: str, fraction: float) -> None:
        """Show the state of data, pre-training and model: `fraction` in [0, 1]."""
        self._bars.start_task(self._preparation)
        status = self._lines.short_status(text)
        self._bars.update(self._preparation, completed=round(100 * fraction), status=status)

    def round_done(
        self, cell: Cell, round_index: int, loss: float | None, time_s: float, energy_j: float
    ) -> None:
        """Show a finished round of the cell that runs."""
        self._bars.start_task(self._cell)
        shown = "" if loss is None else f"  loss {decimals(loss, 3)}"
        status = self._lines.short_status(f"{cell.scheme}{shown}")
        self._bars.update(self._cell, completed=round_index, status=status)
        if self._interrupted():
            raise KeyboardInterrupt

    def waiting(self) -> None:
        """Stop where the user wants to, while cells run in other processes."""
        if self._interrupted():
            raise KeyboardInterrupt

    def told(self, text: str) -> None:
        """Print a warning above the bars."""
        warn_above(self._bars, text)

    def cell_done(self, cell: Cell) -> None:
        """Count a finished cell."""
        self._bars.update(self._all, advance=1)
        self._bars.reset(self._cell, start=False)


class PlainSweepProgress(PlainWatcher):
    """Lines of a sweep, each with the settings of its point; parameters as of `PlainProgress`."""

    def __init__(
        self,
        sweep: Sweep,
        interrupted: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(sweep.cells, sweep.scenario.seeds > 1, interrupted, clock)

    def point_started(self, point: Point, seed: int) -> None:
        """Name the point whose cells come next."""
        settings = (f"{x.rpartition('.')[2]}={json.dumps(y)}" for x, y in point.settings.items())
        self._point = f"{point.name} ({clip(', '.join(settings))}), "
        self._rounds = point.run.scenario.training.rounds

    def waiting(self) -> None:
        """Stop where the user wants to, while cells run in other processes."""
        if self._interrupted():
            raise KeyboardInterrupt


def watch_sweep(
    sweep: Sweep, interrupted: Callable[[], bool]
) -> SweepProgress | PlainSweepProgress:
    """Return bars where stderr can show them, else plain lines; parameters as of both."""
    return (SweepProgress if shows_bars() else PlainSweepProgress)(sweep, interrupted)
