"""The chapters on perplexity and fairness when few of the clients transmit together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from airtune.report.style import scheme_style
from airtune.report.values import MISSING, significant
from airtune.study.outcomes import REFERENCE
from airtune.study.statistics import quantiles
from studies import phrases, pictures, sections, tables
from studies.markdown import listed, markdown_figure, markdown_table
from studies.points import Point

Known = dict[str, tables.Counted]
"""What there is to compare, by point."""


def small_model(options: sections.Options) -> Known:
    """Return the cells of the table on the small LLaMA."""
    return {p.name: tables.counted(p, options.results) for p in sections.perplexity(options)}


def chapter(options: sections.Options, docs: Path) -> str:
    """Return tables, comparisons and figures of both models."""
    small = list(sections.perplexity(options))
    real = list(sections.real_model(options))
    known = {p.name: tables.counted(p, options.results) for p in real}
    parts = []
    title = "Perplexity at round 30: the small LLaMA"
    shown = small_model(options)
    if any(c.cells for c in shown.values()):
        parts += [f"## {title}\n", _SMALL, *_tables(shown), *_told_apart(shown, _NOT_THE_AIR)]
        parts += [_JAIN, *_fairness(shown)]
        parts.append(markdown_figure(_figure(shown, small[0], docs), title))
    title = "Perplexity at round 30: SmolLM2-135M on Alpaca"
    if any(c.cells for c in known.values()):
        parts += [f"## {title}\n", _REAL, *_tables(known), *_told_apart(known, _CHANCE)]
        parts += ["Jain's index, as above:\n", *_fairness(known)]
        parts.append(markdown_figure(_figure(known, real[0], docs, start=True), title))
    return "\n".join(parts)


_SMALL = """\
K of ten clients transmit together, chosen by proportional fairness.  Each scheme has a step size of
its own at each K ([which](#step-sizes)).
"""

_REAL = """\
A first look at a real model, not a study: one seed, 32 records to evaluate on, batches of 2, the
same kind of records at every client (iid), the step size 0.001 for every scheme, and weights read
from a 4-bit (Q4_1) file.
"""


def _heading(k: str) -> str:
    return k.replace("k-", "K = ")


def _tables(known: Known) -> Iterator[str]:
    known = {k: counted for k, counted in known.items() if counted.cells}
    names = list(dict.fromkeys(name for counted in known.values() for name in counted.cells))
    yield from _which_seeds(known)
    rows = []
    for name in names:
        cells = [_perplexities(counted, name) for counted in known.values()]
        rows.append([scheme_style(name).label, *(c or MISSING for c in cells)])
    yield markdown_table(["Scheme", *map(_heading, known)], rows)
    for k, counted in known.items():
        yield from _against_best(k, counted)
    yield ""


def _which_seeds(known: Known) -> Iterator[str]:
    """Say which seeds are counted, once for all K that have the same."""
    alike: dict[str, list[str]] = {}
    for k, counted in known.items():
        alike.setdefault(phrases.which_seeds(counted), []).append(k[2:])
    for text, ks in alike.items():
        yield f"K = {listed(ks)}.  {text}"


def _perplexities(counted: tables.Counted, name: str) -> str:
    values = tables.perplexity_of(counted.cells).values.get(name, {})
    if not values:
        return ""
    # A column mixes no seed sets unless it has to: then every entry says how many it is of.
    count = "" if counted.complete else f" (n = {len(values)})"
    return phrases.spread(list(values.values()), lambda x: significant(x, 4)) + count


def _against_best(k: str, counted: tables.Counted) -> Iterator[str]:
    """Compare the proposal with the best non-movable scheme, without and with digital."""
    figure = tables.perplexity_of(counted.cells)
    alike: dict[tables.Saved, list[str]] = {}
    for excluded, what in ((tables.NOT_OVER_THE_AIR, "over the air"), ((), "of all")):
        saving = tables.against_best(figure, excluded)
        if saving is not None:
            alike.setdefault(saving, []).append(what)
    for saving, kinds in alike.items():
        label = scheme_style(saving.baseline).label
        yield (
            f"- {_heading(k)}, movable against the best non-movable scheme {listed(kinds)}, "
            f"{label}: {phrases.in_full(saving)}{phrases.sign_test(saving)}."
        )


_JAIN = """\
Jain's index of how often each client took part (1: all alike).  The scheduler looks at the mean
channel, which no antenna moves, so it chooses the same clients for all schemes; who truncates may
keep some of them silent ([selection.md](selection.md)).
"""


def _fairness(known: Known) -> Iterator[str]:
    """Show Jain's index; schemes that are alike everywhere share a row."""
    known = {k: counted for k, counted in known.items() if counted.cells}
    alike: dict[tuple[str, ...], list[str]] = {}
    for name in dict.fromkeys(name for counted in known.values() for name in counted.cells):
        row = tuple(
            phrases.spread(tables.fairness(c.cells[name])) if name in c.cells else MISSING
            for c in known.values()
        )
        alike.setdefault(row, []).append(name)
    rows = [[phrases.labels(schemes), *row] for row, schemes in alike.items()]
    yield markdown_table(["Scheme", *map(_heading, known)], rows)


_NOT_THE_AIR = "the error of the air is not what limits the perplexity there."
_CHANCE = (
    "with one seed such differences are chance, and the air makes none that can be measured here."
)


def _told_apart(known: Known, conclusion: str) -> Iterator[str]:
    """Say how far the schemes lie apart, and whether the error-free reference is the best."""
    for k, counted in known.items():
        values = tables.perplexity_of(counted.cells).values
        medians = {n: quantiles(list(v.values()))["median"] for n, v in values.items()}
        finite = {n: x for n, x in medians.items() if x is not None}
        if len(finite) < 2:
            continue
        low, high = min(finite.values()), max(finite.values())
        text = (
            f"{_heading(k)}: all schemes end between {significant(low, 4)} and "
            f"{significant(high, 4)}, from {significant(_initial(counted), 4)} before fine-tuning."
        )
        better = [n for n in finite if REFERENCE in finite and finite[n] < finite[REFERENCE]]
        if better:
            text += f"  {phrases.labels(better)} ended below the error-free reference: {conclusion}"
        yield text + "\n"


def _initial(counted: tables.Counted) -> float:
    """Return the perplexity before fine-tuning."""
    first = [d["history"]["loss"][0] for seeds in counted.cells.values() for d in seeds.values()]
    return math.exp(median(first))


def _figure(known: Known, point: Point, docs: Path, start: bool = False) -> str:
    """Draw perplexity over the number of clients that transmit together; return its name."""
    lines: dict[str, list[tuple[float, ...]]] = {}
    for k, counted in known.items():
        for name, values in tables.perplexity_of(counted.cells).values.items():
            middle, low, high = quantiles(list(values.values())).values()
            if middle is not None:
                edges = (middle if x is None else x for x in (low, high))
                lines.setdefault(name, []).append((float(k[2:]), middle, *edges))
    columns = {name: tuple(zip(*rows, strict=True)) for name, rows in lines.items()}
    before = median(_initial(c) for c in known.values() if c.cells) if start else None
    title = "Clients that transmit together", "Perplexity at round 30"
    name = f"perplexity-{point.section}"
    return pictures.curves(docs, name, title[1], columns, *title, start=before)
