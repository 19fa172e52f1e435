"""Figures of the study: one column wide, as vectors, in the style of the reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from airtune.report import style
from airtune.report.figures import write_figure

LIMIT = 100.0
"""Savings below minus this are drawn as minus this."""


def heat_maps(
    folder: Path,
    name: str,
    title: str,
    panels: Sequence[tuple[str, Sequence[Sequence[tuple[float | None, bool] | None]]]],
    rows: tuple[str, Sequence[str]],
    columns: tuple[str, Sequence[str]],
) -> str:
    """Write percentages as heat maps, two beside each other; return the figure's name.

    Parameters
    ----------
    panels : sequence of (title, rows of entries)
        An entry is (percentage or None, whether it is a lower bound); None, left blank, where there
        is no result.
    rows, columns : (axis label, tick labels)
    """
    from matplotlib.colors import TwoSlopeNorm

    with style.sheet():
        lines = -(-len(panels) // 2)
        figure = style.new_figure(0.6 + 1.35 * lines)
        grid = figure.subplots(lines, 2, sharex=True, sharey=True, squeeze=False)
        norm = TwoSlopeNorm(0.0, -LIMIT, LIMIT)
        image = None
        for axes, (label, values) in zip(grid.flat, panels, strict=False):
            shown = [[_shade(entry) for entry in line] for line in values]
            image = axes.imshow(shown, cmap="PuOr", norm=norm, aspect="auto", origin="lower")
            axes.set_title(label, loc="left", fontsize=7)
            axes.grid(visible=False)
            axes.set_xticks(range(len(columns[1])), columns[1], fontsize=7)
            axes.set_yticks(range(len(rows[1])), rows[1], fontsize=7)
            for y, line in enumerate(values):
                for x, entry in enumerate(line):
                    color = style.PAPER if abs(_shade(entry)) > 60 else style.INK
                    text = entry_text(entry)
                    axes.text(x, y, text, ha="center", va="center", fontsize=6, color=color)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        figure.supxlabel(columns[0], fontsize=8)
        figure.supylabel(rows[0], fontsize=8)
        if image is not None:
            bar = figure.colorbar(image, ax=grid, shrink=0.7, aspect=30)
            bar.outline.set_visible(False)
            bar.ax.tick_params(labelsize=7)
        write_figure(figure, folder, name, title, "", title)
    return name


def _shade(entry: tuple[float | None, bool] | None) -> float:
    return float("nan") if entry is None or entry[0] is None else max(entry[0], -LIMIT)


def entry_text(entry: tuple[float | None, bool] | None) -> str:
    """Write an entry of a map: nothing where there is no result, – where there is no saving."""
    if entry is None:
        return ""
    value, bound = entry
    if value is None:
        return "–"
    return f"{'≥' * bound}{value:.0f}".replace("-", "−")


def budgets(folder: Path, name: str, title: str, curves: Mapping[str, Sequence[float]]) -> str:
    """Draw epsilon over the rounds, one line for each "scheme, scenario"; return the name."""
    with style.sheet():
        figure = style.new_figure(2.6)
        axes = figure.add_subplot()
        scenarios = list(dict.fromkeys(label.split(", ")[1] for label in curves))
        for label, values in curves.items():
            scheme, scenario = label.split(", ")
            look = style.scheme_style(scheme)
            axes.plot(
                range(1, len(values) + 1),
                values,
                color=look.color,
                linestyle=("-", (0, (4, 1.5)))[scenarios.index(scenario) % 2],
                label=label,
            )
        axes.set_yscale("log")
        style.plain_decades(axes.yaxis)
        axes.set_xlabel("Federated round")
        axes.set_ylabel("Epsilon")
        figure.legend(loc="outside upper center", ncols=2)
        write_figure(figure, folder, name, title, "", title)
    return name


def curves(
    folder: Path,
    name: str,
    title: str,
    lines: Mapping[str, Any],
    xlabel: str,
    ylabel: str,
    start: float | None = None,
) -> str:
    """Draw medians with 10-90 % bands: scheme to (x, median, low, high); `start` is a level."""
    with style.sheet():
        figure = style.new_figure(2.4 + style.legend_height(len(lines)))
        axes = figure.add_subplot()
        for scheme, (x, middle, low, high) in lines.items():
            look = style.scheme_style(scheme)
            axes.plot(
                x,
                middle,
                color=look.color,
                linestyle=look.dash,
                marker=look.marker,
                label=look.label,
            )
            axes.fill_between(x, low, high, color=look.color, alpha=0.1, linewidth=0)
        if start is not None:
            axes.axhline(start, color=style.FAINT, linewidth=0.8, label="Before")
        axes.set_xscale("log", base=2)
        first = sorted({x for places, *_ in lines.values() for x in places})
        axes.set_xticks(first, [f"{x:g}" for x in first])
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        style.legend_above(figure, axes)
        write_figure(figure, folder, name, title, "", title)
    return name


def savings(
    folder: Path,
    name: str,
    title: str,
    places: Sequence[tuple[str, Sequence[tuple[Any, ...]]]],
) -> str:
    """Draw savings of time and of energy beside each other; return the figure's name.

    Parameters
    ----------
    places : sequence of (scenario, rows)
        A row is the opponent's label and for time and for energy (median, 10 %, 90 %, ceiling) in
        percent, or None.
    """
    with style.sheet():
        rows = [(place, row) for place, found in places for row in found]
        figure = style.new_figure(0.9 + 0.19 * len(rows))
        panels = figure.subplots(1, 2, sharey=True)
        least = min((x[1] for _, row in rows for x in row[1:] if x is not None), default=0.0)
        left = max(-LIMIT, min(-25.0, 1.1 * least))
        heights = [
            len(rows) - i - 0.4 * [p for p, _ in places].index(rows[i][0]) for i in range(len(rows))
        ]
        for panel, axes in enumerate(panels):
            axes.axvline(0.0, color=style.FAINT, linewidth=0.8)
            for height, (_, row) in zip(heights, rows, strict=True):
                if row[1 + panel] is None:
                    continue
                middle, low, high, most = row[1 + panel]
                look = style.scheme_style("movable")
                ends = [max(x, -LIMIT) for x in (low, high)]
                axes.plot(ends, [height] * 2, color=look.color, linewidth=1.2)
                axes.plot([max(middle, -LIMIT)], [height], "o", color=look.color, markersize=4)
                mark = {"fillstyle": "none", "markersize": 3.5, "clip_on": False}
                axes.plot([most], [height], "D", color=style.INK, **mark)
            axes.set_xlim(left, LIMIT)
            axes.set_title(("Time saved [%]", "Energy saved [%]")[panel], loc="left", fontsize=7)
            axes.tick_params(labelsize=7)
        labels = [f"{place}: {row[0]}" for place, row in rows]
        panels[0].set_yticks(heights, labels, fontsize=6)
        write_figure(figure, folder, name, title, "", title)
    return name
