"""Logarithmic axes have labels, however little they span."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.report import style, sweep_figures


@settings(deadline=None)
@given(st.floats(-12, 12), st.floats(0.01, 9))
def test_two_to_a_dozen_labels_that_differ(exponent: float, decades: float) -> None:
    low, high = 10**exponent, 10 ** (exponent + decades)
    ticks = style.log_ticks(low, high)
    assert 2 <= len(ticks) <= 12
    assert all(low * (1 - 1e-6) <= x <= high * (1 + 1e-6) for x in ticks)
    written = [style.plain_writer(ticks)(x, style.digits_of(x)) for x in ticks]
    assert len(set(written)) == len(written)


def sweep_of(times: list[float]) -> dict[str, Any]:
    points = [
        {"settings": {"array.antennas": 2 + i}, "schemes": {"fixed": {"time_to_target_s": x}}}
        for i, x in enumerate(times)
    ]
    vary = [{"setting": "array.antennas", "values": [2 + i for i in range(len(times))]}]
    return {"points": points, "vary": vary, "schemes": ["fixed"], "seeds": 1}


@pytest.mark.parametrize(
    "times", [[13.0, 14.0, 17.5], [8.0, 9.5], [3.0, 900.0], [5.0, 5.0], [0.0123, 0.0131], [7.0]]
)
def test_a_sweep_figure_has_labels_on_both_axes(times: list[float]) -> None:
    results = sweep_of(times)
    with style.sheet():
        metric = next(m for m in sweep_figures.METRICS if m.key == "time_to_target_s")
        figure = sweep_figures.over_setting(results, metric, "array.antennas")
        figure.draw_without_rendering()
    axes = figure.axes[0]
    for axis in (axes.xaxis, axes.yaxis):
        low, high = axis.get_view_interval()
        places = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True)
        shown = [label.get_text() for x, label in places if low <= x <= high]
        assert len([text for text in shown if text]) >= min(2, len(times)), (axis, low, high, shown)


def test_many_values_within_one_decade_are_labelled() -> None:
    results = sweep_of([5.0 + x for x in range(12)])
    results["vary"][0]["values"] = values = [20 + 12 * i for i in range(12)]
    for point, value in zip(results["points"], values, strict=True):
        point["settings"] = {"array.antennas": value}
    with style.sheet():
        figure = sweep_figures.over_setting(results, sweep_figures.METRICS[2], "array.antennas")
        figure.draw_without_rendering()
    labels = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert len([text for text in labels if text]) >= 2
