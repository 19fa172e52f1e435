"""The table of schemes: rows from a results document, for the page and for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airtune.learning.data import LeftOut, count_left_out
from airtune.report import scores, style, twins
from airtune.report.divergence import mark
from airtune.report.sheet import NOT_REACHED, Cell, Row, Sheet, figure_cell
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
    from rich.table import Table


def scheme_rows(results: Mapping[str, Any]) -> Sheet:
    """Return the key figures of every scheme.

    Parameters
    ----------
    results : mapping
        The document of ``airtune compare --json`` (or of ``airtune run``: one scheme).

    Returns
    -------
    Sheet
        Columns: rounds, time and energy to target, final loss, perplexity (of text), the score that
        tells the schemes apart (:func:`airtune.report.scores.main_score`) and aggregation error;
        one row a scheme.  A target that was not met reads "not reached".
    """
    schemes: Mapping[str, Mapping[str, Any]] = results.get("schemes") or {}
    columns = _scheme_columns(results, schemes)
    rows = tuple(
        Row(
            name,
            style.scheme_style(name).label,
            tuple(column.cell(entry) for column in columns),
            mark(entry),
        )
        for name, entry in schemes.items()
    )
    titles, short = (tuple(getattr(c, name) for c in columns) for name in ("title", "short"))
    return Sheet(titles, rows, short)


@dataclass(frozen=True)
class _Column:
    """A column: its headings on the page and in the terminal, and a scheme's cell in it."""

    title: str
    short: str
    cell: Callable[[Mapping[str, Any]], Cell]


def _scheme_columns(
    results: Mapping[str, Any], schemes: Mapping[str, Mapping[str, Any]]
) -> list[_Column]:
    has_target = read(results.get("target_loss")).known
    never = Cell(NOT_REACHED, remark=True) if has_target else Cell(MISSING)

    def values(key: str) -> list[Value]:
        return [read(entry.get(key)) for entry in schemes.values()]

    def column(
        title: str, short: str, key: str, write: Callable[[float], str], empty: Cell
    ) -> _Column:
        return _Column(title, short, lambda e: figure_cell(read(e.get(key)), write, empty))

    seconds, s = seconds_unit(v.median for v in values("time_to_target_s"))
    joules, prefix = common_prefix(v.median for v in values("energy_to_target_j"))
    missing = Cell(MISSING)
    columns = [
        column("Rounds to target", "Rounds", "rounds_to_target", count, never),
        column(
            f"Time to target [{s}]",
            f"Time\n[{s}]",
            "time_to_target_s",
            lambda x: significant(x / seconds),
            never,
        ),
        column(
            f"Energy to target [{prefix}J]",
            f"Energy\n[{prefix}J]",
            "energy_to_target_j",
            lambda x: significant(x / joules),
            never,
        ),
        column("Final loss", "Final\nloss", "final_loss", lambda x: decimals(x, 3), missing),
    ]
    score = scores.main_score(results)
    if score is not scores.PREFERENCE:
        columns.append(
            column("Perplexity", "Perplex-\nity", "final_perplexity", significant, missing)
        )
    columns += [
        _Column(score.title, score.short, lambda e: scores.score_cell(e, score)),
        column(
            "Aggregation error [dB]", "Error\n[dB]", "mse_db", lambda x: decimals(x, 1), missing
        ),
    ]
    if any(v.median not in (None, 1.0) for v in values("fairness")):
        columns.append(column("Fairness", "", "fairness", lambda x: decimals(x, 3), missing))
    return columns


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


def energy_rows(results: Mapping[str, Any]) -> Sheet:
    """Return electrical energy by component, and beside it what antennas radiate of it.

    That is the sum of uplink, pilots and downlink; without the last column where the results do
    not tell it, and over seeds, where medians of parts do not add up to it.
    """
    sheet = split_rows(results, "energy_j", "J")
    schemes: Mapping[str, Mapping[str, Any]] = results.get("schemes") or {}
    radiated = {name: members(entry.get("radiated_j")) for name, entry in schemes.items()}
    spread = any(value.spread for parts in radiated.values() for value in parts.values())
    if spread or not any(radiated.values()):
        return sheet
    rows = []
    for row in sheet.rows:
        joules = total(radiated[row.name])
        cell = Cell(MISSING if joules is None else si(joules, "J"))
        rows.append(replace(row, cells=(*row.cells, cell)))
    return Sheet((*sheet.columns, "Radiated"), tuple(rows))


def off_plan_rows(results: Mapping[str, Any], key: str, unit: str) -> Sheet:
    """Return what was booked less what was planned, as :func:`split_rows` does."""
    schemes: Mapping[str, Mapping[str, Any]] = results.get("schemes") or {}
    differences = {
        name: {key: entry["plan"]["booked_less_planned"][key]}
        for name, entry in schemes.items()
        if entry.get("plan")
    }
    return split_rows({"schemes": differences}, key, unit)


def left_out_sentence(results: Mapping[str, Any]) -> str:
    """Say how many records of the data are not used, and why the first is not; empty for none.

    Examples
    --------
    >>> first = {"place": "talks.jsonl:7", "why": "the answer is empty"}
    >>> left_out_sentence({"left_out": {"count": 3, "records": [first]}})
    'Left out 3 records, first at talks.jsonl:7 because the answer is empty.'
    """
    left_out = results.get("left_out") or {}
    number_of, records = left_out.get("count") or 0, left_out.get("records") or ()
    if not number_of:
        return ""
    first = LeftOut(records[0]["place"], records[0]["why"]) if records else None
    text = count_left_out(number_of, first, "record")
    return f"{text[0].upper()}{text[1:].removesuffix('.')}."


def terminal_table(results: Mapping[str, Any]) -> Table:
    """Return the table of schemes for a terminal: 80 columns wide, 100 with ranges over seeds."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    sheet = scheme_rows(results)
    seeds = int(results.get("seeds") or 1)
    shown = [index for index, short in enumerate(sheet.short) if short]
    # The ranges of all figures would not fit.
    ranges = range(_RANGES_SHOWN) if seeds > 1 else shown
    table = Table(
        title=_terminal_title(results, seeds),
        title_justify="left",
        title_style="dim",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    table.add_column("Scheme", overflow="fold")
    for index in shown:
        table.add_column(Text(sheet.short[index]), justify="right", overflow="fold")
    for row in sheet.rows:
        cells = []
        for index in shown:
            cell = row.cells[index]
            text = Text("never" if cell.remark else cell.text, style="dim" if cell.remark else "")
            if cell.spread and index in ranges:
                text.append(f"\n{cell.spread}", style="dim")
            cells.append(text)
        named = Text(row.name)
        if row.note:
            named.append(f"\n{row.note}", style="dim")
        table.add_row(named, *cells)
    return table


_RANGES_SHOWN = 3


def _terminal_title(results: Mapping[str, Any], seeds: int) -> str | None:
    """Return what the figures are, and what stands below them."""
    target = read(results.get("target_loss")).median
    said = []
    if target is not None:
        said.append(f"rounds, time and energy to target loss {decimals(target, 3)}")
    if seeds > 1:
        said.append(f"medians of {seeds} seeds, 10 to 90 % below")
    elif scores.has_interval(results, scores.main_score(results)):
        said.append(f"{scores.main_score(results).words} with its 95 % interval")
    said.append(twins.remark(results.get("scenario") or {}))
    return "; ".join(filter(None, said)) or None
