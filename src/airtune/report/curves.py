"""Curves over the run: loss over rounds, simulated time and joules; aggregation error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from airtune.registry import PROPOSAL
from airtune.report import style
from airtune.report.run_folder import RunFolder, SchemeRun
from airtune.report.values import prefix_of, read, seconds_unit, significant

# Ends of the curves further apart than this do not fit one linear axis.
LOG_SPREAD = 8.0
_HEIGHT = 2.6
_MOST_RISE = 3.0
"""A loss that rises above so many times its start leaves the figure."""

# So many names fit beside the curves; more colours than these serve twice, too.
_NAMES_BESIDE = 7

# Where a curve ends, its name and its colour.
End = tuple[float, float, str, str]


def loss_over_rounds(run: RunFolder) -> Any | None:
    """Draw the validation loss over federated rounds."""
    return _loss(run, "round", "Federated round", 1.0)


def loss_over_time(run: RunFolder) -> Any | None:
    """Draw the validation loss over simulated time."""
    scale, unit = seconds_unit(_ends(run, "time_s"))
    return _loss(run, "time_s", f"Simulated time [{unit}]", scale)


def loss_over_energy(run: RunFolder) -> Any | None:
    """Draw the validation loss over the energy spent."""
    ends = sorted(_ends(run, "energy_j"))
    scale, prefix = prefix_of(ends[len(ends) // 2]) if ends else (1.0, "")
    return _loss(run, "energy_j", f"Energy [{prefix}J]", scale)


def aggregation_error(run: RunFolder) -> Any | None:
    """Draw each round's realised aggregation error, and the predicted one where it is known."""
    drawn = [s for s in run.schemes if len(s.series("round", "mse_db")[0]) > 0]
    if not drawn:
        return None
    figure = style.new_figure(_HEIGHT + style.legend_height(len(drawn)))
    axes = figure.add_subplot()
    labels: list[End] = []
    predicted = False
    for scheme in drawn:
        look = style.scheme_style(scheme.name)
        x, y = scheme.series("round", "mse_db")
        ahead = scheme.series("round", "mse_predicted_db")
        if len(ahead[0]) > 1:
            predicted = True
            axes.plot(*ahead, color=look.color, linestyle="-", linewidth=0.8, alpha=0.75)
        axes.plot(
            x,
            y,
            color=look.color,
            linestyle="none" if len(ahead[0]) > 1 else look.dash,
            marker=look.marker,
            markersize=3.0,
            markeredgewidth=0,
            label=look.label,
        )
        labels.append((x[-1], y[-1], look.label, look.color))
    axes.set_xlabel("Federated round")
    axes.set_ylabel("Aggregation error [dB]")
    _whole_numbers(axes)
    if predicted:
        _note(axes, "line: predicted   marker: realised")
    _name_curves(figure, axes, labels)
    return figure


def _loss(run: RunFolder, field: str, xlabel: str, scale: float) -> Any | None:
    curves = [(s, *s.series(field, "loss")) for s in run.schemes]
    curves = [(s, [x / scale for x in xs], ys) for s, xs, ys in curves if xs]
    if not curves:
        return None
    figure = style.new_figure(_HEIGHT + style.legend_height(len(curves)))
    axes = figure.add_subplot()
    logarithmic = field != "round" and _is_wide([xs[-1] for _, xs, _ in curves])
    if logarithmic:
        axes.set_xscale("log")
    top = top_of_losses([ys for _, _, ys in curves])
    labels: list[End] = []
    for index, (scheme, xs, ys) in enumerate(curves):
        look = style.scheme_style(scheme.name)
        points = [(x, y) for x, y in zip(xs, ys, strict=True) if x > 0 or not logarithmic]
        if not points:
            continue
        _draw_seeds(axes, scheme, field, scale, logarithmic)
        axes.plot(
            [p[0] for p in points],
            [p[1] for p in points],
            color=look.color,
            linestyle=look.dash,
            marker=look.marker,
            markevery=_marks(len(points), index, len(curves)),
            markeredgewidth=0,
            label=look.label,
            zorder=3 if scheme.name == PROPOSAL else 2.5,
        )
        labels.append((points[-1][0], min(points[-1][1], top), look.label, look.color))
    axes.set_xlabel(xlabel)
    axes.set_ylabel("Validation loss [nat]")
    if math.isfinite(top):
        axes.set_ylim(top=top)
        _note(axes, "curves that leave at the top diverged")
    if field == "round":
        _whole_numbers(axes)
    elif logarithmic:
        style.plain_decades(axes.xaxis, significant)
    _target_line(axes, run, inside=field == "round")
    if field == "round":
        _name_curves(figure, axes, labels)
    else:
        # The curves end at different places: names at the edge would need long leaders.
        style.legend_above(figure, axes)
    return figure


def top_of_losses(losses: Sequence[Sequence[float]]) -> float:
    """Return where the axis of losses ends, infinite where all of them fit it.

    One that diverged by orders of magnitude would leave nothing to see of the others.

    Examples
    --------
    >>> top_of_losses([[2.0, 1.0], [2.0, 2.5]]), top_of_losses([[2.0, 1.0], [2.0, 1e30]])
    (inf, 3.0)
    """
    start = max(ys[0] for ys in losses)
    fits = max(max(ys) for ys in losses) <= _MOST_RISE * start
    return math.inf if fits else 1.5 * start


def _draw_seeds(axes: Any, scheme: SchemeRun, field: str, scale: float, positive: bool) -> None:
    """Draw each repetition as a hairline behind the median."""
    if len(scheme.seeds) < 2:
        return
    color = style.scheme_style(scheme.name).color
    for seed in scheme.seeds:
        points = SchemeRun(scheme.name, None, (seed,)).series(field, "loss")
        shown = [(x / scale, y) for x, y in zip(*points, strict=True) if x > 0 or not positive]
        axes.plot([p[0] for p in shown], [p[1] for p in shown], color=color, lw=0.4, alpha=0.45)


def _ends(run: RunFolder, field: str) -> list[float]:
    series = (scheme.series(field, "loss")[0] for scheme in run.schemes)
    return [xs[-1] for xs in series if xs and xs[-1] > 0]


def _is_wide(ends: Sequence[float]) -> bool:
    positive = [x for x in ends if x > 0]
    return bool(positive) and max(positive) > LOG_SPREAD * min(positive)


def _marks(points: int, index: int, curves: int) -> tuple[int, int]:
    """Return a start and a step that keep the markers of neighbouring curves apart."""
    step = max(1, round(points / 7))
    return (index * step // max(1, curves), step)


def _target_line(axes: Any, run: RunFolder, *, inside: bool) -> None:
    target = read(run.results.get("target_loss")).median
    if target is None:
        return
    axes.axhline(target, color=style.FAINT, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1.5)
    # Over rounds the curves are far above the target at the left; over time they may pass there.
    axes.annotate(
        f"target {target:.2f}" if inside else f"target\n{target:.2f}",
        (0 if inside else 1, target),
        xycoords=axes.get_yaxis_transform(),
        xytext=(3, -3) if inside else (4, 0),
        textcoords="offset points",
        va="top" if inside else "center",
        color=style.FAINT,
        annotation_clip=False,
    )


def _name_curves(figure: Any, axes: Any, ends: Sequence[End]) -> None:
    if len(ends) > _NAMES_BESIDE:
        style.legend_above(figure, axes)
    else:
        _label_ends(axes, ends)


def _label_ends(axes: Any, ends: Sequence[End]) -> None:
    """Write each curve's name at the right edge, level with its end as far as there is room."""
    axes.margins(y=0.06)
    low, high = axes.get_ylim()
    line = 10.5 / (72 * (axes.figure.get_figheight() - 0.45))
    wanted = sorted((((end[1] - low) / (high - low), *end) for end in ends), key=_height)
    heights = spread([entry[0] for entry in wanted], line)
    for height, (_, x, y, label, color) in zip(heights, wanted, strict=True):
        leader = {
            "arrowstyle": "-",
            "color": color,
            "linewidth": 0.5,
            "alpha": 0.55,
            "shrinkA": 1,
            "shrinkB": 2,
            "relpos": (0, 0.5),
        }
        axes.annotate(
            label,
            xy=(x, y),
            xycoords="data",
            xytext=(1.045, height),
            textcoords="axes fraction",
            va="center",
            color=color,
            annotation_clip=False,
            arrowprops=leader,
        )


def _height(entry: tuple[float, Any, Any, Any, Any]) -> float:
    return entry[0]


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Return increasing heights at least `gap` apart, as near the wanted ones as that allows.

    Neighbours that would touch are merged into a block around the mean of their wishes; all stay
    within 0 and 1 where they fit there.
    """
    blocks: list[list[float]] = []
    for wish in wanted:
        blocks.append([wish])
        while len(blocks) > 1 and _bottom(blocks[-1], gap) - _top(blocks[-2], gap) < gap:
            last = blocks.pop()
            blocks[-1] += last
    heights = [_bottom(block, gap) + i * gap for block in blocks for i in range(len(block))]
    count = len(heights)
    heights = [min(h, 1 - (count - 1 - i) * gap) for i, h in enumerate(heights)]
    return [max(h, i * gap) for i, h in enumerate(heights)]


def _bottom(block: list[float], gap: float) -> float:
    return sum(block) / len(block) - gap * (len(block) - 1) / 2


def _top(block: list[float], gap: float) -> float:
    return _bottom(block, gap) + gap * (len(block) - 1)


def _note(axes: Any, text: str) -> None:
    axes.annotate(
        text,
        (1, 1),
        xycoords="axes fraction",
        ha="right",
        va="bottom",
        fontsize=7,
        color=style.FAINT,
    )


def _whole_numbers(axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
