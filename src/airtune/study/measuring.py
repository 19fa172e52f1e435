"""What this machine draws while it works on a cell, noted in environment.json (`costs.measure`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from airtune import record
from airtune.errors import FailedError, InputError
from airtune.meter import EnergyMeter, Reading, meter_of
from airtune.record import Cell, names
from airtune.scenario import Scenario


class Measuring:
    """Measures the cells of a run, and says once where nothing can be measured.

    Parameters
    ----------
    scenario : Scenario
    say : callable, optional
        Takes the sentence.
    """

    def __init__(self, scenario: Scenario, say: Callable[[str], None] | None = None) -> None:
        self._name = scenario.costs.measure
        self._meter: EnergyMeter | None = meter_of(self._name)
        self._say = say

    @contextmanager
    def of(self, cell: Cell, rounds: Callable[[], int]) -> Iterator[None]:
        """Measure the work of the block on a cell, also where it is interrupted.

        Parameters
        ----------
        cell : Cell
        rounds : callable
            Returns the rounds that the cell has had.
        """
        if self._meter is None:
            yield
            return
        before, reading = max(len(record.read_metrics(cell)) - 1, 0), None
        try:
            with self._meter.reading() as reading:
                yield
        finally:
            if reading is not None:
                self._note(cell, reading, rounds() - before)

    def _note(self, cell: Cell, reading: Reading, rounds: int) -> None:
        name = f"{cell.scheme}/{names.seed_folder(cell.seed)}"
        content = {**reading.to_dict(), "rounds": max(rounds, 0)}
        try:
            record.add_reading(cell.folder.parents[1], name, content)
        except (FailedError, InputError) as error:  # it would hide an error of the block
            self._tell(f"the reading of {name} is not kept: {error}")
        if reading.reason:
            kept = "; only estimates are reported" if reading.estimated_j else ""
            why = f"{reading.reason}, so nothing is measured{kept}"
            self._tell(why)

    def _tell(self, text: str) -> None:
        """Say something of the measuring, once for all cells."""
        if self._say:
            self._say(f"costs.measure = {self._name!r}: {text}")
            self._say = None
