"""The study in a few lines, for the first page of the project."""

from __future__ import annotations

from airtune.report.style import scheme_style
from airtune.report.values import MISSING
from studies import phrases
from studies.claims import ANY, DIGITAL, PLACES, Measured
from studies.markdown import markdown_table


def summary(points: list[Measured]) -> str:
    """Return what movable antennas save against the fixed array, the best and digital."""
    rows = []
    for place in points:
        if (place.point.section, place.point.name) not in PLACES:
            continue
        for whom in ("fixed", ANY, DIGITAL):
            cells = [_saved(place, quantity, whom) for quantity in ("time", "energy")]
            label = whom if whom == ANY else scheme_style(whom).label
            rows.append([place.point.section, label, *cells])
    return markdown_table(["Scenario", "Against", "Time saved", "Energy saved"], rows, left=2)


def _saved(place: Measured, quantity: str, whom: str) -> str:
    saving = place.against(quantity, whom)
    if saving is None:
        return MISSING
    named = f"{scheme_style(saving.baseline).label}: " if whom == ANY else ""
    return named + phrases.percent(saving)
