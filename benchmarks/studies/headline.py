"""The study in one figure, one table and a few sentences: for busy readers, and the first page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from airtune.report.style import scheme_style
from airtune.report.values import MISSING, decimals
from airtune.study.outcomes import PROPOSAL, REFERENCE
from studies import phrases, pictures, sections, tables
from studies.claims import DIGITAL, Measured
from studies.markdown import listed, markdown_figure, markdown_table

POLICY = "when-needed"
"""How movable antennas move here: the default."""
AGAINST = (DIGITAL, "fixed", "selection", "fixed-2n")
NAMES = {
    DIGITAL: "digital transmission of as many bits as its plan finds best",
    "fixed": "the same antennas, fixed",
    "selection": "as many antennas chosen among ports over the same region",
    "fixed-2n": "twice as many antennas, fixed",
}
QUANTITIES = ("time", "energy")


def measured(options: sections.Options) -> list[Measured]:
    """Return the scenarios in electrical books, with antennas that move by the default policy."""
    moving = {point.name: point for point in sections.policies(options)}
    places = []
    for point in sections.electrical(options):
        own = moving.get(f"{point.name}: {POLICY}")
        counted = tables.counted(point, options.results)
        cells = tables.counted(own, options.results).cells.get(PROPOSAL, {}) if own else {}
        if cells and REFERENCE in counted.cells:
            counted = replace(counted, cells={**counted.cells, PROPOSAL: cells})
            places.append(Measured(point, counted, tables.outcomes(counted.cells)))
    return places


def ceiling(place: Measured, quantity: str, whom: str) -> tables.Saved | None:
    """Return what the reference saves, which has no radio at all: nothing can save more."""
    outcomes = {**place.outcomes, PROPOSAL: place.outcomes[REFERENCE]}
    return replace(place, outcomes=outcomes).against(quantity, whom)


def table(places: Sequence[Measured], page: str = "") -> str:
    """Return what movable antennas save, with ceilings; names link to chapters of a page."""
    rows = []
    for place in places:
        name = place.point.name
        for whom in AGAINST:
            cells = []
            for quantity in QUANTITIES:
                cells.append(phrases.percent(place.against(quantity, whom)))
                cells.append(_middle(ceiling(place, quantity, whom)))
            rows.append([f"[{name}]({page}#{name}-electrical)", scheme_style(whom).label, *cells])
    columns = ["Scenario", "Against", "Time saved", "at most", "Energy saved", "at most"]
    seeds = {name for place in places for name in [phrases.numbers(place.counted.seeds)]}
    return f"{markdown_table(columns, rows, left=2)}\nOf {listed(sorted(seeds))}.\n"


def chapter(places: Sequence[Measured], docs: Path) -> str:
    """Return the first page: what was asked, a figure, the table, and sentences made from it."""
    if not places:
        return ""
    title = "What movable antennas save until the target is reached"
    drawn = [
        (p.point.name, [(scheme_style(w).label, *_drawn(p, w)) for w in AGAINST]) for p in places
    ]
    name = pictures.savings(docs, "saved", title, drawn)
    said = "\n".join(f"- {sentence}" for sentence in sentences(places))
    return "\n".join([_CHAPTER, markdown_figure(name, title), table(places), said])


def sentences(places: Sequence[Measured]) -> Iterator[str]:
    """Yield what the table says of each opponent over the scenarios, and of the ceilings."""
    for whom in AGAINST:
        parts, most = [], []
        for quantity in QUANTITIES:
            found = [_percent(place.against(quantity, whom)) for place in places]
            bound = [_percent(ceiling(place, quantity, whom)) for place in places]
            parts.append(f"{_ends(found)} of the {quantity}")
            most.append(_ends(bound))
        yield (
            f"**Against {NAMES[whom]}**: {parts[0]} and {parts[1]} are saved (without any radio: "
            f"{most[0]} and {most[1]})."
        )


def _drawn(place: Measured, whom: str) -> list[tuple[float, float, float, float] | None]:
    """Return median, 10 and 90 % and the ceiling of time and of energy; None without a median."""
    drawn: list[tuple[float, float, float, float] | None] = []
    for quantity in QUANTITIES:
        saving, bound = place.against(quantity, whom), _percent(ceiling(place, quantity, whom))
        ends = [saving.quantiles[name] for name in ("median", "p10", "p90")] if saving else [None]
        known = [x for x in (*ends, bound) if x is not None]
        drawn.append((known[0], known[1], known[2], known[3]) if len(known) == 4 else None)
    return drawn


def _percent(saving: tables.Saved | None) -> float | None:
    return saving.quantiles["median"] if saving else None


def _middle(saving: tables.Saved | None) -> str:
    middle = _percent(saving)
    return MISSING if middle is None else f"{decimals(middle, 1)} %"


def _ends(values: Sequence[float | None]) -> str:
    """Write the least and the most of several percentages: 15 to 29 %; below 0 is taken more.

    >>> _ends([15.2, 28.9]), _ends([-3.1, 2.0]), _ends([7.0]), _ends([None])
    ('15 to 29 %', '−3 to 2 %', '7 %', '–')
    """
    known = sorted(x for x in values if x is not None)
    if not known:
        return MISSING
    ends = list(dict.fromkeys(decimals(x, 0) for x in (known[0], known[-1])))
    return f"{' to '.join(ends)} %"


_CHAPTER = """\
## In short

What movable antennas save of the simulated time and electrical energy until a model has learnt 90 %
of what it learns without errors of the air: medians over the seeds, in brackets (in the figure:
lines) 10 to 90 %; negative: they take more.  *At most* (in the figure: open marks) is what a scheme
without any radio would save, whose clients only compute.  Movable antennas move
[when needed](planning.md#what-a-way-is-worth), the default; that it is the default was decided by
these cells, by a rule written down before ([movement policies](#movement-policies)), so a part of
what it gains over moving in every round may be luck.  All schemes share one plan, made for movable
antennas.  The cells are in `benchmarks/results/study/electrical.jsonl`, those of movable antennas
in `policies.jsonl` beside it; names of scenarios link to time and energy by component.
"""
