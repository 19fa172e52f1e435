"""The contract of a tracker.

A tracker is a class, found by its name in :data:`airtune.registry.TRACKERS` and built once a
command with the folder that it may write, ``RUN_DIR/track/NAME``.  It is told of one cell (scheme
and seed) after the other: :meth:`Tracker.begin`, :meth:`Tracker.log` for each round, then
:meth:`Tracker.end`.  The run folder stays the record of the run; what a tracker holds is a copy.
A cell that a resumed run goes on with is begun anew and all of its rounds are told again, so
`begin` removes what the tracker holds of the cell: no round is there twice.

A tracker that fails does not end the run: any exception is told once as a warning, and the tracker
is left alone from then on; `airtune resume` tells it the cells that it lacks.  Nothing is sent over
the network.

A class may have a method ``check()`` without arguments, called before any work, that raises
:class:`~airtune.errors.InputError` where its library is not installed.

::

    from airtune import registry

    class Printed:
        def __init__(self, folder):
            self.folder = folder
        def begin(self, cell):
            print(cell.name, cell.parameters["training.rounds"])
        def log(self, round_index, figures):
            print(round_index, figures.get("loss"))
        def end(self, results):
            print(results)

    registry.TRACKERS.add("printed", Printed)

A module with this text is used by ``airtune --import MODULE compare quickstart --track printed``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from airtune.errors import InputError

Parameter = bool | int | float | str


@dataclass(frozen=True)
class TrackedCell:
    """One scheme and one seed of a run.

    Attributes
    ----------
    study : str
        Name of the scenario: letters, digits, ``_``, ``.`` and ``-``.
    group : str
        Name of the run folder.
    scheme : str
    seed : int
        Number of the repetition, from 0.
    parameters : mapping of str to bool, int, float or str
        The settings by their dotted names; lists and null as JSON text.
    """

    study: str
    group: str
    scheme: str
    seed: int
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the cell within the run, ``movable/seed-0``."""
        return f"{self.scheme}/seed-{self.seed}"


class Tracker(Protocol):
    """What follows the rounds of a run; built with the folder that it may write."""

    def __init__(self, folder: Path) -> None: ...

    def begin(self, cell: TrackedCell) -> None:
        """Begin a cell; what there is of it from before is replaced."""

    def log(self, round_index: int, figures: Mapping[str, float]) -> None:
        """Take the figures of a round of the cell, each a finite number.

        Names are those of ``metrics.jsonl``, parts after a slash (``round_energy_j/uplink``);
        round 0 is the untuned model.
        """

    def end(self, results: Mapping[str, float] | None) -> None:
        """End the cell with its results (``final/final_loss``); None where it is unfinished."""


def check_installed(tracker: str, *packages: str) -> None:
    """Refuse a tracker whose library is not there; its extra has the tracker's name.

    Raises
    ------
    InputError
        Says how to install it.
    """
    for package in packages:
        found = find_spec(package)
        if found is None or found.origin is None:  # a folder of that name is no package
            raise InputError(
                f"--track {tracker}: needs the package {package}; install it with: "
                f"pip install 'airtune[{tracker}]'"
            )
