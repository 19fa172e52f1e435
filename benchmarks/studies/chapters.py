"""Chapters of docs/results.md that come with figures: regimes and privacy."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from airtune import privacy as accountant
from airtune import record
from airtune.report.style import scheme_style
from airtune.report.values import significant
from studies import pictures, sections, tables
from studies.cells import Document, Point
from studies.markdown import markdown_table


def regimes(options: sections.Options, docs: Path) -> str:
    """Draw and describe where movable antennas win, by how much, and where not."""
    points = [(p, tables.histories(p, options.results)) for p in sections.regimes(options)]
    points = [(point, cells) for point, cells in points if cells]
    if not points:
        return ""
    rows: list[Document] = []
    for (point, cells), speed in itertools.product(points, sections.COMPUTE_SPEEDS):
        found = tables.outcomes(cells, speed)
        for baseline in [n for n in found if n not in ("ideal", "movable")]:
            saved = tables.saving(found, baseline)
            if saved is not None:
                rows.append(_place(point) | {
                    "compute_speed": speed,
                    "baseline": baseline,
                    "faster_pct": saved.faster,
                    "less_energy_pct": saved.less_energy,
                    "lower_bound": saved.bound,
                })  # fmt: skip
    record.write_json(docs / "figures" / "regimes.json", rows)
    names = [
        _map(rows, baseline, key, docs)
        for baseline in dict.fromkeys(row["baseline"] for row in rows)
        for key in ("faster_pct", "less_energy_pct")
    ]
    links = "\n\n".join(f"![{name}](figures/{name}.png)" for name in names)
    return f"{_REGIMES}\n{links}\n"


_REGIMES = """\
## Where movable antennas win, and where not

Percent of time (or energy) to target that movable antennas save against each baseline;
negative: they lose; –: movable did not reach the target in half of the seeds.  Simulated: the
learning curve of every scheme on a LLaMA of two layers over 25 rounds, at each noise figure,
interference power and bandwidth (which also sets the noise).  Not simulated again but booked
again, exactly: the speed of the clients' processors, for without a time budget batches and
clocks stay, and computing takes that much less time and energy.  Every scheme has the step size
0.01.  A baseline that never reached the target counts with what it spent in all its rounds (≥).
All figures as numbers: [regimes.json](figures/regimes.json).
"""


def _place(point: Point) -> Document:
    radio = point.scenario.radio
    silent = radio.interferers.count == 0
    return {
        "noise_figure_db": radio.noise_figure_db,
        "interference_dbm": None if silent else radio.interferers.tx_power_dbm,
        "bandwidth_hz": radio.bandwidth_hz,
    }


def _map(rows: list[Document], baseline: str, key: str, docs: Path) -> str:
    """Draw one baseline: a panel for each bandwidth and compute speed."""
    mine = [row for row in rows if row["baseline"] == baseline]
    noises = sorted({row["noise_figure_db"] for row in mine})
    others = sorted(
        {row["interference_dbm"] for row in mine}, key=lambda x: (x is not None, x or 0)
    )
    values = {
        (r["bandwidth_hz"], r["compute_speed"], r["noise_figure_db"], r["interference_dbm"]): (
            r[key]["median"],
            r["lower_bound"],
        )
        for r in mine
    }
    bandwidths = sorted({row["bandwidth_hz"] for row in mine})
    panels = [
        (
            f"{bandwidth / 1e6:g} MHz, compute x {speed:g}",
            [[values.get((bandwidth, speed, n, j), (None, False)) for j in others] for n in noises],
        )
        for speed, bandwidth in itertools.product(sections.COMPUTE_SPEEDS, bandwidths)
    ]
    what = "time" if key == "faster_pct" else "energy"
    return pictures.heat_maps(
        docs,
        f"regimes-{what}-{baseline}",
        f"Percent of {what} saved against {scheme_style(baseline).label}",
        panels,
        ("Noise figure [dB]", [f"{n:g}" for n in noises]),
        ("Interferers [dBm]", ["none" if j is None else f"{j:g}" for j in others]),
    )


def privacy(options: sections.Options, docs: Path) -> str:
    """Draw and describe the privacy that the air's noise gives."""
    curves: dict[str, list[float]] = {}
    rows = []
    for point in sections.privacy(options):
        cells = tables.histories(point, options.results)
        for scheme, seeds in cells.items():
            document = seeds[min(seeds)]
            multipliers = _multipliers(document, point)
            rate = accountant.sampling_rate(point.scenario)
            epsilons = accountant.spent(multipliers, rate, DELTA)
            label = f"{scheme}, {point.name}"
            curves[label] = epsilons.tolist()
            own = accountant.spent(1.0 / np.array(_column(document, "exposure")), 1.0, DELTA)
            rows.append(
                [
                    label,
                    f"{np.median(multipliers):.2g}",
                    significant(float(epsilons[0])),
                    significant(float(epsilons[-1])),
                    significant(float(own[-1])),
                    f"{_missing_noise_db(multipliers, rate):.0f}",
                ]
            )
    if not rows:
        return ""
    record.write_json(docs / "figures" / "privacy.json", {"delta": DELTA, "epsilon": curves})
    name = pictures.budgets(docs, "privacy", "Epsilon of the air's noise", curves)
    head = ["Scheme", "Noise multiplier", "Epsilon, one round", "all rounds", "as it happened"]
    head += [f"noise lacking for epsilon {GOAL:g} [dB]"]
    return f"{_PRIVACY}\n{markdown_table(head, rows)}\n![{name}](figures/{name}.png)\n"


DELTA, GOAL = 1e-5, 8.0

_PRIVACY = """\
## Privacy of the air's noise

What an observer of the decoded aggregates, and of nothing else, can learn of one client: the
noise that the receiver adds to the mean as the Gaussian mechanism, with (epsilon, delta = 1e-5)
by opacus' Renyi accountant.  Updates are clipped to norm 1, four of ten clients are drawn at
random each round (a fixed number, for which the usual amplification by independent draws does not
hold; a weaker bound that does is used); neighbouring data sets differ by one client's whole update.
"As it happened"
takes the updates that were sent instead of the largest that clipping allows: a measure of what
was revealed, no guarantee. The reported scales count as public, interference counts as the
noise that it is modelled as, and the server's own antennas see more than the aggregate
([privacy.py](../src/airtune/privacy.py) has all limits).  The noise is spread over every entry
of an update of tens of thousands, and the beamformer keeps it small: the last column says how
far the air alone is from a useful guarantee.
"""


def _column(document: Document, name: str) -> list[float]:
    """Return one figure of the rounds in which something was sent."""
    return [x for x in document["history"].get(name, ()) if x is not None]


def _multipliers(document: Document, point: Point) -> list[float]:
    """Return the noise multiplier of each round; a weight counts among those who transmit."""
    history, clip = document["history"], point.scenario.training.clip_norm
    return [
        accountant.noise_multiplier(noise, document["largest_weight"] / share, float(clip or 0))
        for noise, share in zip(history["noise_std"], history["share"], strict=True)
        if noise is not None
    ]


def _missing_noise_db(multipliers: list[float], rate: float) -> float:
    """Return by how many dB the noise would have to be stronger for :data:`GOAL`."""
    low, high = -40.0, 120.0
    while high - low > 0.5:
        middle = (low + high) / 2
        # One round stands for all of them: the accountant's series is slow.
        louder = float(np.median(multipliers)) * 10 ** (middle / 20)
        within = accountant.spent_alike(louder, len(multipliers), rate, DELTA) <= GOAL
        low, high = (low, middle) if within else (middle, high)
    return high
