"""The study in a few lines, for the first page of the project."""

from __future__ import annotations

from airtune.report.style import scheme_style
from studies import phrases
from studies.claims import ANY, DIGITAL, PLACES, Measured
from studies.markdown import listed, markdown_table
from studies.movement import saved


def summary(points: list[Measured]) -> str:
    """Return what movable antennas save against the fixed array, the best and digital."""
    rows, seeds = [], []
    for place in points:
        if (place.point.section, place.point.name) not in PLACES:
            continue
        for whom in ("fixed", ANY, DIGITAL):
            cells = [saved(place, quantity, whom) for quantity in ("time", "energy")]
            label = whom if whom == ANY else scheme_style(whom).label
            rows.append([place.point.section, label, *cells])
        seeds.append(f"{phrases.numbers(place.counted.seeds)} of {place.point.section}")
    table = markdown_table(["Scenario", "Against", "Time saved", "Energy saved"], rows, left=2)
    return f"{table}\nOf {listed(seeds)}.\n"
