"""docs/results.md from the finished cells: the same cells give the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from airtune.report.style import scheme_style
from airtune.report.values import MISSING, decimals, significant
from airtune.statistics import difference, paired, quantiles
from airtune.study import PROPOSAL, REFERENCE
from studies import chapters, pictures, sections, tables
from studies.cells import Document, Point, load
from studies.markdown import markdown_table

TITLE = "# Results of the study\n"
INTRODUCTION = """\
Written by `python benchmarks/study.py --write-docs` from the cells in
`benchmarks/results/study`; the whole study runs again by `python benchmarks/study.py`.  The
scenarios were fixed, with reasons, before their results were seen
([paper-v1](../src/airtune/scenarios/paper-v1.yaml),
[paper-v2](../src/airtune/scenarios/paper-v2.yaml),
[cell-edge](../src/airtune/scenarios/cell-edge.yaml)). Time and energy are simulated.  All
schemes of a seed meet the same channels, data and batches.  Figures are medians over the seeds,
with 10 to 90 % in brackets.  The target loss of a seed is its initial validation loss minus 90 %
of the improvement that the error-free reference reaches.
"""


def write(options: sections.Options, docs: Path) -> Path:
    """Write DOCS/results.md and DOCS/figures/study/; return the page's path."""
    page = docs / "results.md"
    (docs / "figures").mkdir(parents=True, exist_ok=True)
    parts = [TITLE, INTRODUCTION, _state(options), _step_sizes(options)]
    parts += [_claims(options), _perplexities(options, docs)]
    parts += [chapters.regimes(options, docs), chapters.privacy(options, docs)]
    page.write_text("\n".join(part for part in parts if part), encoding="utf-8")
    return page


def _state(options: sections.Options) -> str:
    """Say which cells are missing."""
    lines, whole = [], True
    options = replace(options, untuned=True)
    for name in sections.SECTIONS:
        found = [(c, load(c, options.results)) for c in sections.cells(options, [name])]
        missing = [c for c, document in found if document is None]
        whole = whole and not missing
        if missing:
            points = sorted({f"{c.point.section}/{c.point.name}" for c in missing})
            told = ", ".join(points[:4]) + (f" and {len(points) - 4} more" if points[4:] else "")
            lines.append(f"- {name}: {len(missing)} of {len(found)} missing ({told})")
        else:
            lines.append(f"- {name}: all {len(found)} cells")
    said = "Every cell is there." if whole else "Some cells are missing:"
    return "## Which cells are there\n\n" + said + "\n\n" + "\n".join(lines) + "\n"


def _step_sizes(options: sections.Options) -> str:
    rule = (
        "## Step sizes\n\nEvery scheme has its own in every scenario: of "
        f"{', '.join(f'{x:g}' for x in sections.GRID)} that of the least final validation loss, "
        "and further ones while the best is at the edge, on a seed that no other cell uses "
        "(paper-v2: with four clients at a time).\n\n"
    )
    chosen = {name: sections.tuned(options, name) for name in sections.SCENARIOS}
    names = [s for s in options.schemes() if any(s in rates for rates in chosen.values())]
    rows = [
        [
            scheme_style(s).label,
            *(f"{rates[s]:g}" if s in rates else MISSING for rates in chosen.values()),
        ]
        for s in names
    ]
    return rule + markdown_table(["Scheme", *chosen], rows) if rows else ""


def spread(figures: Document, digits: int = 3) -> str:
    """Write median and range."""
    middle = figures["median"]
    if middle is None:
        return (
            "never"
            if figures["p10"] is None
            else f"never ({significant(figures['p10'], digits)} at best)"
        )
    text = significant(middle, digits)
    low, high = figures["p10"], figures["p90"]
    if low == middle == high:
        return text
    return f"{text} ({_or_never(low, digits)} to {_or_never(high, digits)})"


def _or_never(value: float | None, digits: int) -> str:
    return "never" if value is None else significant(value, digits)


def percent(figures: Document, bound: bool = False) -> str:
    """Write a saving; a lower bound says so, and a saving that was not made has none."""
    middle, low, high = figures["median"], figures["p10"], figures["p90"]
    if middle is None:
        return MISSING
    if bound and middle <= 0:
        return "baseline never there"
    text = f"{decimals(middle, 1)} %"
    if low != high:
        ends = [MISSING if x is None else decimals(x, 1) for x in (low, high)]
        text += f" ({' to '.join(ends)})"
    return f"at least {text}" if bound else text


def _claims(options: sections.Options) -> str:
    parts = [f"## Time and energy to target\n\n{_CLAIMS}"]
    for point in sections.claims(options):
        cells = tables.histories(point, options.results)
        if cells:
            parts += _claim(point, options)
    return "\n".join(parts) if len(parts) > 1 else ""


_CLAIMS = """\
Aligned sums are forced: unbiased, and the weakest client sets the scale.  With capped powers,
a table of its own, a client too weak to align sends at full power instead.
"""


def _claim(point: Point, options: sections.Options) -> Iterator[str]:
    cells = tables.histories(point, options.results)
    found = tables.outcomes(cells)
    rows = []
    for name, seeds in found.items():
        outcomes = list(seeds.values())
        against = None if name in (PROPOSAL, REFERENCE) else tables.saving(found, name)
        errors = [o.mse for o in outcomes if o.mse is not None]
        rows.append(
            [
                scheme_style(name).label,
                str(len(outcomes)),
                spread(quantiles([o.rounds for o in outcomes])),
                spread(quantiles([o.seconds for o in outcomes])),
                spread(quantiles([o.joules for o in outcomes])),
                spread(quantiles([o.loss for o in outcomes])),
                spread(quantiles(errors), 2) if errors else MISSING,
                percent(against.faster, against.bound) if against else MISSING,
                percent(against.less_energy, against.bound) if against else MISSING,
            ]
        )
    yield f"### {point.section}, {point.name.replace('-', ' ')}\n"
    columns = ["Scheme", "Seeds", "Rounds", "Time [s]", "Energy [J]", "Final loss"]
    columns += ["Error (relative)", "movable faster", "movable less energy"]
    yield markdown_table(columns, rows)
    yield from _verdict(found)
    for name, why in tables.infeasible(point, options.results).items():
        yield f"{scheme_style(name).label}: cannot take part: {why}\n"


def _verdict(found: tables.Outcomes) -> Iterator[str]:
    """Say what became of the aims, in sentences."""
    digital = tables.saving(found, "digital")
    if digital is not None:
        yield f"Against digital (aims: 97 % faster, 95 % less energy): {_told(digital)}.\n"
    for excluded, what in (
        ((), "any hardware"),
        (tables.MORE_HARDWARE, "no more than the same N antennas"),
    ):
        best = tables.best_competitor(found, excluded)
        against = None if best is None else tables.saving(found, best)
        if best is not None and against is not None:
            label = scheme_style(best).label
            yield (
                f"Against the best non-movable scheme over the air with {what}, {label} "
                f"(aims at the cell edge: 60 % faster, 50 % less energy): {_told(against)}.\n"
            )


def _told(saving: tables.Saving) -> str:
    if saving.faster["median"] is None:
        return "movable antennas did not reach the target in half of the seeds"
    faster = percent(saving.faster, saving.bound)
    test, seeds = saving.seconds["sign_test_p"], len(saving.seconds["differences"])
    told = (
        ""
        if test is None or seeds < 2
        else f"; sign test of the paired times: p = {significant(test, 2)}"
    )
    return f"{faster} faster with {percent(saving.less_energy, saving.bound)} less energy{told}"


def _perplexities(options: sections.Options, docs: Path) -> str:
    parts = []
    for title, points in (
        ("Perplexity at round 30: the small LLaMA", list(sections.perplexity(options))),
        (
            "Perplexity at round 30: SmolLM2-135M on Alpaca, step size 0.001 for every scheme",
            list(sections.real_model(options)),
        ),
    ):
        known = {p.name: tables.histories(p, options.results) for p in points}
        if any(known.values()):
            parts += [f"## {title}\n", *_perplexity_tables(known)]
            parts += [f"![{title}](figures/{_perplexity_figure(known, points[0], docs)}.png)\n"]
    return "\n".join(parts)


def _perplexity_figure(known: Known, point: Point, docs: Path) -> str:
    """Draw perplexity over the number of clients that transmit together; return its name."""
    lines: dict[str, list[tuple[float, ...]]] = {}
    for k, cells in known.items():
        for name, values in tables.perplexities(cells).items():
            middle, low, high = quantiles(list(values.values())).values()
            if middle is not None:
                edges = (middle if x is None else x for x in (low, high))
                lines.setdefault(name, []).append((float(k[2:]), middle, *edges))
    columns = {name: tuple(zip(*rows, strict=True)) for name, rows in lines.items()}
    title = "Clients that transmit together", "Perplexity at round 30"
    return pictures.curves(docs, f"perplexity-{point.section}", title[1], columns, *title)


Known = dict[str, dict[str, dict[int, Document]]]
"""Cells by point, scheme and seed."""


def _perplexity_tables(known: Known) -> Iterator[str]:
    names = list(dict.fromkeys(name for cells in known.values() for name in cells))
    columns = ["Scheme", *(name.replace("k-", "K = ") for name in known)]
    rows, shares = [], []
    for name in names:
        values = {k: tables.perplexities(cells).get(name, {}) for k, cells in known.items()}
        rows.append(
            [
                scheme_style(name).label,
                *(spread(quantiles(list(v.values()))) if v else MISSING for v in values.values()),
            ]
        )
        shares.append(
            [
                scheme_style(name).label,
                *(
                    spread(tables.fairness(cells[name])) if name in cells else MISSING
                    for cells in known.values()
                ),
            ]
        )
    yield markdown_table(columns, rows)
    yield from _reductions(known)
    yield "Jain's index of how often each client took part (1: all alike):\n"
    yield markdown_table(columns, shares)


def _reductions(known: Known) -> Iterator[str]:
    """Compare the proposal with the best non-movable scheme over the air at each K."""
    for k, cells in known.items():
        values = tables.perplexities(cells)
        mine = values.get(PROPOSAL, {})
        medians = {
            name: quantiles(list(seeds.values()))["median"]
            for name, seeds in values.items()
            if name not in tables.NO_COMPETITOR
        }
        ranked = {name: x for name, x in medians.items() if x is not None}
        best = min(ranked, key=ranked.__getitem__, default=None)
        seeds = sorted(set(mine) & set(values.get(best or "", {})))
        if best is None or not seeds:
            continue
        pairs = [(mine[s], values[best][s]) for s in seeds]
        drops = [None if a is None or b is None else 100 * (1 - a / b) for a, b in pairs]
        test = paired([difference(b, a) for a, b in pairs])["sign_test_p"]
        told = "" if test is None or len(seeds) < 2 else f"; sign test p = {significant(test, 2)}"
        yield (
            f"{k.replace('k-', 'K = ')}: perplexity of movable below the best non-movable scheme "
            f"over the air, {scheme_style(best).label}, by {percent(quantiles(drops))}"
            f" ({len(seeds)} seeds{told}).\n"
        )
