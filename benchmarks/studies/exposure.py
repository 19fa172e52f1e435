"""The chapter on the privacy that the air's noise gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from airtune import record
from airtune.report.values import significant
from airtune.study import privacy as accountant
from studies import phrases, pictures, sections, tables
from studies.markdown import markdown_figure, markdown_table
from studies.points import Document, Point


def privacy(options: sections.Options, docs: Path) -> str:
    """Draw and describe it; empty while there is no cell."""
    curves: dict[str, list[float]] = {}
    rows, seen = [], set[int]()
    for point in sections.privacy(options):
        counted = tables.counted(point, options.results)
        seen.update(counted.seeds)
        for scheme, seeds in counted.cells.items():
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
    text = f"{_PRIVACY}\nOf {phrases.numbers(sorted(seen))}.\n\n{markdown_table(head, rows)}"
    return f"{text}\n{markdown_figure(name, 'Epsilon of the noise of the air')}"


DELTA, GOAL = 1e-5, 8.0

_PRIVACY = """\
## Privacy of the air's noise

What an observer of the decoded aggregates, and of nothing else, can learn of one client: the
noise that the receiver adds to the mean as the Gaussian mechanism, with (epsilon, delta = 1e-5)
by opacus' Renyi accountant.  Updates are clipped to norm 1, four of ten clients are drawn at
random each round (a fixed number, for which the usual amplification by independent draws does not
hold; a weaker bound that does is used); neighbouring data sets differ by one client's whole update.
"As it happened" takes the updates that were sent instead of the largest that clipping allows: a
measure of what was revealed, no guarantee.  The reported scales count as public, interference
counts as the noise that it is modelled as, and the server's own antennas see more than the
aggregate ([privacy.py](../src/airtune/study/privacy.py) has all limits).  The noise is spread over
every entry of an update of tens of thousands, and the beamformer keeps it small: the last column
says how far the air alone is from a useful guarantee.
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
