"""Figures of a sweep: a metric against the varied setting, one line a scheme, with its band."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airtune.record import names, own_folders
from airtune.registry import PROPOSAL
from airtune.report import style, twins
from airtune.report.figures import Drawn, write_figure
from airtune.report.sweep_table import point_text, short_name, value_text
from airtune.report.values import read

Results = Mapping[str, Any]
_PANEL = 1.75
# More panels than these do not fit a page in one column.
PANELS = 4


@dataclass(frozen=True)
class Metric:
    """A figure of results.json that is drawn over the varied setting."""

    key: str
    title: str
    label: str
    decades: bool = False


METRICS = (
    Metric("final_loss", "Final loss", "Validation loss [nat]"),
    Metric("final_perplexity", "Perplexity", "Perplexity"),
    Metric("time_to_target_s", "Time to target", "Time to target [s]", decades=True),
    Metric("energy_to_target_j", "Energy to target", "Energy to target [J]", decades=True),
    Metric("mse_db", "Aggregation error", "Aggregation error [dB]"),
    Metric("fairness", "Fairness", "Jain index of participation"),
)


_OF_COSTS = ("time_to_target_s", "energy_to_target_j")


def draw_all(results: Results, folder: Path) -> list[Drawn]:
    """Draw every metric over every varied setting into DIR/figures, as PDF and PNG."""
    own_folders(folder / names.FIGURES)
    drawn = []
    with style.sheet():
        for metric, axis in itertools.product(METRICS, results["vary"]):
            figure = over_setting(results, metric, axis["setting"])
            name = f"{metric.key.replace('_', '-')}-over-{axis['setting'].replace('_', '-')}"
            if figure is None:
                style.discard(folder / names.FIGURES / name)
                continue
            caption = "Medians over the seeds; bands: 10 to 90 %." if results["seeds"] > 1 else ""
            if metric.key in _OF_COSTS:
                caption += twins.sentence(twins.sweep_remark(results))
            title = f"{metric.title} over {short_name(axis['setting'])}"
            drawn.append(
                write_figure(figure, folder, name, title, caption, f"Line chart. {title}.")
            )
    return drawn


def over_setting(results: Results, metric: Metric, setting: str) -> Any | None:
    """Draw one metric; a panel for each combination of the other settings.

    Returns
    -------
    Figure or None
        None where there is nothing to compare: no figure is known, or all are the same.
    """
    values = next(axis["values"] for axis in results["vary"] if axis["setting"] == setting)
    panels = _panels(results["points"], setting)[:PANELS]
    known = {
        scheme
        for _, points in panels
        for point in points
        for scheme, entry in point["schemes"].items()
        if read(entry.get(metric.key)).known
    }
    figures = [
        read(p["schemes"][s].get(metric.key)) for _, ps in panels for p in ps for s in p["schemes"]
    ]
    if not known or (metric.key == "fairness" and all(x.median in (None, 1.0) for x in figures)):
        return None
    schemes = [name for name in results["schemes"] if name in known]
    height = 0.55 + _PANEL * len(panels) + style.legend_height(len(schemes))
    figure = style.new_figure(height)
    grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (others, points) in zip(grid, panels, strict=True):
        _draw_panel(axes, points, schemes, metric, setting, values)
        if others:
            axes.set_title(point_text(others), loc="left")
    grid[-1].set_xlabel(short_name(setting).capitalize())
    style.legend_above(figure, grid[0])
    return figure


def _panels(points: Sequence[Results], setting: str) -> list[tuple[dict[str, Any], list[Results]]]:
    """Group the points by the values of all settings but one."""
    groups: dict[str, tuple[dict[str, Any], list[Results]]] = {}
    for point in points:
        others = {name: x for name, x in point["settings"].items() if name != setting}
        groups.setdefault(repr(others), (others, []))[1].append(point)
    return list(groups.values())


def positions(values: Sequence[Any]) -> tuple[list[float], bool, bool]:
    """Return where values stand on an axis, whether it is numeric, and whether logarithmic."""
    numeric = all(isinstance(x, int | float) and not isinstance(x, bool) for x in values)
    if not numeric:
        return [float(index) for index in range(len(values))], False, False
    positive = min(values) > 0 and max(values) >= 8 * min(values)
    return [float(x) for x in values], True, positive


def _draw_panel(
    axes: Any,
    points: Sequence[Results],
    schemes: Sequence[str],
    metric: Metric,
    setting: str,
    values: Sequence[Any],
) -> None:
    places, numeric, logarithmic = positions(values)
    place = {repr(value): x for value, x in zip(values, places, strict=True)}
    for name in schemes:
        look = style.scheme_style(name)
        line = sorted(
            (place[repr(p["settings"][setting])], read(p["schemes"][name].get(metric.key)))
            for p in points
            if name in p["schemes"] and read(p["schemes"][name].get(metric.key)).known
        )
        xs = [x for x, _ in line]
        axes.plot(
            xs,
            [value.median for _, value in line],
            color=look.color,
            linestyle=look.dash,
            marker=look.marker,
            markeredgewidth=0,
            label=look.label,
            zorder=3 if name == PROPOSAL else 2.5,
        )
        if any(value.spread for _, value in line):
            # A quantile that is infinite has no edge to draw: the band ends at the median.
            low = [v.median if v.p10 is None else v.p10 for _, v in line]
            high = [v.median if v.p90 is None else v.p90 for _, v in line]
            axes.fill_between(xs, low, high, color=look.color, alpha=0.13, linewidth=0)
    axes.set_ylabel(metric.label)
    if metric.decades:
        axes.set_yscale("log")
        style.plain_decades(axes.yaxis)
    if logarithmic:
        axes.set_xscale("log")
        style.plain_decades(axes.xaxis)
    if not numeric or len(values) <= 8:
        axes.set_xticks(places, [value_text(value) for value in values], minor=False)
        axes.set_xticks([], minor=True)
