"""Symbols sent several times: less noise, the same misalignment and powers, more airtime."""

from __future__ import annotations

import numpy as np
import pytest

from schemes.radio import SIZES, air_of, gaussian, link_of, scenario_with, uploads_of

WEAK = {"clients__tx_power_dbm": -20.0, "placement__mode": "fast"}


@pytest.mark.parametrize("name", ["fixed", "truncated", "cotaf"])
@pytest.mark.parametrize("form", ["scalar", "waveform"])
def test_noise_falls_by_the_number_of_repetitions(name: str, form: str) -> None:
    errors, forecasts = [], []
    for count in (1, 4):
        scenario = scenario_with(
            **WEAK,
            aggregation__form=form,
            aggregation__repetition=count,
            aggregation__truncation_db=-300.0,
        )
        link, air = link_of(scenario, name), air_of(scenario, name)
        received = air.combine(uploads_of(gaussian(10)), link, 1.0)
        forecasts.append(air.forecast(link, np.full(10, 0.1), SIZES))
        errors.append(received.mse)
        once = 2500 / (scenario.radio.bandwidth_hz * scenario.radio.efficiency)
        assert received.uplink_s == pytest.approx(count * once)
        assert forecasts[-1].uplink_s == received.uplink_s
        assert np.all(received.uplink_j <= link.radio.powers * received.uplink_s * (1 + 1e-9))
    assert forecasts[0].mse == pytest.approx(4 * forecasts[1].mse)
    assert errors[0] == pytest.approx(4 * errors[1], rel=0.15)  # 5000 entries of chance


def test_misalignment_does_not_average_out() -> None:
    forecasts = []
    for count in (1, 1000):
        scenario = scenario_with(
            **WEAK, aggregation__alignment="capped", aggregation__repetition=count
        )
        link, air = link_of(scenario, "fixed"), air_of(scenario, "fixed")
        forecasts.append(air.forecast(link, np.full(10, 0.1), SIZES))
    once, often = forecasts
    assert once.bias > 0
    # noise alone would fall to a thousandth; with less of it the transceiver aligns better
    assert once.mse / 1000 < often.mse < once.mse
    assert often.bias < once.bias


def test_votes_are_repeated_too() -> None:
    mse = []
    for count in (1, 16):
        scenario = scenario_with(**WEAK, aggregation__repetition=count)
        link, air = link_of(scenario, "obda"), air_of(scenario, "obda")
        mse.append(air.combine(uploads_of(gaussian(10)), link, 1.0).mse)
    assert mse[1] < mse[0]
