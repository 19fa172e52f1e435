"""The figures of a sweep as rows: for the terminal and the page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from airtune.report import scores, style, twins
from airtune.report.divergence import lost_rounds, mark, sentence
from airtune.report.sheet import NOT_REACHED, Cell, Row, Sheet, figure_cell
from airtune.report.values import MISSING, count, decimals, read, si, significant

if TYPE_CHECKING:
    from rich.console import RenderableType
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
            rows.append(Row(name, style.scheme_style(name).label, tuple(cells), mark(entry)))
    return Sheet(("Point", *(heading for heading, *_ in columns)), tuple(rows))


def diverged_sentences(results: Mapping[str, Any]) -> list[str]:
    """Say which schemes diverged or never made a step at which point, and which rounds were lost.

    Parameters
    ----------
    results : mapping
        The document of ``airtune sweep --json``.
    """
    said = []
    for point in results["points"]:
        for name, entry in point["schemes"].items():
            text = sentence(name, entry, results["seeds"])
            said += [f"{point_text(point['settings'])}: {text}"] if text else []
        said += [f"{point_text(point['settings'])}, {text}." for text in lost_rounds(point)]
    return said


def terminal_table(results: Mapping[str, Any]) -> RenderableType:
    """Return the tables of a sweep's points for a terminal, 80 columns wide; medians over seeds."""
    from rich.console import Group
    from rich.text import Text

    columns = _columns(results)
    shown = [i for i, column in enumerate(columns) if column[1] != "fairness" or _unfair(results)]
    short = [_SHORT[columns[i][1]] for i in shown]
    points: dict[str, list[list[str]]] = {}
    for row in sweep_rows(results).rows:
        texts = ["never" if cell.remark else cell.text for cell in row.cells[1:]]
        named = f"{row.name}\n{row.note}" if row.note else row.name
        points.setdefault(row.cells[0].text, []).append([named, *(texts[i] for i in shown)])
    headings = ["Scheme", *short]
    lines = [headings, *(line for lines in points.values() for line in lines)]
    widths = [
        max(len(part) for line in lines for part in line[i].split("\n"))
        for i in range(len(headings))
    ]
    parts: list[RenderableType] = []
    for name, rows in points.items():
        parts.append(Text(name, style="bold"))
        parts.append(_point_table(headings if not parts[1:] else None, rows, widths))
    said = twins.sentence(twins.sweep_remark(results)).strip()
    return Group(*parts, *([Text(said, style="dim")] if said else []))


def _point_table(
    headings: Sequence[str] | None, rows: Sequence[Sequence[str]], widths: Sequence[int]
) -> Table:
    """Return the rows of a point in columns of these widths, below headings or without any."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD, show_header=headings is not None, show_edge=False, pad_edge=True
    )
    for index, width in enumerate(widths):
        heading = Text(headings[index]) if headings else Text("")
        justify: Literal["left", "right"] = "right" if index else "left"
        table.add_column(heading, min_width=width, justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _unfair(results: Mapping[str, Any]) -> bool:
    """Return whether clients took part unequally somewhere."""
    entries = [e for point in results["points"] for e in point["schemes"].values()]
    return any(read(entry.get("fairness")).median not in (None, 1.0) for entry in entries)


_SHORT = {
    "rounds_to_target": "Rounds",
    "time_to_target_s": "Time",
    "energy_to_target_j": "Energy",
    "final_loss": "Final\nloss",
    "final_perplexity": "Perplex-\nity",
    "preference_accuracy": "Pref.\nacc. [%]",
    "mse_db": "Error\n[dB]",
    "fairness": "Fair-\nness",
}
