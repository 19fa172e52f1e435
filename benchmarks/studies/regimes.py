"""The chapter on where movable antennas win, by how much, and where not."""

from __future__ import annotations

import itertools
from pathlib import Path
from statistics import median

from airtune import record
from airtune.report.style import scheme_style
from airtune.report.values import MISSING, decimals
from airtune.study.outcomes import PROPOSAL, REFERENCE
from studies import phrases, pictures, sections, tables
from studies.markdown import markdown_figure, markdown_table
from studies.points import Document, Point

APPENDIX = "results-regimes.md"
SPREAD_OUT = ("sparse", "selection-compact")
"""The baselines that use the whole region without moving; the page shows the stronger one."""
KEYS = {"time": "faster_pct", "energy": "less_energy_pct"}


def regimes(options: sections.Options, docs: Path) -> str:
    """Draw every map, write the page of all maps, and return the chapter with the telling ones."""
    rows, seeds, missing = _rows(options)
    if not rows:
        return ""
    record.write_json(docs / "figures" / "regimes.json", rows)
    baselines = list(dict.fromkeys(row["baseline"] for row in rows))
    figures = {(b, what): _map(rows, b, what, docs) for b in baselines for what in KEYS}
    shown = [b for b in ("fixed", strongest(rows, SPREAD_OUT), "digital") if b in baselines]
    rest = "\n".join(markdown_figure(*figures[b, what]) for b in baselines for what in KEYS)
    (docs / APPENDIX).write_text(f"{_APPENDIX}\n{rest}", encoding="utf-8")
    lacking = f"; {missing} of the settings have none yet" if missing else ""
    uneven = ", where both are there" if len({row["seeds"] for row in rows}) > 1 else ""
    parts = [_REGIMES, f"Medians of {phrases.numbers(sorted(seeds))}{uneven}{lacking}.\n"]
    parts.append(_summary(rows, baselines))
    spared, of_spared, _ = _rows(options, when_needed=True)
    if spared:
        text = f"{_SPARED}Medians of {phrases.numbers(sorted(of_spared))}.\n"
        parts += [text, _summary(spared, baselines)]
    parts.append(_READING)
    parts += [markdown_figure(*figures[b, what]) for b in shown for what in KEYS]
    return "\n".join(parts)


_REGIMES = f"""\
## Where movable antennas win, and where not

Simulated: the learning curve of every scheme on a LLaMA of two layers over 25 rounds, at each noise
figure, interference power and bandwidth (which also sets the noise).  Not simulated again but
booked again, exactly: the speed of the clients' processors, for without a time budget batches and
clocks stay, and computing takes that much less time and energy.  Every scheme has the step size
0.01.  Not on the map: how fast the drives are and what they take, which stay as in paper-v1, and
the schemes that are not named in the table.  A place is one combination of all four; in brackets:
noise figure, interferers, bandwidth, compute speed.
All maps: [{APPENDIX}]({APPENDIX}); all figures as numbers: [regimes.json](figures/regimes.json).
"""

_SPARED = """\
The same places when antennas move only when needed ([above](#moving-only-when-needed)); all maps
and figures are of antennas that move every round.  """

_READING = """\
On the maps: percent of time (or energy) to target that movable antennas save; negative: they take
more.  –: movable did not reach the target in half of the seeds; blank: not run yet.  ≥: the
baseline did not reach the target in some seed and counts with what it spent in all its rounds.
"""

_APPENDIX = """\
# All regime maps

Percent of time or energy to target that movable antennas save against each baseline; how the maps
were made and are read: [the study](results-radiated.md#where-movable-antennas-win-and-where-not).
"""


def _rows(
    options: sections.Options, when_needed: bool = False
) -> tuple[list[Document], set[int], int]:
    """Return every figure of every map, the seeds they are of, and how many settings lack all.

    With `when_needed` the proposal's cells are those in which it moves only when needed.
    """
    rows: list[Document] = []
    seeds: set[int] = set()
    missing = 0
    points = zip(sections.regimes(options), sections.regimes(options, when_needed), strict=True)
    for point, of_proposal in points:
        counted = tables.counted(point, options.results)
        own = tables.counted(of_proposal, options.results)
        cells = counted.cells if counted.complete and own.complete else {}
        cells = cells and {**cells, PROPOSAL: own.cells.get(PROPOSAL, {})}
        missing += not cells
        for speed in sections.COMPUTE_SPEEDS if cells else ():
            seeds.update(set(counted.seeds) & set(own.seeds))
            outcomes = tables.outcomes(cells, speed)
            figures = tables.time_of(outcomes), tables.energy_of(outcomes)
            for name in [n for n in outcomes if n not in (PROPOSAL, REFERENCE)]:
                time, energy = (tables.saved(figure, name) for figure in figures)
                if time is not None and energy is not None:
                    rows.append(_place(point) | {
                        "compute_speed": speed,
                        "baseline": name,
                        "seeds": time.seeds,
                        "faster_pct": time.quantiles,
                        "less_energy_pct": energy.quantiles,
                        "lower_bound": time.missed > 0,
                    })  # fmt: skip
    return rows, seeds, missing


def _place(point: Point) -> Document:
    radio = point.scenario.radio
    silent = radio.interferers.count == 0
    return {
        "noise_figure_db": radio.noise_figure_db,
        "interference_dbm": None if silent else radio.interferers.tx_power_dbm,
        "bandwidth_hz": radio.bandwidth_hz,
    }


def strongest(rows: list[Document], among: tuple[str, ...]) -> str | None:
    """Return the baseline against which movable saves the least time in the median place."""

    def typical(name: str) -> float:
        medians = [r["faster_pct"]["median"] for r in rows if r["baseline"] == name]
        return median(float("-inf") if x is None else x for x in medians)

    known = {r["baseline"] for r in rows}
    return min((name for name in among if name in known), key=typical, default=None)


def _summary(rows: list[Document], baselines: list[str]) -> str:
    """Return one line for each baseline and figure: in how many places movable saves, how much."""
    lines = []
    for baseline, (what, key) in itertools.product(baselines, KEYS.items()):
        mine = [r for r in rows if r["baseline"] == baseline]
        known = [r for r in mine if r[key]["median"] is not None]
        saving = [r for r in known if r[key]["median"] > 0]
        ordered = sorted(known, key=lambda r: r[key]["median"])
        middle = median(r[key]["median"] for r in known) if known else None
        bound = "at least " if any(r["lower_bound"] for r in known) else ""
        lines.append(
            [
                scheme_style(baseline).label,
                what,
                f"{len(saving)} of {len(mine)}",
                MISSING if middle is None else f"{bound}{decimals(middle, 0)} %",
                *(_extreme(ordered[i], key) if ordered else MISSING for i in (-1, 0)),
            ]
        )
    columns = ["Against", "What", "Places where movable saves", "Median place", "Most", "Least"]
    return markdown_table(columns, lines, left=2)


def _extreme(row: Document, key: str) -> str:
    """Return a saving and its place."""
    dbm = row["interference_dbm"]
    place = (
        f"{row['noise_figure_db']:g} dB, {'none' if dbm is None else f'{dbm:g} dBm'}, "
        f"{row['bandwidth_hz'] / 1e6:g} MHz, x {row['compute_speed']:g}"
    )
    bound = "at least " if row["lower_bound"] else ""
    return f"{bound}{decimals(row[key]['median'], 0)} % ({place})"


def _map(rows: list[Document], baseline: str, what: str, docs: Path) -> tuple[str, str]:
    """Draw one baseline, a panel for each bandwidth and compute speed; return name and title."""
    key = KEYS[what]
    mine = [row for row in rows if row["baseline"] == baseline]
    noises = sorted({row["noise_figure_db"] for row in rows})
    others = sorted(
        {row["interference_dbm"] for row in rows}, key=lambda x: (x is not None, x or 0)
    )
    values = {
        (r["bandwidth_hz"], r["compute_speed"], r["noise_figure_db"], r["interference_dbm"]): (
            r[key]["median"],
            r["lower_bound"],
        )
        for r in mine
    }
    bandwidths = sorted({row["bandwidth_hz"] for row in rows})
    panels = [
        (
            f"{bandwidth / 1e6:g} MHz, compute x {speed:g}",
            [[values.get((bandwidth, speed, n, j)) for j in others] for n in noises],
        )
        for speed, bandwidth in itertools.product(sections.COMPUTE_SPEEDS, bandwidths)
    ]
    title = f"Percent of {what} saved against {scheme_style(baseline).label}"
    name = pictures.heat_maps(
        docs,
        f"regimes-{what}-{baseline}",
        title,
        panels,
        ("Noise figure [dB]", [f"{n:g}" for n in noises]),
        ("Interferers [dBm]", ["none" if j is None else f"{j:g}" for j in others]),
    )
    return name, title
