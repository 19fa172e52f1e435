"""Progress of a study on the terminal: what runs, its loss, simulated time and joules.

Every line is whole in 80 columns; a wider terminal has longer bars and more words.  Where no
terminal shows bars, :mod:`airtune.study.plain_progress` has lines instead.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bars
from rich.table import Column

from airtune.errors import spoken
from airtune.record import Cell, RunFolder
from airtune.report.values import decimals
from airtune.study.plain_progress import PlainLines, PlainProgress, spent

_STATUS = 31
"""Columns of ``loss 12.345  123 456 h  123 mJ`` and of a short text."""
_LONGEST_NAME, _BAR, _LEAST_BAR = 26, 24, 4
_CLOCK = 7


class Lines:
    """Bars of one width for a console: name, bar, count, clock and a status that fits the rest.

    Parameters
    ----------
    names : sequence of str
        Descriptions of all bars.
    total : int
        The largest count.
    """

    def __init__(self, names: Sequence[str], total: int) -> None:
        self.console = Console(stderr=True)
        name = min(max(map(len, names), default=0), _LONGEST_NAME)
        counted = 2 * len(str(total)) + 1
        left = self.console.width - name - counted - _CLOCK - 4  # a blank between columns
        bar = max(_LEAST_BAR, min(_BAR, left - _STATUS))
        self.status = max(left - bar, 1)
        self.name = name
        columns: list[ProgressColumn] = [
            TextColumn("{task.description}", markup=False, table_column=_whole(name)),
            BarColumn(bar_width=bar),
            MofNCompleteColumn(table_column=_whole(counted, "right")),
            TimeElapsedColumn(table_column=_whole(_CLOCK)),
            TextColumn("{task.fields[status]}", markup=False, table_column=_whole(self.status)),
        ]
        self.bars = Bars(*columns, console=self.console)

    def short_name(self, text: str) -> str:
        """Return a name that fits its column."""
        return text if len(text) <= self.name else f"{text[: self.name - 1]}…"

    def short_status(self, text: str) -> str:
        """Return a text that fits the last column, cut between two words."""
        return cut_between_words(text, self.status)


def _whole(width: int, justify: str = "left") -> Column:
    """Return a column that keeps its width and does not wrap."""
    return Column(
        min_width=width,
        max_width=width,
        no_wrap=True,
        overflow="ellipsis",
        justify="right" if justify == "right" else "left",
    )


class Shown:
    """Bars that stand on the terminal while the block of a ``with`` runs."""

    _bars: Bars

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()


class Progress(Shown):
    """A bar for the preparation and one for each cell; written to stderr.

    Parameters
    ----------
    run_folder : RunFolder
        The study whose cells are shown.
    interrupted : callable
        Tells whether the user wants to stop; asked after each round.
    """

    def __init__(
        self, run_folder: RunFolder, interrupted: Callable[[], bool] = lambda: False
    ) -> None:
        self._interrupted = interrupted
        self._rounds = run_folder.scenario.training.rounds
        self._several_seeds = run_folder.scenario.seeds > 1
        cells = run_folder.cells
        names = ("prepare", *map(self._name, cells))
        self._lines = Lines(names, max(self._rounds, 100))
        self._bars = self._lines.bars
        self._preparation = None if not cells else self._add("prepare", 100)
        self._cells = {cell: self._add(self._name(cell), self._rounds) for cell in cells}

    def _name(self, cell: Cell) -> str:
        return f"{cell.scheme} seed {cell.seed}" if self._several_seeds else cell.scheme

    def _add(self, description: str, total: int) -> TaskID:
        name = self._lines.short_name(description)
        return self._bars.add_task(name, total=total, status="", start=False)

    def preparing(self, text: str, fraction: float) -> None:
        """Show the state of data, pre-training and model: `fraction` in [0, 1]."""
        if self._preparation is not None:
            self._start(self._preparation)
            status = self._lines.short_status(text)
            self._bars.update(self._preparation, completed=round(100 * fraction), status=status)

    def round_done(
        self, cell: Cell, round_index: int, loss: float | None, time_s: float, energy_j: float
    ) -> None:
        """Show a finished round of a cell: validation loss, simulated seconds, joules."""
        self._start(self._cells[cell])
        shown = "" if loss is None else f"loss {decimals(loss, 3)}  "
        # Not cut between words: the numbers fit, and blanks keep them apart.
        status = f"{shown}{spent(time_s, energy_j)}"
        self._bars.update(self._cells[cell], completed=round_index, status=status)
        if self._interrupted():
            raise KeyboardInterrupt

    def told(self, text: str) -> None:
        """Print a warning above the bars."""
        warn_above(self._bars, text)

    def cell_done(self, cell: Cell) -> None:
        """Stop the clock of a cell's bar."""
        self._bars.stop_task(self._cells[cell])

    def _start(self, task: TaskID) -> None:
        state = next(bar for bar in self._bars.tasks if bar.id == task)
        if not state.started:
            self._bars.start_task(state.id)


def shows_bars() -> bool:
    """Whether stderr shows bars that move: a terminal that can, or a notebook."""
    console = Console(stderr=True)
    return console.is_interactive or console.is_jupyter


def watch(
    run_folder: RunFolder, interrupted: Callable[[], bool] = lambda: False
) -> Progress | PlainProgress:
    """Return bars where stderr can show them, else plain lines; parameters as of both."""
    return (Progress if shows_bars() else PlainProgress)(run_folder, interrupted)


def warn_above(bars: Bars, text: str) -> None:
    """Print a warning on stderr, above the bars where they are shown."""
    line = spoken(f"warning: {text}")
    bars.console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def preparing() -> Iterator[Callable[[str, float], None]]:
    """Show one bar on stderr, or plain lines; yields what sets its text and the fraction done."""
    if not shows_bars():
        yield PlainLines().prepared
        return
    console = Console(stderr=True)
    width = max(console.width - _BAR - _CLOCK - 2, 1)
    columns = (
        BarColumn(bar_width=_BAR),
        TimeElapsedColumn(table_column=_whole(_CLOCK)),
        TextColumn("{task.description}", markup=False, table_column=_whole(width)),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        task = bars.add_task("", total=1.0)

        def show(text: str, fraction: float) -> None:
            bars.update(task, description=cut_between_words(text, width), completed=fraction)

        yield show


def cut_between_words(text: str, width: int) -> str:
    """Return a text of at most `width` characters, cut between two words where that is possible.

    Examples
    --------
    >>> cut_between_words("loading the model", 12)
    'loading …'
    """
    short = textwrap.shorten(text, width, placeholder=" …", break_on_hyphens=False)
    return short or text[:width]
