"""The table of schemes: rows from a results document, for the page and for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airtune.report import style
from airtune.report.values import (
    MISSING,
    Value,
    common_prefix,
    count,
    decimals,
    members,
    read,
    seconds_unit,
    si,
    significant,
    total,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

NOT_REACHED = "not reached"


@dataclass(frozen=True)
class Cell:
    """A figure as text and, over several seeds, its 10-90 % range."""

    text: str
    spread: str = ""
    remark: bool = False


@dataclass(frozen=True)
class Row:
    """One scheme (or component) and its cells, in the order of the columns."""

    name: str
    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Sheet:
    """Headings with their units, and rows."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def scheme_rows(results: Mapping[str, Any]) -> Sheet:
    """Return the key figures of every scheme.

    Parameters
    ----------
    results : mapping
        The document of ``airtune compare --json`` (or of ``airtune run``: one scheme).

    Returns
    -------
    Sheet
        Columns: rounds, time and energy to target, final loss, perplexity, exact match and
        aggregation error; one row a scheme.  A target that was not met reads "not reached".
    """
    schemes: Mapping[str, Mapping[str, Any]] = results.get("schemes") or {}
    has_target = read(results.get("target_loss")).known
    never = Cell(NOT_REACHED, remark=True) if has_target else Cell(MISSING)

    def column(key: str) -> list[Value]:
        return [read(entry.get(key)) for entry in schemes.values()]

    seconds, second_unit = seconds_unit(v.median for v in column("time_to_target_s"))
    joules, joule_prefix = common_prefix(v.median for v in column("energy_to_target_j"))
    layout: list[tuple[str, str, Cell, Callable[[float], str]]] = [
        ("Rounds to target", "rounds_to_target", never, count),
        (
            f"Time to target [{second_unit}]",
            "time_to_target_s",
            never,
            lambda x: significant(x / seconds),
        ),
        (
            f"Energy to target [{joule_prefix}J]",
            "energy_to_target_j",
            never,
            lambda x: significant(x / joules),
        ),
        ("Final loss", "final_loss", Cell(MISSING), lambda x: decimals(x, 3)),
        ("Perplexity", "final_perplexity", Cell(MISSING), significant),
        ("Exact match [%]", "exact_match", Cell(MISSING), lambda x: decimals(100 * x, 1)),
        ("Aggregation error [dB]", "mse_db", Cell(MISSING), lambda x: decimals(x, 1)),
    ]
    if any(v.median not in (None, 1.0) for v in column("fairness")):
        layout.append(("Fairness", "fairness", Cell(MISSING), lambda x: decimals(x, 3)))
    rows = tuple(
        Row(
            name,
            style.scheme_style(name).label,
            tuple(
                figure_cell(read(entry.get(key)), write, empty) for _, key, empty, write in layout
            ),
        )
        for name, entry in schemes.items()
    )
    return Sheet(tuple(heading for heading, *_ in layout), rows)


def split_rows(results: Mapping[str, Any], key: str, unit: str) -> Sheet:
    """Return a quantity by component: one row a scheme, one column a component, and the total.

    Parameters
    ----------
    results : mapping
        The results document.
    key : str
        ``energy_j`` or ``latency_s``.
    unit : str
        ``J`` or ``s``; every cell carries its own SI prefix, for components span many decades.
    """
    schemes: Mapping[str, Mapping[str, Any]] = results.get("schemes") or {}
    splits = {name: members(entry.get(key)) for name, entry in schemes.items()}
    names = style.ordered_components({part for split in splits.values() for part in split})

    def write(x: float) -> str:
        return si(x, unit)

    rows = []
    for name, split in splits.items():
        cells = [figure_cell(split.get(part, Value(None)), write, Cell(MISSING)) for part in names]
        # Medians of components do not add up to the median of their sum: no total over seeds.
        if not any(value.spread for value in split.values()):
            cells.append(figure_cell(Value(total(split)), write, Cell(MISSING)))
        rows.append(Row(name, style.scheme_style(name).label, tuple(cells)))
    headings = [style.component_label(part) for part in names]
    if any(len(row.cells) > len(names) for row in rows):
        headings.append("Total")
    return Sheet(tuple(headings), tuple(rows))


def off_plan_rows(results: Mapping[str, Any], key: str, unit: str) -> Sheet:
    """Return what was booked less what was planned, as :func:`split_rows` does."""
    schemes: Mapping[str, Mapping[str, Any]] = results.get("schemes") or {}
    differences = {
        name: {key: entry["plan"]["booked_less_planned"][key]}
        for name, entry in schemes.items()
        if entry.get("plan")
    }
    return split_rows({"schemes": differences}, key, unit)


def terminal_table(results: Mapping[str, Any]) -> Table:
    """Return the table of schemes for a terminal: 80 columns wide, 100 with ranges over seeds."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    sheet = scheme_rows(results)
    target = read(results.get("target_loss"))
    title = None
    if target.median is not None:
        title = f"rounds, time and energy to target loss {decimals(target.median, 3)}"
    seeds = int(results.get("seeds") or 1)
    if title and seeds > 1:
        title += f"; medians of {seeds} seeds, 10 to 90 % below"
    table = Table(
        title=title,
        title_justify="left",
        title_style="dim",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    table.add_column("Scheme", overflow="fold")
    for short, heading in zip(_TERMINAL_HEADINGS, sheet.columns, strict=False):
        unit = heading[heading.index("[") :] if "[" in heading else ""
        label = f"{short}{unit}" if short.endswith("\n") else f"{short} {unit}".rstrip()
        table.add_column(Text(label), justify="right", overflow="fold")
    for row in sheet.rows:
        cells = []
        for index, cell in enumerate(row.cells[: len(_TERMINAL_HEADINGS)]):
            text = Text("never" if cell.remark else cell.text, style="dim" if cell.remark else "")
            # The ranges of all figures would not fit.
            if cell.spread and index < _RANGES_SHOWN:
                text.append(f"\n{cell.spread}", style="dim")
            cells.append(text)
        table.add_row(Text(row.name), *cells)
    return table


_TERMINAL_HEADINGS = (
    "Rounds",
    "Time\n",
    "Energy\n",
    "Final\nloss",
    "Perplex-\nity",
    "Exact\nmatch",
    "Error\n",
)
_RANGES_SHOWN = 3


def figure_cell(value: Value, write: Callable[[float], str], empty: Cell) -> Cell:
    """Return a figure as a cell, with its 10-90 % range; `empty` where it is not known."""
    spread = ""
    if value.spread and not (value.p10 is None and value.p90 is None):
        ends = [write(x) if x is not None else "never" for x in (value.p10, value.p90)]
        spread = " to ".join(ends)
    if value.median is None:
        return Cell(empty.text, spread, empty.remark)
    return Cell(write(value.median), spread)
