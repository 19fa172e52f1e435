"""The error over v^2 that the server expects once it has the reports (`predicted_error`)."""

from __future__ import annotations

import numpy as np
import pytest

from airtune.schemes import Forecast, Uploads
from schemes.radio import SIZES, air_of, link_of, scenario_with


def uneven(clients: int, spread: float = 4.0) -> Uploads:
    """Updates with a second block ten times the first, of clients up to `spread` times as long."""
    rng = np.random.default_rng(5)
    blocks = np.repeat([1.0, 10.0], SIZES)
    updates = blocks * rng.uniform(1.0, spread, (clients, 1)) * rng.standard_normal((clients, 5000))
    weights = np.full(clients, 1 / clients)
    return Uploads(updates.astype(np.float32), np.arange(clients), weights, SIZES)


@pytest.mark.parametrize("rule", ["block", "loaded", "global"])
@pytest.mark.parametrize("name", ["fixed", "truncated", "cotaf"])
@pytest.mark.parametrize("backoff", [1.0, 0.5])
def test_it_is_the_prediction_that_the_reports_give(name: str, rule: str, backoff: float) -> None:
    scenario = scenario_with(aggregation__normalise=rule, aggregation__truncation_db=-90.0)
    air, link = air_of(scenario, name), link_of(scenario, name)
    # the forecast of truncated inversion is for clients of one norm, as its choice of clients is
    uploads = uneven(scenario.clients.count, spread=1.0 if name == "truncated" else 4.0)
    received = air.combine(uploads, link, backoff)
    assert received is not None
    # with the weights of this round in place of the last reports
    weights = uploads.omega
    if name == "fixed":
        weights = received.effective_weights
    expected = air.predicted_error(air.forecast(link, weights, SIZES), uploads, backoff)
    tolerance = 0.05 if name == "truncated" else 1e-3
    assert received.predicted_mse == pytest.approx(expected, rel=tolerance)


def test_loaded_powers_by_hand() -> None:
    """Blocks of v = 1 and 10: (3000 + 20000)^2 / 5000 over 3000 + 200000 is 0.521."""
    forecast = Forecast(0.4, np.zeros(2), 0.0, backoff=True, bias=0.1)
    blocks = np.repeat([1.0, 10.0], SIZES)
    signs = np.where(np.random.default_rng(0).random((2, 5000)) < 0.5, -1.0, 1.0)
    for start, size in ((0, 3000), (3000, 2000)):  # means of 0, so that v is 1 and 10
        signs[:, start : start + size // 2] = 1.0
        signs[:, start + size // 2 : start + size] = -1.0
    uploads = Uploads((blocks * signs).astype(np.float32), np.arange(2), np.full(2, 0.5), SIZES)
    share = 23_000**2 / 5000 / 203_000
    by_rule = {"block": 1.0, "loaded": share}
    for rule, factor in by_rule.items():
        scenario = scenario_with(aggregation__normalise=rule)
        aligned, silencing = (air_of(scenario, name) for name in ("fixed", "truncated"))
        assert aligned.predicted_error(forecast, uploads, 0.5) == pytest.approx(0.7 * factor)
        # the loss by silent clients has no scale
        assert silencing.predicted_error(forecast, uploads, 0.5) == pytest.approx(
            0.1 + 0.6 * factor
        )


def test_interfaces_without_scales_expect_what_they_forecast() -> None:
    forecast = Forecast(0.4, np.zeros(2), 0.0, backoff=False, bias=0.1)
    uploads = uneven(2)
    for name in ("ideal", "digital"):
        air = air_of(scenario_with(aggregation__normalise="loaded"), name)
        assert air.predicted_error(forecast, uploads, 0.5) == pytest.approx(0.4)


def test_signs_have_no_such_law() -> None:
    forecast = Forecast(0.4, np.zeros(2), 0.0, backoff=False, bias=0.4)
    assert air_of(scenario_with(), "obda").predicted_error(forecast, uneven(2), 1.0) is None
    grouped = air_of(scenario_with(aggregation__groups=2), "obda")
    assert grouped.predicted_error(forecast, uneven(2), 1.0) is None


def test_groups_expect_what_they_forecast() -> None:
    forecast = Forecast(0.4, np.zeros(2), 0.0, backoff=True, bias=0.1)
    air = air_of(scenario_with(aggregation__groups=2), "fixed")
    assert air.predicted_error(forecast, uneven(2), 0.5) == pytest.approx(0.7)
