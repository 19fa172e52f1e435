"""What the unconfirmed powers of the hardware weigh in the study, at half and at double.

    python benchmarks/hardware.py            # the table of docs/energy.md, from the committed cells

The electronics change no learning and no time, and a time budget is the only one of these cells, so
energy at another power is booked exactly: the difference of the powers times the time that the base
station is on the air until the target.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

import manual
from airtune.costs import PROFILES, FrontEnd
from airtune.report.style import scheme_style
from airtune.scenario import Scenario
from studies import sections, tables
from studies.results import Results

ROOT = Path(__file__).parents[1]
FACTORS = (0.5, 1.0, 2.0)
UNCONFIRMED = {"selection": "switch_w", "ris": "surface_w"}
"""The setting of `radio.hardware` without a confirmed source, by the scheme that has it."""


def drawn_w(scenario: Scenario, scheme: str) -> float:
    """Return what the parts of the unconfirmed setting draw together [W]."""
    if scheme == "ris":
        return PROFILES["small-cell"].surface_w
    antennas = scenario.array.antennas
    front_end = FrontEnd(antennas, ports=antennas * scenario.array.selection_places)
    return PROFILES["small-cell"].switch_w * front_end.ports


def joules_at(outcome: tables.Outcome, watts: float, factor: float) -> float:
    """Return energy to target with `factor` times the `watts` that were booked [J].

    Infinite where the target was never reached.
    """
    if outcome.joules is None:
        return float("inf")
    on_air = sum(outcome.parts_s[name] for name in ("uplink", "downlink", "pilots"))
    return outcome.joules + (factor - 1.0) * watts * on_air


def rows(outcomes: tables.Outcomes, scenario: Scenario) -> Mapping[str, list[float]]:
    """Return the median energy to target of each scheme at each factor [J]."""
    found = {}
    for scheme in UNCONFIRMED:
        watts = drawn_w(scenario, scheme)
        seeds = outcomes[scheme].values()
        found[scheme] = [float(np.median([joules_at(o, watts, f) for o in seeds])) for f in FACTORS]
    return found


def table(results: Path) -> str:
    """Return the table of the manual."""
    options = sections.Options(Results(results), ROOT / ".cache")
    lines = []
    for point in sections.electrical(options):
        if point.name == sections.RADIATED:
            continue
        outcomes = tables.outcomes(tables.counted(point, options.results).cells)
        movable = [joules_at(o, 0.0, 1.0) for o in outcomes["movable"].values()]
        for scheme, joules in rows(outcomes, point.scenario).items():
            shown = [f"{x:.3g} J" for x in (*joules, float(np.median(movable)))]
            lines.append([point.name, scheme_style(scheme).label, *shown])
    columns = ["scenario", "scheme", "half", "as booked", "double", "movable"]
    return "\n".join(manual.table(columns, lines, 2))


def main() -> None:
    """Write the table."""
    results = ROOT / "benchmarks" / "results" / "study"
    manual.put(ROOT / "docs" / "energy.md", "unconfirmed hardware", f"\n{table(results)}\n")


if __name__ == "__main__":
    main()
