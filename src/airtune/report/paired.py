"""Paired differences over seeds as a table for the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airtune.report.sheet import Cell, Row, Sheet, range_text
from airtune.report.style import scheme_style
from airtune.report.values import MISSING, decimals, number, si, significant

_FIGURES = (
    ("Final loss", "final_loss", lambda x: decimals(x, 3)),
    ("Time to target", "time_to_target_s", lambda x: si(x, "s")),
    ("Energy to target", "energy_to_target_j", lambda x: si(x, "J")),
)


def paired_rows(results: Mapping[str, Any]) -> Sheet:
    """Return each scheme's differences to the baseline: median, its interval, and the sign test.

    Parameters
    ----------
    results : mapping
        The document of ``airtune compare --json``; without `paired` there are no rows.
    """
    paired = results.get("paired") or {}
    rows = []
    for name, figures in (paired.get("schemes") or {}).items():
        cells: list[Cell] = []
        for _, key, write in _FIGURES:
            entry = figures.get(key)
            cells.append(_difference(entry, write) if entry else Cell(MISSING))
            p = number((entry or {}).get("sign_test_p"))
            cells.append(Cell(MISSING if p is None else significant(p, 2)))
        rows.append(Row(name, scheme_style(name).label, tuple(cells)))
    headings = [part for title, *_ in _FIGURES for part in (title, "p")]
    return Sheet(tuple(headings), tuple(rows))


def paired_caption(results: Mapping[str, Any]) -> str:
    """Return what the table shows."""
    paired = results.get("paired") or {}
    label = scheme_style(str(paired.get("baseline", ""))).label
    coverage = next(
        (
            entry["interval"]["coverage"]
            for figures in (paired.get("schemes") or {}).values()
            for entry in figures.values()
        ),
        0.0,
    )
    percent = decimals(100 * coverage, 1).removesuffix(".0")
    return (
        f"Scheme minus {label}, seed by seed on the same channels, data and batches: median, its "
        f"{percent} % interval below unless both its ends read as the median does, and p of the "
        "two-sided sign test"
    )


def _difference(entry: Mapping[str, Any], write: Any) -> Cell:
    ends = [number(entry["interval"][name]) for name in ("low", "high")]
    middle = number(entry.get("median"))
    spread = range_text(middle, (ends[0], ends[1]), write)
    return Cell("never" if middle is None else write(middle), spread)
