"""What limits a plan, and the bound over T with its figure."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from airtune.bound import BoundParts
from airtune.planning.margins import bound_curve, measure_margins
from airtune.planning.resources import try_plan
from airtune.planning.shortage import make_plan
from airtune.report import plan_figure, style
from allocation.test_client_sampling import MSE, OMEGA, costs, run_of


def air(transmitting: int | None = None) -> SimpleNamespace:
    return SimpleNamespace(
        mse_star=MSE, costs=costs(transmitting), participants=np.ones(len(OMEGA), bool)
    )


def test_margins_are_differences_of_plans() -> None:
    run = run_of({"latency_s": 4.0, "client_energy_j": [0.2, None, 0.3, None]})
    plan = make_plan(run, MSE, costs(None))
    margins = measure_margins(run, air(), plan.bound)  # type: ignore[arg-type]
    longer = make_plan(replace(run, latency_s=4.4), MSE, costs(None)).bound.total
    clearer = make_plan(run, 0.9 * MSE, costs(None)).bound.total
    assert margins.changes["latency_s"] == pytest.approx(longer - plan.bound.total)
    assert margins.changes["air"] == pytest.approx(clearer - plan.bound.total)
    assert "energy_j" not in margins.changes
    assert set(margins.clients) <= {0, 2}
    assert margins.tightest == min(margins.changes, key=lambda name: margins.changes[name])


@pytest.mark.parametrize("transmitting", [None, 2])
def test_the_curve_ends_where_the_budgets_do(transmitting: int | None) -> None:
    run = run_of({"latency_s": 17.0})
    curve = bound_curve(run, air(transmitting), 90)  # type: ignore[arg-type]
    known = {T for T, bound in curve.items() if bound is not None}
    last = max(known)
    assert min(set(curve) - known) == last + 1
    for rounds, there in ((last, True), (last + 1, False)):
        fixed = replace(run, rounds=(rounds, rounds))
        plan = try_plan(fixed, MSE, costs(transmitting), np.ones(4, bool))
        assert (plan is not None) == there


def test_the_legend_fits_into_the_figure(tmp_path) -> None:
    curve = {T: None if T > 9 else BoundParts(1 / T, 0.1, 0.2, 0.3, 0.1) for T in range(1, 12)}
    paths = plan_figure.draw_bound(curve, 6, tmp_path)
    assert all(path.stat().st_size > 0 for path in paths)
    with style.sheet():
        for names in (["a", "b"], ["Beyond the budgets"] * 5, ["a name that is very long " * 4]):
            figure = style.new_figure(2.0)
            axes = figure.add_subplot()
            for name in names:
                axes.plot([0, 1], [0, 1], label=name)
            style.legend_above(figure, axes)
            (legend,) = figure.legends
            assert len(legend.get_texts()) == len(names)
            inside = legend.get_window_extent().width <= figure.bbox.width
            assert inside or len(names) == 1
