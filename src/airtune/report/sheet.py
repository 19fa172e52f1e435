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
        spread = range_text(value.median, (value.p10, value.p90), write)
    if value.median is None:
        return Cell(empty.text, spread, empty.remark)
    return Cell(write(value.median), spread)


def range_text(
    middle: float | None, ends: tuple[float | None, float | None], write: Callable[[float], str]
) -> str:
    """Return a range in words; empty where both ends read as the middle does.

    Examples
    --------
    >>> range_text(2.0, (1.0, None), str), range_text(2.0, (2.0, 2.0), str)
    ('1.0 to never', '')
    """
    middle_text, *texts = ("never" if x is None else write(x) for x in (middle, *ends))
    return "" if set(texts) == {middle_text} else " to ".join(texts)
