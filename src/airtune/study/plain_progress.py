"""Progress of a study in plain lines on stderr, where no terminal shows bars: a log file, CI.

Each finished cell has a line.  In between one comes half a minute after the one before at the
soonest, so that hours of work fill no log and still are seen to go on.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from airtune.errors import clip_message, spoken
from airtune.record import Cell, RunFolder
from airtune.report.values import THIN, decimals, seconds_unit, si, significant

EVERY_S = 30.0
"""Least time between a line that is not of a finished cell and the line before."""


class PlainLines:
    """Lines on stderr, some of which come only now and then.

    Parameters
    ----------
    clock : callable
        Seconds of a clock that never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()

    def say(self, text: str) -> None:
        """Print a line."""
        print(clip_message(text), file=sys.stderr, flush=True)
        self._last = self._clock()

    def say_seldom(self, text: str) -> None:
        """Print a line unless another one has been printed a short time ago."""
        if self._clock() - self._last >= EVERY_S:
            self.say(text)

    def prepared(self, text: str, fraction: float) -> None:
        """Say now and then how much of a preparation is done: `fraction` in [0, 1]."""
        self.say_seldom(f"prepare: {text}, {100 * fraction:.0f} %")


def spent(time_s: float, energy_j: float, between: str = "  ") -> str:
    """Return simulated time and energy in at most 18 columns, in units that keep them short.

    Examples
    --------
    >>> spent(4500.0, 0.0123)
    '75.0 min  12.3 mJ'
    """
    scale, unit = seconds_unit([time_s])
    text = f"{significant(time_s / scale)} {unit}{between}{si(energy_j, 'J')}"
    return text.replace(THIN, " ")


class PlainWatcher:
    """What plain lines of a comparison and of a sweep have in common.

    Parameters
    ----------
    cells : sequence of Cell
        All cells, those that are finished among them.
    several_seeds : bool
        Whether a cell is named with its seed.
    interrupted : callable
        Tells whether the user wants to stop; asked after each round.
    clock : callable
        Seconds of a clock that never goes back.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        several_seeds: bool,
        interrupted: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._lines = PlainLines(clock)
        self._interrupted = interrupted
        self._several_seeds = several_seeds
        self._total, self._done = len(cells), sum(cell.finished for cell in cells)
        self._rounds = 0
        self._point = ""
        self._reached: dict[Cell, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave what has been printed as it is."""

    def preparing(self, text: str, fraction: float) -> None:
        """Show the state of data, pre-training and model: `fraction` in [0, 1]."""
        self._lines.prepared(text, fraction)

    def round_done(
        self, cell: Cell, round_index: int, loss: float | None, time_s: float, energy_j: float
    ) -> None:
        """Show a finished round of a cell: validation loss, simulated seconds, joules."""
        shown = "" if loss is None else f"loss {decimals(loss, 3)}, "
        simulated = spent(time_s, energy_j, " and ")
        self._reached[cell] = f"round {round_index}/{self._rounds}, {shown}simulated {simulated}"
        self._lines.say_seldom(f"{self._name(cell)}: {self._reached[cell]}")
        if self._interrupted():
            raise KeyboardInterrupt

    def told(self, text: str) -> None:
        """Print a warning."""
        self._lines.say(spoken(f"warning: {text}"))

    def cell_done(self, cell: Cell) -> None:
        """Tell of a finished cell."""
        self._done += 1
        reached = self._reached.pop(cell, "")
        end = f"done, {self._done}/{self._total} cells"
        self._lines.say(f"{self._name(cell)}: {f'{reached}; {end}' if reached else end}")

    def _name(self, cell: Cell) -> str:
        seed = f", seed {cell.seed}" if self._several_seeds else ""
        return f"{self._point}{cell.scheme}{seed}"


class PlainProgress(PlainWatcher):
    """Lines of a run or a comparison.

    Parameters
    ----------
    run_folder : RunFolder
        The study whose cells are shown.
    interrupted : callable
        Tells whether the user wants to stop; asked after each round.
    clock : callable
        Seconds of a clock that never goes back.
    """

    def __init__(
        self,
        run_folder: RunFolder,
        interrupted: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(run_folder.cells, run_folder.scenario.seeds > 1, interrupted, clock)
        self._rounds = run_folder.scenario.training.rounds
