"""What went wrong, as a table for the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airtune.report.sheet import Cell, Row, Sheet, figure_cell
from airtune.report.style import scheme_style
from airtune.report.values import MISSING, Value, count, decimals, members, significant

_COLUMNS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("participation", "Participation [%]", lambda x: decimals(100 * x, 1)),
    ("left_out", "Dropped before the upload", count),
    ("cut", "Dropped during the upload", count),
    ("slow", "Slow", count),
    ("late", "Left out at the deadline", count),
    ("stale", "Without the broadcast", count),
    ("wrong_reports", "Wrong reports", count),
    ("outdated_csi", "Outdated channels", count),
    ("jammed", "Rounds with the jammer", count),
    ("restarted", "Rounds done twice", count),
    ("dead_antennas", "Dead antennas", count),
    ("stuck_antennas", "Stuck antennas", count),
    ("out_of_place_rms", "Antennas off [λ]", significant),
    ("phase_rms_deg", "Phase error [°]", significant),
    ("timing_rms", "Timing error [symbols]", significant),
    ("bias", "Bias of the bound", significant),
)


def fault_rows(results: Mapping[str, Any]) -> Sheet:
    """Return how often each fault met each scheme; no rows without faults.

    Parameters
    ----------
    results : mapping
        The results document.
    """
    schemes: Mapping[str, Mapping[str, Any]] = results.get("schemes") or {}
    told = {name: members(entry.get("faults")) for name, entry in schemes.items()}
    told = {name: figures for name, figures in told.items() if figures}
    shown = [c for c in _COLUMNS if any(c[0] in figures for figures in told.values())]
    rows = [
        Row(
            name,
            scheme_style(name).label,
            tuple(
                figure_cell(figures.get(key, Value(None)), write, Cell(MISSING))
                for key, _, write in shown
            ),
        )
        for name, figures in told.items()
    ]
    return Sheet(tuple(title for _, title, _ in shown), tuple(rows))


def fault_words(entry: Mapping[str, Any]) -> str:
    """Return in one line what went wrong in a scheme's rounds; empty without faults.

    Parameters
    ----------
    entry : mapping
        A scheme of the results document.

    Examples
    --------
    >>> fault_words({"faults": {"left_out": 12, "participation": 0.8, "bias": 0.02}})
    'participation 80.0 %, dropped before the upload 12, bias of the bound 0.0200'
    """
    figures = members(entry.get("faults"))
    said = []
    for key, title, write in _COLUMNS:
        median = figures[key].median if key in figures else None
        if median is not None:
            words, _, unit = title.partition(" [")
            text = f"{words[0].lower()}{words[1:]} {write(median)}"
            said.append(f"{text} {unit.rstrip(']')}" if unit else text)
    return ", ".join(said)
