"""Figures of a forecast: the predicted loss over the rounds, and time against energy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from airtune.report import style

_HEIGHT = 2.7
_PREDICTED, _MEASURED = "#ee8866", "#77aadd"


def draw_forecast(
    forecast: Mapping[str, Any], pilot: Sequence[float], folder: Path, name: str = "forecast"
) -> list[Path]:
    """Draw the predicted loss over the rounds, the pilot's losses and the target.

    Parameters
    ----------
    forecast : mapping
        ``forecast`` of a plan's document.
    pilot : sequence of float
        Losses of the pilot, from round 0.
    folder : Path
        Gets the figure as PDF and PNG.
    name : str
        Of the files, without suffix.

    Returns
    -------
    list of Path
    """
    folder.mkdir(parents=True, exist_ok=True)
    with style.sheet():
        figure = style.new_figure(_HEIGHT)
        axes = figure.add_subplot()
        fill_forecast(axes, forecast)
        axes.plot(
            range(len(pilot)), pilot, ".", color=_MEASURED, label="Pilot, without errors", zorder=3
        )
        axes.set_xlabel("Federated round")
        axes.set_ylabel("Validation loss")
        style.legend_above(figure, axes)
        return style.save(figure, folder / name, style.SMALL_DPI)


def fill_forecast(axes: Any, forecast: Mapping[str, Any]) -> None:
    """Draw a predicted curve with its band into axes.

    The band is one-sided, as the limit is: from the predicted curve to the one that is slower by
    the limit's factor.
    """
    rounds, values, late = forecast_curve(forecast)
    axes.plot(rounds, values, color=_PREDICTED, linewidth=1.2, label="Predicted")
    if late:
        share = forecast.get("coverage")
        label = "Up to the limit" + ("" if share is None else f" for {share:.0%} of seeds")
        axes.fill_between(rounds, values, late, color=_PREDICTED, alpha=0.25, lw=0, label=label)
    axes.axhline(forecast["target"], color=style.INK, linewidth=0.7, linestyle=(0, (3, 2)))


def forecast_curve(
    forecast: Mapping[str, Any],
) -> tuple[list[int], list[float], list[float]]:
    """Return rounds, the predicted losses, and those of the slower curve of the limit.

    The last is empty where there is no limit.
    """
    known = [(t, loss) for t, loss in enumerate(forecast["losses"]) if loss is not None]
    rounds, values = [t for t, _ in known], [loss for _, loss in known]
    limit, predicted = forecast.get("limit_rounds"), forecast.get("rounds")
    if limit is None or not predicted:
        return rounds, values, []
    slower = [t / (limit / predicted) for t in rounds]
    return rounds, values, [_at(values, t) for t in slower]


def _at(values: Sequence[float], place: float) -> float:
    """Return a value between those of two rounds."""
    low = int(place)
    if low + 1 >= len(values):
        return values[-1]
    return values[low] + (place - low) * (values[low + 1] - values[low])


def draw_pareto(
    front: Sequence[tuple[float, float]],
    ends: Mapping[str, tuple[float, float]],
    folder: Path,
    name: str,
) -> list[Path]:
    """Draw energy over time to the target.

    Parameters
    ----------
    front : sequence of (float, float)
        Time [s] and energy [J] of each plan, rising in time.
    ends : mapping of str to (float, float)
        Those that minimise an objective, by its name.
    folder : Path
        Gets the figure as PDF and PNG.
    name : str
        Of the files, without suffix.

    Returns
    -------
    list of Path
    """
    folder.mkdir(parents=True, exist_ok=True)
    with style.sheet():
        figure = style.new_figure(_HEIGHT)
        axes = figure.add_subplot()
        axes.plot(*zip(*front, strict=True), ".-", color=_MEASURED, linewidth=1.0, zorder=2)
        middle = 0.5 * (front[0][0] + front[-1][0])
        for label, place in ends.items():
            axes.plot(*place, "o", color=_PREDICTED, markersize=4, zorder=3)
            late = place[0] > middle
            axes.annotate(
                f"least {label}",
                place,
                xytext=(-4 if late else 4, 4),
                textcoords="offset points",
                va="bottom",
                ha="right" if late else "left",
            )
        axes.set_xlabel("Predicted time to the target [s]")
        axes.set_ylabel("Predicted energy to the target [J]")
        axes.margins(0.12)
        return style.save(figure, folder / name, style.SMALL_DPI)
