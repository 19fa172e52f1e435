"""What was planned for each scheme, how it went, and what limits the plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airtune.registry import PROPOSAL
from airtune.report.run_folder import RunFolder, SchemeRun
from airtune.report.sheet import Cell, Row, Sheet
from airtune.report.style import scheme_style
from airtune.report.values import MISSING, count, members, number, read, si, significant, total

_COLUMNS = (
    "Rounds planned",
    "Rounds done",
    "Time planned",
    "Time booked",
    "Energy planned",
    "Energy booked",
    "Bound on the loss gap",
    "Limited by",
)

_PARTS = {
    "initial_gap": "what is left of the initial gap",
    "shift": "the shift between pre-training and the clients' data",
    "batch_noise": "the noise of the batches",
    "air_noise": "the noise of the air",
    "bias": "bias",
}


_SHOWN = 0.005
"""Least share of a bound that is named."""


def plan_rows(run: RunFolder) -> Sheet:
    """Return the plan of each finished scheme beside what it came to; medians over the seeds.

    Below the name of a scheme that was run by the plan of another one stands whose it is.  What
    limits a plan is that of the first seed.  Over seeds there are no totals of time and
    energy, whose columns are left out.
    """
    owner = PROPOSAL if run.results.get("scenario", {}).get("plan") == "shared" else ""
    rows = [row for scheme in run.schemes if (row := _row(scheme, owner)) is not None]
    shown = [
        index
        for index, heading in enumerate(_COLUMNS)
        if not heading.startswith(("Time", "Energy"))
        or any(row.cells[index].text != MISSING for row in rows)
    ]
    if not rows:
        return Sheet((), ())
    kept = [replace(row, cells=tuple(row.cells[index] for index in shown)) for row in rows]
    return Sheet(tuple(_COLUMNS[index] for index in shown), tuple(kept))


def _row(scheme: SchemeRun, owner: str) -> Row | None:
    entry = scheme.result or {}
    plan = entry.get("plan")
    if not isinstance(plan, Mapping):
        return None
    limits = (scheme.first_with("plan") or {}).get("limits") or ()
    said = ", ".join(str(limit).replace("_", " ") for limit in limits)
    cells = (
        _cell(read(plan.get("rounds")).median, count),
        _cell(read(entry.get("rounds")).median, count),
        _whole(plan.get("latency_s"), "s"),
        _whole(entry.get("latency_s"), "s"),
        _whole(plan.get("energy_j"), "J"),
        _whole(entry.get("energy_j"), "J"),
        _cell(read(plan.get("bound")).median, significant),
        Cell(said or MISSING),
    )
    label = scheme_style(scheme.name).label
    whose = "" if owner in ("", scheme.name) else f"plan of {scheme_style(owner).label}"
    return Row(scheme.name, label, cells, whose)


def _whole(split: Any, unit: str) -> Cell:
    """Return the sum of components; none over seeds, where medians of parts do not add up to it."""
    parts = members(split)
    if any(value.spread for value in parts.values()):
        return Cell(MISSING)
    return _cell(total(parts), lambda x: si(x, unit))


def _cell(value: float | None, write: Any) -> Cell:
    return Cell(MISSING if value is None else write(value))


def plan_notes(run: RunFolder) -> list[str]:
    """Say of which parts the bound of each plan consists, the largest first, once for each plan."""
    said: dict[str, list[str]] = {}
    for scheme in run.schemes:
        bound = (scheme.first_with("plan") or {}).get("bound")
        if not isinstance(bound, Mapping):
            continue
        parts = {name: number(bound.get(name)) for name in _PARTS}
        known = sorted(((x, name) for name, x in parts.items() if x), reverse=True)
        whole = sum(x for x, _ in known)
        if whole > 0:
            large = [(x, name) for x, name in known if x >= _SHOWN * whole]
            text = ", ".join(f"{100 * x / whole:.0f}\u00a0% {_PARTS[name]}" for x, name in large)
            said.setdefault(text, []).append(scheme_style(scheme.name).label)
    several = any(len(s.seeds) > 1 and s.first_with("plan") for s in run.schemes)
    notes = [f"The bound of {', '.join(names)} is made of {text}." for text, names in said.items()]
    if several:
        notes.append(
            "What limits a plan and makes up its bound is that of the first seed; the other "
            "figures are medians over the seeds."
        )
    return notes
