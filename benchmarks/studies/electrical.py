"""The same schemes in electrical books, with movement beside computing, and in the books before."""

from __future__ import annotations

from collections.abc import Mapping

from airtune.report.style import scheme_style
from airtune.report.values import MISSING
from airtune.study.outcomes import PROPOSAL
from studies import components, headline, phrases, sections, tables
from studies.claims import ANY, DIGITAL, Measured
from studies.markdown import markdown_table
from studies.points import Point

DEFAULT = "movable, by default"
LABELS = {DEFAULT: "Movable, when needed", PROPOSAL: "Movable, each round"}
"""Rows of movable antennas in the tables of components."""
BEFORE = {"selection": sections.SELECTION}
"""What a scheme's cells in the books before stand under, where it had another name."""


def chapter(options: sections.Options, claimed: list[Measured]) -> str:
    """Return time and energy in both books, and the components of the new ones."""
    points = {p.name: _measured(p, options) for p in sections.electrical(options)}
    before = {m.point.section: m for m in claimed if m.point.name == "shared-plan"}
    if sections.RADIATED in points:
        before["dense-cell"] = points.pop(sections.RADIATED)
    moved = {m.point.name: m.outcomes[PROPOSAL] for m in headline.measured(options)}
    parts = []
    for name, place in points.items():
        if "movable" not in place.outcomes:
            continue
        old = before.get(name)
        table = _both(place, old)
        seeds = phrases.which_seeds(place.counted)
        parts += [f"### {name}, electrical\n", seeds, table, *_savings(place, old)]
        shown = _with_default(place, moved.get(name, {}))
        parts += [_parts(shown)]
        parts += [components.component_table(shown, q, LABELS) for q in ("time", "energy")]
    return "\n".join([_CHAPTER, *parts]) if parts else ""


def _with_default(place: Measured, seeds: Mapping[int, tables.Outcome]) -> tables.Outcomes:
    """Return the outcomes with movable antennas by the default policy besides, if it was run."""
    shown: dict[str, Mapping[int, tables.Outcome]] = {}
    for scheme, found in place.outcomes.items():
        if scheme == PROPOSAL and seeds:
            shown[DEFAULT] = seeds
        shown[scheme] = found
    return shown


def _parts(outcomes: tables.Outcomes) -> str:
    """Say what the tables of components are, and why none of the time is of movement."""
    text = (
        "By component, medians to the target; medians of components need not add up to that of "
        "all. *Pilots* include the reports of the scales."
    )
    every = [o for seeds in outcomes.values() for o in seeds.values()]
    if not any(o.parts_s.get("movement") for o in every):
        text += (
            " Movement takes no time in any of these cells: antennas move while the clients "
            "compute, and every way ended before computing did."
        )
    return f"{text}\n"


def _measured(point: Point, options: sections.Options) -> Measured:
    counted = tables.counted(point, options.results)
    return Measured(point, counted, tables.outcomes(counted.cells))


def _both(place: Measured, old: Measured | None) -> str:
    """Write time and energy to target of each scheme in both books."""
    rows = []
    for scheme, seeds in place.outcomes.items():
        earlier = _earlier(old, scheme)
        rows.append(
            [
                scheme_style(scheme).label,
                *(
                    phrases.spread([getattr(o, name) for o in found.values()]) if found else MISSING
                    for name in ("seconds", "joules")
                    for found in (seeds, earlier)
                ),
            ]
        )
    columns = ["Scheme", "Time to target [s]", "before", "Energy to target [J]", "before"]
    return markdown_table(columns, rows)


def _earlier(old: Measured | None, scheme: str) -> dict[int, tables.Outcome]:
    if old is None:
        return {}
    return old.outcomes.get(scheme) or old.outcomes.get(BEFORE.get(scheme, scheme), {})


def _savings(place: Measured, old: Measured | None) -> list[str]:
    """Write what movable antennas save in both books."""
    rows = []
    others = [s for s in place.outcomes if s not in ("ideal", "movable", DIGITAL)]
    for whom in (*others, ANY, DIGITAL):
        cells = []
        for quantity in ("time", "energy"):
            cells.append(phrases.percent(place.against(quantity, whom)))
            former = whom if old and whom in old.outcomes else BEFORE.get(whom, whom)
            cells.append(phrases.percent(old.against(quantity, former) if old else None))
        label = whom if whom == ANY else scheme_style(whom).label
        rows.append([label, *cells])
    columns = ["Against", "Time saved", "before", "Energy saved", "before"]
    return [f"{_SAVED}\n", markdown_table(columns, rows)]


_SAVED = "Saved by movable antennas that move in each round (by default: [in short](#in-short)):"
_CHAPTER = """\
## Electrical energy, and movement beside computing

[What a round costs](energy.md): electrical energy of every part (hardware profile
`small-cell`), antennas that move while clients compute, scale reports in one joint message, pilots
that each array needs, and a `selection` whose ports lie over the whole region.  Movable antennas
move in each round, but for the rows *when needed*, which have the default policy.  The cells are
the lines of `benchmarks/results/study/electrical.jsonl`, those of other policies of
`policies.jsonl` beside it (`python benchmarks/study.py --sections electrical policies`).
Channels, data and step sizes are as before; dense-cell has one step size for all schemes. *Before*
are the books of [the first study](results-radiated.md): radiated energy, movement before computing,
reports one after the other (*Selection* was *Selection, compact* there, except in dense-cell).
Plans follow the books, so batches and clocks differ.  Cells of movable antennas were run anew with
the present search for places; those of the other schemes are older: run again in the first seed,
they had the same losses.

This was decided after the results of the first study had been seen, in which movable antennas take
more energy than most: the old books charged drives in full and amplifiers and circuits of the
others not at all.  The constants come from the literature and were not chosen by their outcome,
but who doubts the change compares the columns.  dense-cell was fixed before any of its results.
"""
