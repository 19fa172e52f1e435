"""The runs of a folder: what state they are in, how far they are, and what can be seen of them."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from airtune import record
from airtune.errors import InputError, clip, shown
from airtune.record import Cell, RunFolder, names
from airtune.study import sweep as sweeps
from airtune.ui.processes import Processes, argument

State = Literal["running", "elsewhere", "finished", "unfinished", "failed", "damaged"]

STATES: dict[State, str] = {
    "running": "running",
    "elsewhere": "running in another process",
    "finished": "finished",
    "unfinished": "unfinished",
    "failed": "did not begin",
    "damaged": "cannot be read",
}

SERVED = {
    ".html": "text/html; charset=utf-8",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".json": "application/json",
    ".jsonl": "text/plain; charset=utf-8",
    ".yaml": "text/plain; charset=utf-8",
}
"""Files of a run folder that the server hands out, by the end of their name, and their types."""

STOPPED = (130, -signal.SIGINT)
"""Exit codes of what was stopped: by the command itself, or before it could listen."""

_LOCKS = Path("/proc/locks")

UNSEEN = "It ended while no page was there to see how, and has no folder."
"""Of a run whose folder is not there, although it does not seem to have been stopped."""

_Kept = TypeVar("_Kept")


@dataclass(frozen=True)
class Progress:
    """How far one scheme and seed of a run is.

    Attributes
    ----------
    name : str
        Scheme; of a sweep, point and scheme.
    seed : int
    rounds : int
        Rounds done.
    finished : bool
        Or there is nothing to run, because a sweep's point cannot keep its budgets.
    loss : float or None
        Last validation loss [nat].
    time_s, energy_j : float or None
        Simulated seconds and joules so far.
    """

    name: str
    seed: int
    rounds: int
    finished: bool
    loss: float | None = None
    time_s: float | None = None
    energy_j: float | None = None


@dataclass(frozen=True)
class Run:
    """A run of the folder.

    Attributes
    ----------
    name : str
        Of its folder.
    state : State
    kind : str
        ``run``, ``compare`` or ``sweep``; empty where the folder does not tell.
    scenario : str
        Name of the scenario.
    date : str
        Day on which it was begun.
    cells : tuple of Progress
    rounds : int
        Rounds of each cell at most.
    page : bool
        Whether there is a page.
    message : str
        What is wrong, where something is.
    """

    name: str
    state: State
    kind: str = ""
    scenario: str = ""
    date: str = ""
    cells: tuple[Progress, ...] = ()
    rounds: int = 0
    page: bool = False
    message: str = ""

    @property
    def finished_cells(self) -> int:
        """Number of cells that are finished."""
        return sum(cell.finished for cell in self.cells)

    @property
    def begun(self) -> bool:
        """Whether there is a round to look at."""
        return any(cell.rounds or cell.finished for cell in self.cells)


class Runs:
    """The runs of a folder, and the processes that were started for them.

    Parameters
    ----------
    root : Path
        Folder of the run folders; need not exist.
    processes : Processes, optional
    """

    def __init__(self, root: Path, processes: Processes | None = None) -> None:
        self.root = root
        self.processes = processes or Processes(root)
        self._kept: dict[Path, tuple[object, Any]] = {}

    def all(self) -> list[Run]:
        """Return all runs, those begun last first."""
        there = {folder.name: folder for folder in self._folders()}
        known = sorted(
            {*there, *self.processes.names()},
            key=lambda name: (_began(there.get(name)), name),
            reverse=True,
        )
        return [run for name in known if (run := self._run(name)) is not None]

    def one(self, name: str) -> Run:
        """Return a run by its name.

        Raises
        ------
        InputError
            There is none of that name.
        """
        run = self._run(name) if name in self._known() else None
        if run is None:
            raise InputError(f"run {shown(name)}: is not in {clip(self.root)}")
        return run

    def folder(self, name: str) -> Path:
        """Return the folder of a run by its name; raises `InputError` where there is none."""
        for folder in self._folders():
            if folder.name == name:
                return folder
        raise InputError(f"run {shown(name)}: is not in {clip(self.root)}")

    def file(self, name: str, path: str) -> tuple[Path, str]:
        """Return a file of a run that may be handed out, and its type.

        Parameters
        ----------
        name : str
            Of the run.
        path : str
            Of the file within the run's folder, with slashes.

        Raises
        ------
        InputError
            There is no such file in the folder; links and what is above the folder do not count.
        """
        folder = self.folder(name)
        parts = path.split("/")
        refused = InputError(f"{shown(path)}: is no file of the run {shown(name)}")
        if not all(parts) or any(part in (".", "..") or "\\" in part for part in parts):
            raise refused
        if "\0" in path or (kind := SERVED.get(Path(path).suffix)) is None:
            raise refused
        found = folder
        try:
            for part in parts:
                found = found / part
                if found.is_symlink():
                    raise refused
            ours = found.is_file() and found.resolve().is_relative_to(folder.resolve())
        except OSError:  # too long a name
            raise refused from None
        if not ours:
            raise refused
        return found, kind

    def resume(self, name: str) -> None:
        """Go on with an unfinished run in a process of its own; errors as of `Processes.start`.

        Raises
        ------
        InputError
            It is not unfinished.
        """
        run = self.one(name)
        if run.state != "unfinished":
            raise InputError(f"{shown(name)}: is {STATES[run.state]}; must be unfinished")
        self.processes.start(name, "resume", argument(str(self.folder(name))))

    def _folders(self) -> Iterator[Path]:
        if not self.root.is_dir():
            return
        for folder in self.root.iterdir():
            if folder.is_symlink() or not folder.is_dir():
                continue
            if (folder / names.RUN).is_file():
                yield folder

    def _known(self) -> set[str]:
        return {folder.name for folder in self._folders()} | self.processes.names()

    def _run(self, name: str) -> Run | None:
        """Return a run; None for the note of one whose folder is gone."""
        process = self.processes.of(name)
        folder = self.root / name
        if not (folder / names.RUN).is_file():
            if process.running:
                return Run(name, "running")
            if process.code == 0 or name not in self.processes.names():
                return None
            if process.code is None:
                printed = self.processes.tail(name).strip()
                text = f"{UNSEEN} It printed last:\n{printed}" if printed else UNSEEN
                return Run(name, "failed", message=text)
            if process.code in STOPPED:
                return Run(name, "failed", message="It was stopped before it began.")
            return Run(name, "failed", message=self.processes.tail(name).strip())
        try:
            opened, cells, points = self._opened(folder)
        except InputError as error:
            return Run(name, "damaged", message=str(error))
        progress = tuple(
            self._progress(cell, point) for cell, point in zip(cells, points, strict=True)
        )
        state: State
        if process.running:
            state = "running"
        elif all(cell.finished for cell in progress) and (folder / names.RESULTS).is_file():
            state = "finished"
        else:
            state = "elsewhere" if _locked(folder) else "unfinished"
        failed = state == "unfinished" and process.code not in (None, 0, *STOPPED)
        return Run(
            name,
            state,
            opened.kind,
            opened.scenario.name,
            str(opened.date or ""),
            progress,
            opened.scenario.training.rounds,
            (folder / names.PAGE).is_file(),
            self.processes.tail(name).strip() if failed else "",
        )

    def _opened(self, folder: Path) -> tuple[RunFolder, list[Cell], list[str]]:
        """Return a run folder, its cells, and of a sweep the point that each one is of."""

        def opened() -> tuple[RunFolder, list[Cell], list[str]]:
            run = record.open_folder(folder)
            if run.kind != sweeps.KIND:
                return run, run.cells, [""] * len(run.cells)
            points = sweeps.open_sweep(run).points
            cells = [(cell, point.name) for point in points for cell in point.run.cells]
            return run, [cell for cell, _ in cells], [name for _, name in cells]

        return self._cached(folder, (folder / names.RUN, folder / names.SCENARIO), opened)

    def _progress(self, cell: Cell, point: str) -> Progress:
        name = f"{point}, {cell.scheme}" if point else cell.scheme
        infeasible = cell.folder.parents[1] / names.infeasible(cell.seed)

        def read() -> Progress:
            last: dict[str, Any] = {}
            loss = None
            with contextlib.suppress(InputError):  # the page of the run says what is wrong
                for line in record.read_metrics(cell):
                    last = line
                    loss = line.get("loss") if line.get("loss") is not None else loss
            rounds = last.get("round")
            return Progress(
                name,
                cell.seed,
                rounds if isinstance(rounds, int) else 0,
                cell.finished or infeasible.is_file(),
                _number(loss),
                _number(last.get("time_s")),
                _number(last.get("energy_j")),
            )

        return self._cached(cell.folder, (cell.metrics_file, cell.finished_file, infeasible), read)

    def _cached(self, key: Path, files: tuple[Path, ...], make: Callable[[], _Kept]) -> _Kept:
        """Return what was made of files, made anew where one of them has changed."""
        stamps = tuple(_stamp(path) for path in files)
        if key not in self._kept or self._kept[key][0] != stamps:
            self._kept[key] = (stamps, make())
        made: _Kept = self._kept[key][1]
        return made


def _locked(folder: Path) -> bool:
    """Whether a process that was not started here writes the folder; asks for the lock's file.

    To take the lock, were it for a moment, could end a command that begins then.  So it is tried
    only where the system's list of locks has it, and thus somebody else has it already.
    """
    file = folder / names.LOCK
    if file.is_symlink() or not file.is_file():
        return False
    try:
        if _LOCKS.is_file() and file.stat().st_ino not in _locked_files():
            return False
        with record.lock_if_free(folder) as free:
            return not free
    except (InputError, OSError):
        return False


def _locked_files() -> set[int]:
    """Return the numbers (inodes) of the files that are locked on this machine."""
    lines = [line.split() for line in _LOCKS.read_text("ascii").splitlines()]
    places = [word for line in lines for word in line if word.count(":") == 2]
    return {int(place.rpartition(":")[2]) for place in places}


def _began(folder: Path | None) -> float:
    """When a run was begun; one that has no folder yet comes first."""
    stamp = None if folder is None else _stamp(folder / names.RUN)
    return float("inf") if stamp is None else stamp[0]


def _stamp(path: Path) -> tuple[float, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime, state.st_size


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
