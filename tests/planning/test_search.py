"""Plans of least predicted loss, and what happens where no plan reaches the target."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from airtune.costs import batch_energy
from airtune.planning.objective import UNREACHABLE, Forecast, PlainSteps
from airtune.planning.result import FixedCosts, Plan
from airtune.planning.search import predicted_plan
from planning.forecasts import CURVE, objective, problem

TWO = np.ones(2, dtype=bool)


def planned(name: str, *, law: dict[str, Any] | None = None, **changes: Any) -> Plan | None:
    p = problem(**changes)
    zero = np.zeros(2)
    costs = FixedCosts(
        uplink_s=p.round_s, downlink_s=0.0, pilot_s=0.0, move_s=0.0, uplink_j=p.clients.radio_j,
        pilot_j=zero, downlink_j=p.round_j, move_j=0.0,
    )  # fmt: skip
    return predicted_plan(p, objective(name, **(law or {})), costs, TWO, (0, 1))


def least_loss(**changes: Any) -> float:
    """Return the least loss over all rounds, whole batches and a fine grid of back-offs."""
    p, o = problem(**changes), objective("loss")
    c, best = p.clients, np.inf
    far = float(np.sum(c.omega**2 / o.reference))
    for rounds in range(p.rounds[0], p.rounds[1] + 1):
        window = p.latency_s / rounds - p.round_s
        if window <= 0:
            break
        for batch in itertools.product(*(range(1, int(most) + 1) for most in c.batch_max)):
            sizes = np.array(batch, float)
            if np.any(c.cycles * sizes / c.f_max > window * (1 + 1e-12)):
                continue
            own = batch_energy(sizes, window, c.cycles, c.kappa, c.f_min)
            backoffs = np.geomspace(0.01, 1, 200)
            spent = rounds * (own + backoffs[:, None] * c.radio_j)
            backoffs = backoffs[np.all(spent <= c.budget_j, axis=1)]
            if len(backoffs):
                energy = 1 + o.batch_noise * (float(np.sum(c.omega**2 / sizes)) / far - 1)
                pace = np.sqrt((1 + o.chi * p.mse_star / backoffs[-1]) * energy)
                best = min(best, float(np.interp(rounds / pace, np.arange(61), CURVE)))
    return best


@pytest.mark.parametrize(
    "changes",
    [
        {"latency_s": 14.0, "rounds": (1, 20)},
        {
            "latency_s": 30.0,
            "rounds": (1, 20),
            "radio_j": np.array([0.1, 0.1]),
            "budget_j": np.array([0.9, 1.6]),
        },
        {"latency_s": 12.0, "rounds": (12, 12)},
    ],
)
def test_no_plan_has_a_lower_predicted_loss(changes: dict[str, Any]) -> None:
    plan, least = planned("loss", **changes), least_loss(**changes)
    assert plan is not None and plan.forecast is not None
    assert plan.value == plan.forecast.loss
    assert plan.value <= least * (1 + 2e-3)
    assert plan.certificate.lower_bound <= least * (1 + 1e-9)


def test_a_target_out_of_reach_is_answered_by_the_least_loss() -> None:
    short = {"latency_s": 8.0}
    plan, best = planned("time", **short), planned("loss", **short)
    assert plan is not None and best is not None and plan.forecast is not None
    assert plan.forecast.rounds is None and plan.forecast.time_s is None
    assert plan.rounds == best.rounds
    assert plan.value >= UNREACHABLE
    assert plan.forecast.to_dict()["value"] is None


def test_a_budget_that_allows_nothing_has_no_plan() -> None:
    assert planned("time", latency_s=0.5) is None


def test_signs_do_not_follow_the_error() -> None:
    law = {"constant": 1.6}
    weak, strong = (planned("time", law=law, mse_star=mse) for mse in (0.01, 0.9))
    assert weak is not None and strong is not None
    assert weak.value == strong.value


def test_plain_steps_keep_their_pace_and_have_a_floor() -> None:
    quiet = PlainSteps(air=0.0, batch=0.0, floor=0.5, contraction=0.9)
    noisy = replace(quiet, air=1.0)
    plans = [planned("time", law={"plain": law}, mse_star=0.1) for law in (quiet, noisy)]
    assert all(plan is not None and plan.forecast is not None for plan in plans)
    rounds = [plan.forecast.rounds for plan in plans]  # type: ignore[union-attr]  # as asserted
    assert rounds[0] == 9 and rounds[1] > 9
    drowned = planned("time", law={"plain": replace(noisy, air=50.0)}, mse_star=0.1)
    assert drowned is not None and drowned.forecast is not None
    assert drowned.forecast.rounds is None


def test_a_forecast_is_read_as_it_was_written() -> None:
    plan = planned("energy", law={"scores": (0.1,) * 9})
    assert plan is not None and plan.forecast is not None and plan.forecast.rounds is not None
    again = Forecast.from_dict(plan.forecast.to_dict())
    assert again == plan.forecast
    assert Plan.from_dict(plan.to_dict()).forecast == plan.forecast
    assert plan.forecast.limit_rounds == pytest.approx(plan.forecast.rounds * np.exp(0.1))
    assert plan.forecast.losses[0] == CURVE[0]
