"""The state of the live page, which the server keeps: browsers come and go."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import airtune.placement.kernels as kernels
from airtune.compiled import kept_at
from airtune.errors import InputError, spoken
from airtune.ui import controls
from airtune.ui.cell import GROUPS, Cell, Spot, open_cell
from airtune.ui.latest import Latest
from airtune.ui.look import Look, as_json, look

STEPS = (
    "Compiling the solver; this is done once on a machine and takes a minute or less",
    "Loading the solver",
    "Loading the solver for limited ways",
    "Loading the solver for pixels",
)
"""What is done before the first answer."""


class Board:
    """One cell, and what is seen of it; changes come from any thread.

    Parameters
    ----------
    source : str
        Scenario to begin with.
    changed : callable
        Called from a thread of its own whenever there is something new to show.

    Raises
    ------
    InputError
        The scenario cannot be shown.
    """

    def __init__(self, source: str, changed: Callable[[], None] = lambda: None) -> None:
        self._changed = changed
        self._guard = threading.Lock()
        self._turn = threading.Lock()
        self._cell = open_cell(source)
        assert set(self._cell.stations) == set(GROUPS)
        self._seen: Look | None = None
        self._seen_cell: Cell | None = None
        self._error = ""
        self._step: int | None = 0
        self._worker: Latest[Cell, Look] = Latest(self._work, self._done)
        self._worker.put(self._cell)

    @property
    def cell(self) -> Cell:
        """The cell as it is now."""
        return self._cell

    @property
    def ready(self) -> bool:
        """Whether the solver answers at once."""
        return self._step is None

    def open(self, source: str) -> None:
        """Show another scenario, as it is in its file; raises `InputError`."""
        self._replace(lambda _: open_cell(source))

    def set(self, name: object, value: object) -> None:
        """Change a control; raises `InputError`, and the cell stays as it was."""
        self._replace(lambda cell: controls.changed(cell, name, value))

    def move(self, group: str, index: int, spot: Spot) -> None:
        """Put a station elsewhere; raises `InputError`."""
        self._replace(lambda cell: cell.with_station(group, index, spot))

    def limit(self, limited: bool) -> None:
        """Let antennas go as far as in one round of a run at most, or anywhere."""
        self._replace(lambda cell: replace(cell, limited=limited))

    def reset(self) -> None:
        """Go back to the scenario as it is in its file; raises `InputError`."""
        self._replace(lambda cell: open_cell(cell.source))

    def close(self) -> None:
        """End the thread."""
        self._worker.close()

    def message(self) -> dict[str, Any]:
        """Return all that the browser shows of the cell, as plain JSON."""
        with self._guard:
            cell, seen, error, step = self._cell, self._seen, self._error, self._step
            stale = self._seen_cell is not cell
        scenario = cell.scenario
        stations = {
            group: [
                [
                    round(spot.distance_m, 3),
                    round(spot.azimuth_deg, 3),
                    round(spot.elevation_deg, 3),
                ]
                for spot in cell.stations[group]
            ]
            for group in GROUPS
        }
        placement = scenario.placement
        return {
            "source": cell.source,
            "settings": controls.values(scenario),
            "stations": stations,
            "moved": len(cell.moved),
            "changed": bool(cell.moved or cell.changes),
            "movable": cell.movable,
            "channel": scenario.radio.channel,
            "sight": scenario.radio.paths.fading == "rician"
            or scenario.radio.paths.angles == "cluster",
            "limited": cell.limited,
            "longest": placement.max_travel,
            "price": placement.travel_price_db,
            "look": None if seen is None else as_json(seen),
            "stale": stale,
            "error": error,
            "warming": None if step is None else {"step": step, "text": STEPS[step]},
        }

    def _replace(self, change: Callable[[Cell], Cell]) -> None:
        with self._turn:  # changes one after the other; a message does not wait for them
            cell = change(self._cell)
            assert set(cell.stations) == set(GROUPS)  # its channel can be made, or says why not
            with self._guard:
                self._cell = cell
            self._worker.put(cell)

    def _work(self, cell: Cell) -> Look:
        if self._step is not None:
            self._warm()
        return look(cell)

    def _warm(self) -> None:
        """Compile what placements call, in a process of its own, and load it."""
        if compiled():
            self._step = 1
        else:
            # A compiler in this process would keep the interpreter, and the page could not answer.
            command = [sys.executable, "-P", "-m", "airtune.ui.warm"]
            subprocess.run(command, check=False, stdin=subprocess.DEVNULL)  # noqa: S603
        for step, cell in enumerate(warm_cells(), 1):
            self._step = step
            self._changed()
            look(cell)
        self._step = None

    def _done(self, cell: Cell, answer: Look | Exception) -> None:
        with self._guard:
            if isinstance(answer, Look):
                self._seen, self._seen_cell, self._error = answer, cell, ""
            elif isinstance(answer, InputError):
                self._error = str(answer)
            else:
                self._error = spoken(f"{type(answer).__name__}: {answer}")
                self._step = None
        self._changed()


def warm_cells() -> tuple[Cell, ...]:
    """Return cells that between them call every kernel that the page needs."""
    cell = open_cell("quickstart")
    limited = replace(cell, limited=True)
    return cell, limited, cell.changed("array.drive", "pixel")


def compiled() -> bool:
    """Tell whether the kernels of placement lie on the disk, compiled from what they are now."""
    folder = Path(kernels.__path__[0])
    return any(kept_at(folder).glob("tasks.perform-*.nbi"))
