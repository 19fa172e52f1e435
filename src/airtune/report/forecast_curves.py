"""Predicted against measured loss of the schemes that were planned by a forecast."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from airtune.report import style
from airtune.report.forecast_figure import fill_forecast
from airtune.report.run_folder import RunFolder, SchemeRun
from airtune.report.values import number

_COLUMNS, _MOST = 3, 9
_HEIGHT = 1.9
_MEASURED = "#77aadd"


def predicted_and_measured(run: RunFolder) -> Any | None:
    """Draw a panel for each scheme with a forecast of its own; None where there is none."""
    found = forecasts(run)
    if not found:
        return None
    panels = list(found.items())[:_MOST]
    columns = min(_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = style.new_figure(_HEIGHT * rows + style.legend_height(3))
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, (name, (forecast, measured)) in zip(grid.flat, panels, strict=False):
        fill_forecast(axes, forecast)
        axes.plot(*measured, ".", color=_MEASURED, markersize=3, label="Measured", zorder=3)
        axes.set_title(style.scheme_style(name).label)
    for axes in grid[-1]:
        axes.set_xlabel("Federated round")
    for row in grid:
        row[0].set_ylabel("Validation loss")
    style.legend_above(figure, grid[0][0])
    return figure


def forecasts(run: RunFolder) -> dict[str, tuple[dict[str, Any], tuple[list[float], list[float]]]]:
    """Return forecast and measured losses by round of each scheme, those of one repetition.

    A shared plan is a forecast of the scheme alone that it was made for.
    """
    found = {}
    for scheme in run.schemes:
        for seed in scheme.seeds:
            forecast = _read(scheme, seed.plan)
            lines = [(line.round, number(line.number("loss"))) for line in seed.metrics]
            known = [(float(index), loss) for index, loss in lines if loss is not None]
            if forecast is not None and known:
                found[scheme.name] = forecast, ([x for x, _ in known], [y for _, y in known])
                break
    return found


def _read(scheme: SchemeRun, plan: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the forecast of a plan for the scheme, as numbers; None where there is none."""
    document, radio = (plan or {}).get("forecast"), (plan or {}).get("radio")
    if not isinstance(document, Mapping) or not isinstance(radio, Mapping):
        return None
    losses, target = document.get("losses"), number(document.get("target"))
    if radio.get("scheme") != scheme.name or not isinstance(losses, list) or target is None:
        return None
    values = [number(loss) for loss in losses]
    if not any(value is not None for value in values):
        return None
    rest = {name: number(document.get(name)) for name in ("rounds", "limit_rounds", "coverage")}
    return {"losses": values, "target": target, **rest}


def in_words(run: RunFolder) -> str:
    """Return the figure in words: rounds predicted to the target, and the last losses."""
    parts = []
    for name, (forecast, measured) in forecasts(run).items():
        rounds = forecast["rounds"]
        said = "never" if rounds is None else f"after {rounds:.3g} rounds"
        label = style.scheme_style(name).label
        parts.append(f"{label}: target predicted {said}, last loss {measured[1][-1]:.3f}")
    return f"Line charts, predicted and measured loss by round. {'; '.join(parts)}."
