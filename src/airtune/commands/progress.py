"""Progress of a study on the terminal: what runs, its loss, simulated time and joules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bars

from airtune.record import Cell, RunFolder
from airtune.study.sweep import Point, Sweep


def _bars() -> Bars:
    return Bars(
        TextColumn("{task.description:<24}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[status]}"),
        console=Console(stderr=True),
    )


class SweepProgress:
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
        self._bars = _bars()
        cells = sweep.cells
        self._all = self._bars.add_task("cells", total=len(cells), status="")
        self._preparation = self._bars.add_task("prepare", total=100, status="", start=False)
        self._cell = self._bars.add_task("round", total=None, status="", start=False)
        self._bars.update(self._all, completed=sum(cell.finished for cell in cells))

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

    def point_started(self, point: Point, seed: int) -> None:
        """Name the point whose cells come next."""
        settings = ", ".join(f"{name.rpartition('.')[2]}={x}" for name, x in point.settings.items())
        self._bars.update(self._all, status=f"{settings}, seed {seed}")
        self._bars.update(self._cell, total=point.run.scenario.training.rounds)

    def preparing(self, text: str, fraction: float) -> None:
        """Show the state of data, pre-training and model: `fraction` in [0, 1]."""
        self._bars.start_task(self._preparation)
        self._bars.update(self._preparation, completed=round(100 * fraction), status=text)

    def round_done(
        self, cell: Cell, round_index: int, loss: float | None, time_s: float, energy_j: float
    ) -> None:
        """Show a finished round of the cell that runs."""
        self._bars.start_task(self._cell)
        shown = "" if loss is None else f"  loss {loss:.3f}"
        self._bars.update(self._cell, completed=round_index, status=f"{cell.scheme}{shown}")
        if self._interrupted():
            raise KeyboardInterrupt

    def cell_done(self, cell: Cell) -> None:
        """Count a finished cell."""
        self._bars.update(self._all, advance=1)
        self._bars.reset(self._cell, start=False)


class Progress:
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
        self._bars = _bars()
        self._preparation = None if not run_folder.cells else self._add("prepare", 100)
        self._cells = {cell: self._cell_bar(cell) for cell in run_folder.cells}

    def _add(self, description: str, total: int) -> TaskID:
        return self._bars.add_task(description, total=total, status="", start=False)

    def _cell_bar(self, cell: Cell) -> TaskID:
        name = f"{cell.scheme} seed {cell.seed}" if self._several_seeds else cell.scheme
        return self._add(name, self._rounds)

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

    def preparing(self, text: str, fraction: float) -> None:
        """Show the state of data, pre-training and model: `fraction` in [0, 1]."""
        if self._preparation is not None:
            self._start(self._preparation)
            self._bars.update(self._preparation, completed=round(100 * fraction), status=text)

    def round_done(
        self, cell: Cell, round_index: int, loss: float | None, time_s: float, energy_j: float
    ) -> None:
        """Show a finished round of a cell: validation loss, simulated seconds, joules."""
        self._start(self._cells[cell])
        shown = "" if loss is None else f"loss {loss:.3f}  "
        self._bars.update(
            self._cells[cell],
            completed=round_index,
            status=f"{shown}{time_s:.1f} s simulated  {energy_j:.1f} J",
        )
        if self._interrupted():
            raise KeyboardInterrupt

    def cell_done(self, cell: Cell) -> None:
        """Stop the clock of a cell's bar."""
        self._bars.stop_task(self._cells[cell])

    def _start(self, task: TaskID) -> None:
        state = next(bar for bar in self._bars.tasks if bar.id == task)
        if not state.started:
            self._bars.start_task(state.id)


@contextmanager
def preparing() -> Iterator[Callable[[str, float], None]]:
    """Show one bar on stderr; yields what sets its text and the fraction done."""
    console = Console(stderr=True)
    columns = (BarColumn(bar_width=24), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Bars(*columns, console=console, transient=True) as bars:
        task = bars.add_task("", total=1.0)
        yield lambda text, fraction: bars.update(task, description=text, completed=fraction)
