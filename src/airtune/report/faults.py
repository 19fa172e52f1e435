"""What went wrong, as a table for the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airtune.registry import REFERENCE
from airtune.report.sheet import Cell, Row, Sheet, figure_cell
from airtune.report.style import scheme_style
from airtune.report.values import (
    MISSING,
    Value,
    count,
    decimals,
    members,
    number,
    read,
    significant,
)

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
    ("poison_bias", "Bias of poisoned clients", significant),
    ("bias", "Bias of the bound", significant),
)

_SECTIONS = {
    "dropout": "dropouts",
    "stragglers": "stragglers",
    "antennas": "antennas",
    "synchronisation": "phase or timing errors",
    "amplifier": "clipping",
    "jammer": "jammer",
    "broadcast": "lost broadcasts",
    "side_information": "wrong reports or channels",
    "restart": "restarts",
}
"""What goes wrong where a section of the settings `faults` is on."""


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


def fault_table(results: Mapping[str, Any]) -> list[list[str | float | None]]:
    """Return the rows of :func:`fault_rows` as numbers, for a spreadsheet; the first has names.

    Parameters
    ----------
    results : mapping
        The results document.

    Examples
    --------
    >>> fault_table({"schemes": {"movable": {"faults": {"cut": 3, "participation": 0.9}}}})
    [['scheme', 'participation', 'cut'], ['movable', 0.9, 3.0]]
    """
    schemes: Mapping[str, Mapping[str, Any]] = results.get("schemes") or {}
    told = {name: members(entry.get("faults")) for name, entry in schemes.items()}
    told = {name: figures for name, figures in told.items() if figures}
    keys = [key for key, _, _ in _COLUMNS if any(key in figures for figures in told.values())]
    rows: list[list[str | float | None]] = [
        [name, *(figures[key].median if key in figures else None for key in keys)]
        for name, figures in told.items()
    ]
    return [["scheme", *keys], *rows] if rows else []


def fault_sentences(results: Mapping[str, Any]) -> list[str]:
    """Say what was set to go wrong, and whose target it is; nothing without faults.

    Parameters
    ----------
    results : mapping
        The results document.

    Examples
    --------
    >>> faults = {"dropout": {"share": 0.3}, "amplifier": {"clip_db": 3.0}, "poison": {}}
    >>> scenario = {"scenario": {"faults": faults}}
    >>> fault_sentences(scenario)
    ['Faults in this run: dropouts, clipping (at 3 dB, in every round).']
    >>> fault_sentences({**scenario, "target_loss": 0.9})[1]
    'The target is that of ideal under the same faults, as far as they need no radio.'
    """
    settings: Mapping[str, Any] = (results.get("scenario") or {}).get("faults") or {}
    on = [words for name, words in _SECTIONS.items() if _is_on(settings.get(name) or {})]
    limit = number((settings.get("amplifier") or {}).get("clip_db"))
    if limit is not None:
        at = on.index("clipping")
        on[at] = f"clipping (at {limit:g} dB, in every round)"
    poison = settings.get("poison") or {}
    poisoned = poison.get("kind", "none") != "none" and bool(poison.get("share"))
    said = [f"Faults in this run: {', '.join(on)}."] if on else []
    if (on or poisoned) and read(results.get("target_loss")).known:
        whose = {(True, False): "faults", (False, True): "poisoned clients"}.get(
            (bool(on), poisoned), "faults and poisoned clients"
        )
        radio = ", as far as they need no radio" if on else ""
        with_or_under = "with the same" if poisoned else "under the same"
        said.append(f"The target is that of {REFERENCE} {with_or_under} {whose}{radio}.")
    return said


_SWITCHES = (
    *("share", "csi_share", "stuck", "dead", "position_error", "backlash"),
    *("phase_deg", "timing"),
)
"""Settings of which one above 0 switches its section on."""


def _is_on(section: Mapping[str, Any]) -> bool:
    limited = section.get("clip_db") is not None
    return limited or any((number(section.get(name)) or 0.0) > 0 for name in _SWITCHES)


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
