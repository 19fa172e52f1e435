"""The pages of results from the finished cells: the same cells give the same bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import manual
from airtune.report.style import scheme_style
from airtune.report.values import MISSING, decimals
from studies import (
    claims,
    components,
    details,
    electrical,
    exposure,
    headline,
    movement,
    perplexity,
    phrases,
    policies,
    regimes,
    sections,
)
from studies.markdown import listed, markdown_table
from studies.points import Cell, Document

TITLE = "# Results of the study\n"
INTRODUCTION = """\
Written by `python benchmarks/study.py --write-docs` from the cells in `benchmarks/results/study`;
`python benchmarks/study.py` runs the whole study again.  The scenarios were fixed, with reasons,
before their results were seen ([paper-v1](../src/airtune/scenarios/paper-v1.yaml),
[cell-edge](../src/airtune/scenarios/cell-edge.yaml),
[dense-cell](../src/airtune/scenarios/dense-cell.yaml)).  Time and energy are simulated.  All
schemes ([what they are](schemes.md)) of a seed meet the same channels, data and batches.  Figures
are medians over the seeds, with 10 to 90 % in brackets.  The target loss of a seed is its initial
validation loss minus 90 % of the improvement that the error-free reference (Ideal) reaches.

The first study, in books that charge radiated power only, with every claim of the paper,
perplexities, regimes and privacy, is kept on [its own page](results-radiated.md).  A larger study,
with a declared family of scenarios, more opponents and more seeds, is [declared](claims.md) and not
run yet.
"""
ARCHIVE_TITLE = "# The first study, in radiated books\n"
ARCHIVE = """\
This page is kept as it was found.  Energy on it is what antennas radiate and what clients compute
with, drives are charged in full, antennas move before the clients compute, scales are reported one
after the other, and antenna selection has its ports in a compact array.  *Digital* has a uniform
grid of 4, 8 or 16 bits with error feedback: as it is [planned now](digital.md) it is a much
stronger opponent.  In [the results](results.md) every part of [a round](energy.md) is booked.

Written by `python benchmarks/study.py --write-docs`.  The scenarios were fixed, with reasons,
before their results were seen ([paper-v1](../src/airtune/scenarios/paper-v1.yaml),
[paper-v2](../src/airtune/scenarios/paper-v2.yaml),
[cell-edge](../src/airtune/scenarios/cell-edge.yaml)).  Time and energy are simulated.  All schemes
([what they are](schemes.md)) of a seed meet the same channels, data and batches.  Figures are
medians over the seeds, with 10 to 90 % in brackets.  The target loss of a seed is its initial
validation loss minus 90 % of the improvement that the error-free reference (Ideal) reaches.
"""


def write(options: sections.Options, docs: Path, readme: Path | None = None) -> Path:
    """Write DOCS/results.md, the archive, the page of all maps and DOCS/figures; return the first.

    With `readme` also the table of that page's first lines.
    """
    (docs / "figures").mkdir(parents=True, exist_ok=True)
    state, whole = _state(options)
    unfinished = "" if whole else _UNFINISHED
    points, small = claims.measured(options), perplexity.small_model(options)
    places = headline.measured(options)
    parts = [TITLE, INTRODUCTION, unfinished, headline.chapter(places, docs)]
    parts += [electrical.chapter(options, points), policies.chapter(options)]
    page = _put(docs / "results.md", [*parts, _WHERE])
    parts = [ARCHIVE_TITLE, ARCHIVE, unfinished]
    parts += [claims.verdicts(points, small), movement.when_needed(options, points)]
    parts += [components.reasons(points), details.details(points)]
    parts += [perplexity.chapter(options, docs)]
    parts += [regimes.regimes(options, docs), exposure.privacy(options, docs)]
    _put(docs / "results-radiated.md", [*parts, _how(options), _step_sizes(options), state])
    if readme is not None and places:
        manual.put(readme, "study", f"\n{headline.table(places, 'docs/results.md')}")
    return page


def _put(page: Path, parts: list[str]) -> Path:
    page.write_text("\n".join(part.rstrip("\n") + "\n" for part in parts if part), encoding="utf-8")
    return page


_WHERE = """\
## How the schemes were compared

By the *shared plan* of the first study, whose
[rules](results-radiated.md#how-the-schemes-were-compared),
[step sizes](results-radiated.md#step-sizes) and
[list of cells](results-radiated.md#which-cells-are-there) hold here, too, but for the books and for
what each array must know, which is booked to whoever sends it.
"""
_UNFINISHED = """\
The study is not finished: figures are of the seeds that are there, and
[the list of cells](results-radiated.md#which-cells-are-there) names what is missing.
"""


def _how(options: sections.Options) -> str:
    """Say what the plans, the budgets and the digital scheme are."""
    points = {(p.section, p.name): p.scenario for p in sections.claims(options)}
    shared, own = points["paper-v1", "shared-plan"], points["paper-v1", "own-plan"]
    digital = shared.digital
    joules, seconds = own.budget.client_energy_j, shared.budget.latency_s
    budget = "" if seconds is None else f" within {seconds:g} s"
    cap = "" if joules is None else f" and {joules} J a client"
    access = "whichever of TDMA, OFDMA and SDMA ends first, chosen each round"
    bits = (
        "the fewest of 4, 8 and 16 bits whose expected error is below "
        f"{decimals(digital.quality_db, 0)} dB"
    )
    pilot_s = (
        shared.clients.count * shared.radio.pilot_symbols_per_client / shared.radio.bandwidth_hz
    )
    pilots = f"{1e3 * pilot_s:g} ms"
    feedback = "with" if digital.error_feedback else "without"
    return f"""\
## How the schemes were compared

- *Shared plan*: rounds, batches and clocks are planned once, for movable antennas{budget}, and
  every scheme uses them.  A scheme whose air is slower takes longer than that.
- *Own plan*: every scheme plans for itself{budget}{cap}, with at most {own.training.rounds} rounds.
  A plan spends the time that it is allowed, so time to target then says more of the budget than of
  the air; the claims are put to the test under the shared plan first, digital above all.
- The constants of the convergence bound that plans are made with are the stated defaults, not
  calibrated ([planning.md](planning.md)).
- *Aligned sums* are forced: unbiased, and the weakest client sets the scale.  With *capped powers*
  a client too weak to align sends at full power instead.
- *Digital*: {access if digital.access == "best" else digital.access};
  {bits if digital.bits == "auto" else f"{digital.bits} bits"}; {feedback} error feedback.
- *Broadcast*: precoded for the weakest client that takes part, for all schemes alike.
- *Truncated*, *COTAF* and *OBDA* silence weak clients where their estimate of a round's error says
  so.  In a channel that changes slowly these are the same clients for many rounds, and what only
  they know is not learnt: the thresholds are rules of those schemes, not tuned here, and *Fixed* is
  *Truncated* without one.
- *What movable antennas are spared*: to place them the server must know the paths of every client,
  not the channels of N antennas only; all schemes are booked the same pilots ({pilots} a round,
  reports of scales aside), and the channels are known without error.

### What was changed after results had been seen

- The broadcast was booked as a space-time block code first, which gives arrays no gain.  Movable
  antennas then saved more against all others (a weak client hears more of a better place, and the
  broadcast was the largest part).  It is precoded now, and every cell of time and energy was run
  again.  Plans fill the time that this leaves: clocks are slower, and own plans take larger
  batches.  Losses of equal batches are the same, so cells of which only losses are told were kept.
- The step sizes of paper-v2 were chosen at four clients at a time for all K first.  At K = 1 even
  the error-free reference came out badly; now they are chosen at each K.
- Time and energy to target were those of the first evaluation below it, so one round could decide
  a row; now they are interpolated between the two evaluations around it, for all schemes alike.
- The three scenarios were not changed.
"""


def _step_sizes(options: sections.Options) -> str:
    """Say by which rule step sizes were chosen, and which were."""
    grid = ", ".join(f"{x:g}" for x in sections.GRID)
    chosen = {name: sections.tuned(options, name) for name in sections.tuned_scenarios(options)}
    names = [s for s in options.schemes() if any(s in rates for rates in chosen.values())]
    rows = [
        [
            scheme_style(s).label,
            *(f"{rates[s]:g}" if s in rates else MISSING for rates in chosen.values()),
        ]
        for s in names
    ]
    places = [name.replace("-k-", ", K = ") for name in chosen]
    return f"{_STEP_SIZES.format(grid=grid)}\n{markdown_table(['Scheme', *places], rows)}"


_STEP_SIZES = """\
## Step sizes

Of {grid} each scheme got the one of least final validation loss, and further ones were tried while
the best was at the edge: one seed, which no other cell uses (the mean of three at K = 1, where two
neighbouring step sizes differ less than two seeds), and steps of about a factor 3, so the choice is
coarse.  They were chosen for paper-v1 and cell-edge under the shared plan with forced
alignment and for paper-v2 at each number K of clients at a time; own plan and capped powers use
those of their scenario.  In the regimes, for privacy and on SmolLM2 all schemes have one step size.
"""


def _state(options: sections.Options) -> tuple[str, bool]:
    """Say which cells are missing and what the others took; tell whether all are there."""
    lines, whole, spent = [], True, 0.0
    machines: set[str] = set()
    options = replace(options, untuned=True)
    for name in sections.SECTIONS:
        cells = [(c, options.results.find(c)) for c in sections.cells(options, [name])]
        done = [document for _, document in cells if document is not None]
        spent += sum(document.get("cpu_s", 0.0) for document in done)
        machines.update(document["machine"] for document in done)
        missing = [cell for cell, document in cells if document is None]
        whole = whole and not missing
        lines.append(f"- {name}: {_how_many(done, len(cells))}{_named(missing)}")
    who = "Every cell is there; together they" if whole else "The cells that are there"
    said = f"{who} took {spent / 3600:.1f} hours of processor time on one core"
    said += f" ({', '.join(sorted(machines))})." if machines else "."
    return f"## Which cells are there\n\n{said}\n\n" + "\n".join(lines) + "\n", whole


def _how_many(done: list[Document], count: int) -> str:
    refused = sum("infeasible" in document for document in done)
    text = f"all {count} cells" if len(done) == count else f"{len(done)} of {count} cells"
    return text + (f", {refused} of them without a plan that keeps the budget" if refused else "")


SHORT = 4
"""So many settings of a section are named; of more, the number is told."""


def _named(missing: list[Cell]) -> str:
    """Name the missing seeds; settings that lack the same ones together."""
    lacking: dict[str, list[int]] = {}
    for cell in missing:
        lacking.setdefault(cell.point.title, []).append(cell.seed)
    alike: dict[tuple[int, ...], list[str]] = {}
    for place, seeds in lacking.items():
        alike.setdefault(tuple(sorted(set(seeds))), []).append(place)
    return "".join(_group(seeds, places) for seeds, places in alike.items())


def _group(seeds: tuple[int, ...], places: list[str]) -> str:
    where = listed(places) if len(places) <= SHORT else f"{len(places)} settings"
    return f"; missing in {where}: {phrases.numbers(seeds)}"
