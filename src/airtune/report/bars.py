"""Splits by component, and right answers or preferred answers by domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airtune.record.documents import MetricsLine
from airtune.report import scores, style
from airtune.report.run_folder import RunFolder
from airtune.report.values import common_prefix, members, number, seconds_unit, si

# Totals further apart than this leave no bar to read but the longest: shares are shown instead.
SHARES_ABOVE = 6.0
_BAR = 0.2


def _strip(schemes: int) -> float:
    """Return the height of a row of points, one below the other, in inches."""
    return 0.08 + 0.05 * schemes


def _step(schemes: int) -> float:
    """Return the distance of two schemes' points, in rows."""
    return 0.78 / (schemes - 1) if schemes > 1 else 0.0


def energy_split(run: RunFolder) -> Any | None:
    """Draw the energy of each scheme by component."""
    return _split(run, "energy_j", "Energy", "J")


def latency_split(run: RunFolder) -> Any | None:
    """Draw the simulated time of each scheme by component."""
    return _split(run, "latency_s", "Simulated time", "s")


Rows = Mapping[str, Mapping[str, float]]


def whole(of: Sequence[tuple[Rows, str, str]]) -> Any:
    """Draw stacked bars by component, a bar for each row: a panel for each quantity and unit."""
    parts = {part for rows, _, _ in of for split in rows.values() for part in split}
    names = style.ordered_components(parts)
    height = max(len(rows) for rows, _, _ in of)
    figure = style.new_figure(0.75 + len(of) * (_BAR * height + 0.5))
    panels = figure.subplots(len(of), 1, squeeze=False)[:, 0]
    for axes, (rows, quantity, unit) in zip(panels, of, strict=True):
        _bars(axes, rows, names, quantity, unit)
    style.legend_above(figure, panels[0], handlelength=0.9, handleheight=0.9, columnspacing=1.4)
    return figure


def splits(run: RunFolder, key: str) -> dict[str, dict[str, float]]:
    """Return each finished scheme's positive components."""
    by_scheme = {}
    for scheme in run.schemes:
        parts = members((scheme.result or {}).get(key))
        positive = {name: part.median for name, part in parts.items() if part.median}
        if positive:
            by_scheme[scheme.name] = positive
    return by_scheme


def _split(run: RunFolder, key: str, quantity: str, unit: str) -> Any | None:
    """Draw bars for the whole above points on a log axis, where small components show too."""
    by_scheme = splits(run, key)
    if not by_scheme:
        return None
    names = style.ordered_components({part for split in by_scheme.values() for part in split})
    upper, lower = (
        _BAR * len(by_scheme) + 0.35,
        _strip(len(by_scheme)) * len(names) + 0.35,
    )
    figure = style.new_figure(upper + lower + 0.8 + style.legend_height(len(by_scheme)))
    bars, points = figure.subplots(2, 1, height_ratios=(upper, lower))
    _bars(bars, by_scheme, names, quantity, unit)
    _points(points, by_scheme, names, quantity, unit)
    style.legend_above(figure, bars, handlelength=0.9, handleheight=0.9, columnspacing=1.4)
    handles, labels = points.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=style.LEGEND_COLUMNS, handlelength=1.0
    )
    return figure


def _bars(
    axes: Any, by_scheme: Mapping[str, Any], names: list[str], quantity: str, unit: str
) -> None:
    sums = {name: sum(split.values()) for name, split in by_scheme.items()}
    shares = max(sums.values()) > SHARES_ABOVE * min(sums.values())
    scale, prefix = _axis_unit(list(sums.values()), unit)
    rows = list(range(len(by_scheme)))
    left = [0.0] * len(by_scheme)
    for part in names:
        widths = [
            split.get(part, 0.0) * (100 / sums[name] if shares else 1 / scale)
            for name, split in by_scheme.items()
        ]
        axes.barh(
            rows,
            widths,
            left=left,
            height=0.68,
            color=style.component_color(part),
            edgecolor=style.PAPER,
            linewidth=0.4,
            label=style.component_label(part),
        )
        left = [a + b for a, b in zip(left, widths, strict=True)]
    for row, name in enumerate(by_scheme):
        axes.annotate(
            si(sums[name], unit),
            (left[row], row),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            annotation_clip=False,
        )
    style.name_rows(axes, [style.scheme_style(name).label for name in by_scheme])
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.margins(x=0)
    # Room for the totals, which stand right of the bars.
    axes.set_xlim(0, 1.22 * max(left))
    if shares:
        axes.set_xticks([0, 25, 50, 75, 100])
    axes.set_xlabel(f"Share of {quantity.lower()} [%]" if shares else f"{quantity} [{prefix}]")


def _axis_unit(sums: list[float], unit: str) -> tuple[float, str]:
    if unit == "s":
        return seconds_unit(sums)
    scale, prefix = common_prefix(sums)
    return scale, prefix + unit


def _points(
    axes: Any, by_scheme: Mapping[str, Any], names: list[str], quantity: str, unit: str
) -> None:
    step = _step(len(by_scheme))
    for index, (name, split) in enumerate(by_scheme.items()):
        shift = (index - (len(by_scheme) - 1) / 2) * step
        known = [(split[part], row + shift) for row, part in enumerate(names) if part in split]
        style.draw_points(axes, [p[0] for p in known], [p[1] for p in known], name)
    axes.set_xscale("log")
    style.name_rows(axes, [style.component_label(part) for part in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    for row in range(1, len(names)):
        axes.axhline(row - 0.5, color=style.GRID, linewidth=0.5)
    style.plain_decades(axes.xaxis, lambda x, digits: si(x, unit, digits))
    axes.set_xlabel(f"{quantity} by component (log scale)")


def domain_match(run: RunFolder) -> Any | None:
    """Draw exact match per domain: before fine-tuning, and after it by scheme."""
    return _domains_figure(run, scores.EXACT.key, "Answers exactly right [%]")


def domain_preference(run: RunFolder) -> Any | None:
    """Draw preference accuracy per domain: before fine-tuning, and after it by scheme."""
    return _domains_figure(run, scores.PREFERENCE.key, scores.PREFERENCE.title)


def _domains_figure(run: RunFolder, key: str, xlabel: str) -> Any | None:
    before, after = domain_scores(run, key)
    domains = sorted({name for found in after.values() for name in found})
    if not domains:
        return None
    best = {
        name: max(s.get(name, 0.0) - before.get(name, 0.0) for s in after.values())
        for name in domains
    }
    domains.sort(key=lambda name: (-best[name], name))
    figure = style.new_figure(
        _strip(len(after)) * len(domains) + 0.85 + style.legend_height(len(after) + 1)
    )
    axes = figure.add_subplot()
    step = _step(len(after))
    for row, name in enumerate(domains):
        axes.axhspan(row - 0.5, row + 0.5, color=style.GRID, alpha=0.4 * (row % 2), linewidth=0)
        if name in before:
            label = "Before" if name == next((n for n in domains if n in before), None) else None
            x = 100 * before[name]
            axes.plot(
                [x, x],
                [row - 0.42, row + 0.42],
                color=style.FAINT,
                lw=1.4,
                label=label,
                clip_on=False,
            )
    for index, (scheme, found) in enumerate(after.items()):
        shift = (index - (len(after) - 1) / 2) * step
        rows = [row + shift for row, name in enumerate(domains) if name in found]
        values = [100 * found[name] for name in domains if name in found]
        style.draw_points(axes, values, rows, scheme, clip_on=False)
    style.name_rows(axes, [_short(name) for name in domains])
    axes.set_ylim(len(domains) - 0.5, -0.5)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    axes.set_xlim(-2, 102)
    axes.set_xlabel(xlabel)
    style.legend_above(figure, axes, handlelength=1.2)
    return figure


def domain_scores(
    run: RunFolder, key: str = scores.EXACT.key
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Return a score per domain before fine-tuning, and after it by scheme."""
    before: dict[str, float] = {}
    after = {}
    # After half the rounds a scheme is not to be compared with the finished ones.
    finished = [scheme for scheme in run.schemes if scheme.result is not None]
    for scheme in finished or run.schemes:
        lines = scheme.seeds[0].metrics if scheme.seeds else ()
        scored = [(line.round, known) for line in lines if (known := _domains(line, key))]
        if not scored:
            continue
        # All schemes start from the same model: the first one that tells is enough.
        if scored[0][0] == 0 and not before:
            before = scored[0][1]
        if scored[-1][0] > 0:
            after[scheme.name] = scored[-1][1]
    return before, after


def _domains(line: MetricsLine, key: str) -> dict[str, float]:
    """Return a score by domain, of the domains where it is known."""
    known = {name: number(getattr(score, key)) for name, score in (line.domains or {}).items()}
    return {name: score for name, score in known.items() if score is not None}


def _short(name: str, longest: int = 22) -> str:
    return name if len(name) <= longest else name[: longest - 1] + "…"
