"""The figure of predicted against measured losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airtune.record.documents import MetricsLine
from airtune.report import figures, forecast_curves, style
from airtune.report.run_folder import RunFolder, SchemeRun, SeedRun

FORECAST = {
    "losses": [3.0, 2.0, 1.5, 1.2],
    "target": 1.3,
    "rounds": 2.5,
    "limit_rounds": 3.0,
    "coverage": 0.9,
}


def run_of(plans: dict[str, Any], losses: tuple[float | None, ...] = (3.0, 2.1, 1.6)) -> RunFolder:
    lines = tuple(
        MetricsLine.model_validate({"round": t, "loss": x, "evaluated": x is not None})
        for t, x in enumerate(losses)
    )
    schemes = tuple(
        SchemeRun(name, None, (SeedRun(0, lines, None, (), True, None, plan),))
        for name, plan in plans.items()
    )
    return RunFolder(Path("x"), {}, "", {}, {}, schemes, ())


def plan(scheme: str, forecast: Any = FORECAST) -> dict[str, Any]:
    return {"radio": {"scheme": scheme}, "forecast": forecast}


def test_a_panel_for_each_scheme_with_a_plan_of_its_own() -> None:
    run = run_of({"movable": plan("movable"), "fixed": plan("movable"), "ideal": {}})
    assert list(forecast_curves.forecasts(run)) == ["movable"]
    assert "target predicted after 2.5 rounds, last loss 1.600" in forecast_curves.in_words(run)
    with style.sheet():
        figure = forecast_curves.predicted_and_measured(run)
    assert figure is not None
    (axes,) = figure.axes
    labels = axes.get_legend_handles_labels()[1]
    assert labels == ["Predicted", "Up to the limit for 90% of seeds", "Measured"]


@pytest.mark.parametrize(
    "broken",
    [
        None,
        {},
        {"forecast": None, "radio": {"scheme": "fixed"}},
        {"forecast": FORECAST},
        plan("fixed", 3),
        plan("fixed", {**FORECAST, "losses": "abc"}),
        plan("fixed", {**FORECAST, "losses": [None, "x"]}),
        plan("fixed", {**FORECAST, "target": None}),
    ],
)
def test_without_a_forecast_there_is_no_figure(broken: Any) -> None:
    assert forecast_curves.predicted_and_measured(run_of({"fixed": broken})) is None


def test_a_run_without_losses_has_no_figure() -> None:
    assert forecast_curves.predicted_and_measured(run_of({"fixed": plan("fixed")}, (None,))) is None


def test_the_figure_is_among_those_of_a_run() -> None:
    (kind,) = [kind for kind in figures.KINDS if kind.name == "forecast"]
    run = run_of({"fixed": plan("fixed", {**FORECAST, "rounds": None, "limit_rounds": None})})
    assert "target predicted never" in figures.describe(kind, run)
