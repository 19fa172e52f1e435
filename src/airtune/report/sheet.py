"""Tables as headings and rows of text, for the page and for the terminal alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airtune.report.values import Value

NOT_REACHED = "not reached"


@dataclass(frozen=True)
class Cell:
    """A figure as text and, below it, a range: 10-90 % over several seeds, or an interval."""

    text: str
    spread: str = ""
    remark: bool = False


@dataclass(frozen=True)
class Row:
    """One scheme (or component) and its cells, in the order of the columns.

    `note` stands below the name.
    """

    name: str
    label: str
    cells: tuple[Cell, ...]
    note: str = ""


@dataclass(frozen=True)
class Sheet:
    """Headings with their units, and rows.

    `short` has the headings for a terminal, in one or two lines; empty: not shown there.
    """

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    short: tuple[str, ...] = ()


def figure_cell(value: Value, write: Callable[[float], str], empty: Cell) -> Cell:
    """Return a figure as a cell, with its 10-90 % range; `empty` where it is not known."""
    spread = ""
    if value.spread and not (value.p10 is None and value.p90 is None):
        ends = [write(x) if x is not None else "never" for x in (value.p10, value.p90)]
        spread = " to ".join(ends)
    if value.median is None:
        return Cell(empty.text, spread, empty.remark)
    return Cell(write(value.median), spread)
