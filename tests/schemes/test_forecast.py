"""Every scheme errs and costs what its forecast says."""

from __future__ import annotations

import numpy as np
import pytest

from airtune.registry import SCHEMES
from quadratic import QuadraticLearner, run_with
from schemes.radio import SIZES, air_of, gaussian, laplace, link_of, scenario_with, uploads_of


@pytest.mark.parametrize(
    ("name", "alignment"), [*((name, "forcing") for name in SCHEMES), ("fixed", "capped")]
)
def test_mean_realised_error_is_the_forecast(name: str, alignment: str) -> None:
    scenario = scenario_with(
        clients__count=4,
        clients__tx_power_dbm=-5.0,
        placement__mode="fast",
        ris__elements=16,
        aggregation__alignment=alignment,
        digital__quantizer="uniform",
        digital__bits=4,
        digital__error_feedback=True,
    )
    air, omega = air_of(scenario, name), np.full(4, 0.25)
    realised, expected = [], []
    for index in range(1, 7):
        link = link_of(scenario, name, index)
        forecast = air.forecast(link, omega, SIZES)
        updates = laplace(4, index) if name == "massive-digital" else gaussian(4, index)
        received = air.combine(uploads_of(updates), link, 1.0)
        realised.append(received.mse or 0.0)
        expected.append(forecast.mse)
        assert 0 <= forecast.bias <= forecast.mse
        if not air.plans_coding:  # the payload of a quantised update depends on its zeros
            assert received.uplink_s == pytest.approx(forecast.uplink_s)
        limits = link.radio.powers * forecast.airtime_s
        assert (received.uplink_j <= limits * (1 + 1e-6)).all()
    if air.sends_signs:  # of one size, whatever that of the numbers is
        assert not any(realised)
        return
    tolerance = 0.3 if air.plans_coding else 0.06
    assert np.mean(realised) == pytest.approx(np.mean(expected), rel=tolerance)


@pytest.mark.parametrize("name", list(SCHEMES))
def test_clients_of_weight_zero_neither_send_nor_cost(name: str) -> None:
    scenario = scenario_with(clients__count=5, placement__mode="fast", ris__elements=4)
    link = link_of(scenario, name)
    omega = np.array([0.5, 0.0, 0.25, 0.25, 0.0])
    forecast = air_of(scenario, name).forecast(link, omega, SIZES)
    assert forecast.airtime_s[[1, 4]].tolist() == [0.0, 0.0]
    assert np.isfinite(forecast.mse)


def test_capped_bias_is_the_misalignment_and_vanishes_with_power() -> None:
    shares = []
    for power in (-20.0, 0.0, 30.0):
        scenario = scenario_with(clients__tx_power_dbm=power, aggregation__alignment="capped")
        air = air_of(scenario, "fixed")
        forecast = air.forecast(link_of(scenario, "fixed"), np.full(10, 0.1), SIZES)
        assert not forecast.backoff
        shares.append(forecast.bias / forecast.mse)
    assert shares[0] > 0.5 > shares[2]
    assert shares == sorted(shares, reverse=True)


def test_misalignment_and_silence_are_bias_in_the_bound_of_an_own_plan(small_scenario) -> None:
    weak = scenario_with(small_scenario, plan="own", clients__tx_power_dbm=-10.0)
    parts = {}
    for name, alignment in (("fixed", "forcing"), ("fixed", "capped"), ("truncated", "forcing")):
        scenario = scenario_with(weak, aggregation__alignment=alignment)
        learner = QuadraticLearner(scenario, 1)
        run = run_with(scenario, name, 1, learner)
        parts[name, alignment] = run.plan.bound
        link = run.scheme.array.link(
            run.repetition.radio(1), run.repetition.omega, run.state.positions
        )
        bias = run.scheme.air.forecast(link, run.repetition.omega, run.repetition.matrix_sizes).bias
        c = run.repetition.constants
        left = 1 - (1 - c.eta * c.mu) ** run.plan.rounds
        expected = left / (2 * c.mu) * c.G_sq * bias
        assert run.plan.bound.bias == pytest.approx(expected, rel=1e-6)
    assert parts["fixed", "forcing"].bias == 0.0
    assert parts["fixed", "capped"].bias > 0.0
    assert parts["fixed", "capped"].air_noise < parts["fixed", "forcing"].air_noise
