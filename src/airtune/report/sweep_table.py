"""The figures of a sweep as rows: for the terminal and the page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from airtune.report import scores, style
from airtune.report.sheet import NOT_REACHED, Cell, Row, Sheet, figure_cell
from airtune.report.values import MISSING, count, decimals, read, si, significant

if TYPE_CHECKING:
    from rich.table import Table

# Every cell has its own SI prefix: points of a grid may lie decades apart.
_COLUMNS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("Rounds to target", "rounds_to_target", count),
    ("Time to target", "time_to_target_s", lambda x: si(x, "s")),
    ("Energy to target", "energy_to_target_j", lambda x: si(x, "J")),
    ("Final loss", "final_loss", lambda x: decimals(x, 3)),
    ("Error [dB]", "mse_db", lambda x: decimals(x, 1)),
    ("Fairness", "fairness", lambda x: decimals(x, 3)),
)


_PERPLEXITY = ("Perplexity", "final_perplexity", significant)
_SCORE_AT = 4


def _columns(results: Mapping[str, Any]) -> list[tuple[str, str, Callable[[float], str]]]:
    """Return the columns: perplexity for text, preference accuracy for pairs."""
    entries = [e for point in results["points"] for e in point["schemes"].values()]
    pairs = scores.of_pairs({"schemes": dict(enumerate(entries))})
    preference = (scores.PREFERENCE.title, scores.PREFERENCE.key, scores.percent)
    score = preference if pairs else _PERPLEXITY
    return [*_COLUMNS[:_SCORE_AT], score, *_COLUMNS[_SCORE_AT:]]


def short_name(setting: str) -> str:
    """Return the last part of a dotted path in words."""
    return setting.rpartition(".")[2].replace("_", " ")


def value_text(value: Any) -> str:
    """Write a setting's value for people."""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)


def point_text(settings: Mapping[str, Any]) -> str:
    """Name a point by its values."""
    return ", ".join(f"{short_name(name)} {value_text(x)}" for name, x in settings.items())


def sweep_rows(results: Mapping[str, Any]) -> Sheet:
    """Return one row for each point and scheme; the first cell names the point.

    Parameters
    ----------
    results : mapping
        The document of ``airtune sweep --json``.
    """
    rows: list[Row] = []
    columns = _columns(results)
    for point in results["points"]:
        reachable = read(point.get("target_loss")).known
        never = Cell(NOT_REACHED, remark=True) if reachable else Cell(MISSING)
        for name, entry in point["schemes"].items():
            cells = [Cell(point_text(point["settings"]))]
            for _, key, write in columns:
                empty = never if "to_target" in key else Cell(MISSING)
                cells.append(figure_cell(read(entry.get(key)), write, empty))
            rows.append(Row(name, style.scheme_style(name).label, tuple(cells)))
    return Sheet(("Point", *(heading for heading, *_ in columns)), tuple(rows))


def terminal_table(results: Mapping[str, Any]) -> Table:
    """Return the table of a sweep for a terminal; medians over the seeds."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    sheet = sweep_rows(results)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("Point", overflow="fold")
    table.add_column("Scheme", overflow="fold")
    for heading in sheet.columns[1:]:
        table.add_column(Text(heading), justify="right", overflow="fold")
    last = ""
    for row in sheet.rows:
        name = row.cells[0].text
        texts = ["never" if cell.remark else cell.text for cell in row.cells[1:]]
        table.add_row(Text("" if name == last else name), Text(row.name), *map(Text, texts))
        last = name
    return table
