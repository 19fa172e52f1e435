"""The figures of a run: which there are, what they say, and how they are written to disk."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airtune.record import names, own_folders
from airtune.report import (
    bars,
    curves,
    forecast_curves,
    gain_map,
    holdings,
    participation,
    scores,
    style,
    svg,
)
from airtune.report.run_folder import RunFolder
from airtune.report.values import decimals, number


@dataclass(frozen=True)
class Kind:
    """A figure that a run may have."""

    name: str
    title: str
    caption: str
    draw: Callable[[RunFolder], Any | None]


@dataclass(frozen=True)
class Drawn:
    """A figure that was drawn: its files (relative to the run folder) and its inline form."""

    name: str
    title: str
    caption: str
    alt: str
    pdf: str
    png: str
    svg: str


KINDS = (
    Kind(
        "loss-rounds",
        "Loss over rounds",
        "What the air costs per round: all schemes see the same data, batches and channels.",
        curves.loss_over_rounds,
    ),
    Kind(
        "loss-time",
        "Loss over simulated time",
        "Time of computing, uplink, downlink, pilots, movement and pre-training, as booked.",
        curves.loss_over_time,
    ),
    Kind(
        "loss-energy",
        "Loss over energy",
        "Joules of all clients and the base station, as booked.",
        curves.loss_over_energy,
    ),
    Kind(
        "aggregation-error",
        "Aggregation error",
        "Squared error of the received mean update, relative to the updates' variance.",
        curves.aggregation_error,
    ),
    Kind(
        "forecast",
        "Predicted and measured loss",
        "What the plan predicted, from a few rounds without errors, and the first repetition; "
        "dashed: the predicted target.",
        forecast_curves.predicted_and_measured,
    ),
    Kind(
        "energy-split",
        "Where the energy goes",
        "Above, the components of the whole; below, each by itself on a log scale, so that small "
        "ones show.",
        bars.energy_split,
    ),
    Kind(
        "latency-split",
        "Where the time goes",
        "Above, the components of the whole; below, each by itself on a log scale.",
        bars.latency_split,
    ),
    Kind(
        "antenna-positions",
        "Antenna positions",
        "Colour: the weakest client's signal over noise and interference, were there one antenna "
        "at that place in the last round. Several antennas are combined, and they serve different "
        "clients: the best positions are not simply the brightest.",
        gain_map.antenna_positions,
    ),
    Kind(
        "label-distribution",
        "Who holds what",
        "Training records of each client by label; the area of a circle is their number.",
        holdings.label_distribution,
    ),
    Kind(
        "exact-match",
        "Right answers by domain",
        "Share of held-out questions answered exactly right: the untuned model (bar) and after "
        "fine-tuning (markers).",
        bars.domain_match,
    ),
    Kind(
        "participation",
        "Who transmitted when",
        "First repetition. Of many clients, neighbours share a row: the darker, the more of them.",
        participation.participation,
    ),
)


PREFERENCE = Kind(
    "preference-accuracy",
    "Preference accuracy by domain",
    "Share of the held-out pairs whose better answer is preferred: the untuned model (bar) and "
    "after fine-tuning (markers).",
    bars.domain_preference,
)
"""Takes the place of exact match where the records are preference pairs."""


def captions(name: str) -> tuple[str, str]:
    """Return title and caption of a figure."""
    kind = kind_of(name)
    return kind.title, kind.caption


def kind_of(name: str) -> Kind:
    """Return a figure by its name."""
    return _BY_NAME[name]


_BY_NAME = {kind.name: kind for kind in (*KINDS, PREFERENCE)}

_BY_DOMAIN = {
    "exact-match": (scores.EXACT.key, "Share of right answers"),
    "preference-accuracy": (scores.PREFERENCE.key, "Preference accuracy"),
}


def draw_all(run: RunFolder) -> list[str]:
    """Draw every figure that the run has data for into DIR/figures, as PDF and PNG.

    The same run folder gives the same bytes: no dates, fixed fonts, fixed identifiers.

    Returns
    -------
    list of str
        Names of the figures.
    """
    folder = run.folder / names.FIGURES
    own_folders(folder)
    drawn = []
    with style.sheet():
        for kind in (*KINDS, PREFERENCE):
            figure = kind.draw(run)
            if figure is None:
                style.discard(folder / kind.name)
                continue
            _laid_out(figure)
            style.save(figure, folder / kind.name)
            drawn.append(kind.name)
    return drawn


def _laid_out(figure: Any) -> None:
    """Lay a figure out, once for all formats: this takes most of the time of each."""
    # Twice: the first pass may change which ticks there are.
    figure.draw_without_rendering()
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def write_figure(figure: Any, folder: Path, name: str, title: str, caption: str, alt: str) -> Drawn:
    """Write a figure as DIR/figures/NAME.pdf and .png, and return it with its inline form."""
    _laid_out(figure)
    pdf, png = (
        path.relative_to(folder).as_posix()
        for path in style.save(figure, folder / names.FIGURES / name)
    )
    return Drawn(name, title, caption, alt, pdf, png, _inline(figure, name, alt))


def inline(figure: Any, name: str, alt: str) -> str:
    """Return a figure as markup for a page, with no file beside it."""
    _laid_out(figure)
    return _inline(figure, name, alt)


def _inline(figure: Any, name: str, alt: str) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", facecolor="none", metadata=dict.fromkeys(svg.METADATA))
    return svg.inline(text.getvalue(), name, alt)


def describe(kind: Kind, run: RunFolder) -> str:
    """Return a figure's content in words, for readers who do not see it."""
    if kind.name.startswith("loss-"):
        return f"Line chart. {kind.title}. Last values: {_last(run, 'loss', '', 3)}."
    if kind.name == "aggregation-error":
        return f"Line chart. {kind.title} by round. Last values: {_last(run, 'mse_db', ' dB', 1)}."
    if kind.name == "forecast":
        return forecast_curves.in_words(run)
    if kind.name == "label-distribution":
        return holdings.in_words(run)
    if kind.name in _BY_DOMAIN:
        key, what = _BY_DOMAIN[kind.name]
        domains = {name for found in bars.domain_scores(run, key)[1].values() for name in found}
        return f"Dot chart. {what} in {len(domains)} domains, before and after."
    if kind.name == "antenna-positions":
        shown = [s.name for s in run.schemes if s.first_with("placement")]
        labels = ", ".join(style.scheme_style(name).label for name in shown)
        return f"Map of the weakest client's gain over the region, with the antennas of: {labels}."
    if kind.name == "participation":
        return f"Map of clients over rounds. {kind.title}, by scheme."
    key, unit = ("energy_j", "J") if kind.name == "energy-split" else ("latency_s", "s")
    totals = "; ".join(
        f"{style.scheme_style(name).label} {sum(parts.values()):.3g} {unit}"
        for name, parts in bars.splits(run, key).items()
    )
    return f"Bar chart by component, and dot chart on a log scale. Totals: {totals}."


def _last(run: RunFolder, field: str, unit: str, places: int) -> str:
    values_by_scheme = []
    for scheme in run.schemes:
        values = [x for entry in scheme.history() if (x := number(entry.get(field))) is not None]
        if values:
            label = style.scheme_style(scheme.name).label
            values_by_scheme.append(f"{label} {decimals(values[-1], places)}{unit}")
    return ", ".join(values_by_scheme)
