"""Uploads, reports and broadcast of a cost twin, by hand; errors stay those of the updates."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from airtune.errors import InputError
from airtune.kinds import Integer, Real
from airtune.radio.access import upload
from airtune.radio.successive import sdma
from airtune.registry import SCHEMES
from airtune.scenario import Scenario
from airtune.scenario.costs import SHAPES
from airtune.schemes import (
    AirInterface,
    Forecast,
    HalfWavelengthArray,
    Link,
    Reception,
    Scheme,
    Signalling,
    Uploads,
)
from schemes.radio import SIZES, air_of, gaussian, link_of, scenario_with, uploads_of

D, BLOCKS = 2_662_400, 104
SYMBOLS = 1_331_200
CLIENTS = np.arange(10)


def twinned(**changes: object) -> Scenario:
    return scenario_with(costs__model="openllama-3b-qv", placement__mode="fast", **changes)


def test_the_share_of_the_entries_is_to_the_nearest() -> None:
    twin = SHAPES["openllama-3b-qv"]
    assert twin.entries_for(5000, 5000) == D
    assert twin.entries_for(0, 5000) == 0
    assert twin.entries_for(3000, 5000) == 1_597_440
    assert twin.entries_for(1, 3) == 887_467  # 887,466.67


@pytest.mark.parametrize("name", ["fixed", "movable", "truncated", "cotaf", "obda", "selection"])
def test_analog_airtime_is_that_of_the_twin_s_entries(name: str) -> None:
    scenario = twinned(aggregation__repetition=2)
    air, link = air_of(scenario, name), link_of(scenario, name)
    plain = air_of(scenario_with(scenario, costs__model="none"), name)
    radio = scenario.radio
    airtime = 2 * SYMBOLS / (radio.bandwidth_hz * radio.efficiency)
    omega, sent = np.full(10, 0.1), uploads_of(gaussian(10))
    one, other = (a.forecast(link, omega, SIZES) for a in (plain, air))
    assert other.uplink_s == airtime
    assert one.uplink_s == 2 * 2500 / (radio.bandwidth_hz * radio.efficiency)
    assert (other.mse, other.bias, other.backoff) == (one.mse, one.bias, one.backoff)
    before, after = (a.combine(sent, link, 1.0) for a in (plain, air))
    assert np.array_equal(after.mean, before.mean)
    assert after.mse == before.mse
    assert after.uplink_s == airtime
    assert after.uplink_j == pytest.approx(before.uplink_j * SYMBOLS / 2500)


def test_half_of_the_matrices_are_half_of_the_twin_s_airtime() -> None:
    updates = gaussian(10, sizes=np.array([2500, 2500]))
    updates[:, 2500:] = 0.0  # B has no gradient yet, or A has none
    scenario = twinned()
    received = air_of(scenario, "fixed").combine(
        uploads_of(updates, np.array([2500, 2500])), link_of(scenario, "fixed"), 1.0
    )
    radio = scenario.radio
    assert received.uplink_s == SYMBOLS / 2 / (radio.bandwidth_hz * radio.efficiency)


@pytest.mark.parametrize("access", ["tdma", "best"])
def test_digital_bits_are_those_of_the_twin(access: str) -> None:
    scenario = twinned(digital__quantizer="uniform", digital__bits=4, digital__access=access)
    air, link = air_of(scenario, "digital"), link_of(scenario, "digital")
    bits = np.full(10, 4.0 * D + 32 * BLOCKS)
    expected = upload(air.uplink(link, CLIENTS), bits, access)  # type: ignore[arg-type]
    forecast = air.forecast(link, np.full(10, 0.1), SIZES)
    received = air.combine(uploads_of(gaussian(10)), link, 1.0)
    assert forecast.uplink_s == received.uplink_s == expected.time_s
    assert np.array_equal(received.uplink_j, expected.energies_j)
    plain = air_of(scenario_with(scenario, costs__model="none"), "digital")
    own = plain.combine(uploads_of(gaussian(10)), link, 1.0)
    assert np.array_equal(received.mean, own.mean)
    assert received.mse == own.mse


def test_digital_bits_of_a_matrix_of_zeros_are_its_scale_only() -> None:
    updates = gaussian(10, sizes=np.array([2500, 2500]))
    updates[:, 2500:] = 0.0
    scenario = twinned(digital__quantizer="uniform", digital__bits=8, digital__access="tdma")
    air, link = air_of(scenario, "digital"), link_of(scenario, "digital")
    received = air.combine(uploads_of(updates, np.array([2500, 2500])), link, 1.0)
    bits = 8 * D // 2 + 32 * BLOCKS
    assert received.uplink_s == pytest.approx(
        float(np.sum(bits / air.single_user_rates(link, CLIENTS)))
    )


def test_automatic_bits_follow_the_errors_of_the_updates_that_are_sent() -> None:
    """Longer matrices need a finer grid; those of the twin are not what is quantised."""
    quality = {"digital__bits": "auto", "digital__quality_db": -29.7}
    scenario = twinned(**quality)
    plain = scenario_with(scenario, costs__model="none")
    link, omega = link_of(scenario, "digital"), np.full(10, 0.1)
    one, other = (air_of(s, "digital").forecast(link, omega, SIZES).mse for s in (plain, scenario))
    assert one == other


@pytest.mark.parametrize(
    ("name", "normalise", "scalars"),
    [
        ("fixed", "block", 2 * BLOCKS),
        ("fixed", "loaded", 2 * BLOCKS),
        ("fixed", "global", 2),
        ("cotaf", "block", BLOCKS),
        ("obda", "block", BLOCKS),
        ("digital", "block", 0),
    ],
)
def test_a_report_has_the_scales_of_all_blocks(name: str, normalise: str, scalars: int) -> None:
    scenario = twinned(aggregation__normalise=normalise, aggregation__scale_bits=16)
    assert air_of(scenario, name).reported_bits(SIZES) == 16 * scalars


@pytest.mark.parametrize(("normalise", "blocks"), [("block", BLOCKS), ("global", 1)])
def test_joint_reports_are_full_at_first_and_half_then(normalise: str, blocks: int) -> None:
    scenario = twinned(aggregation__scale_reports="joint", aggregation__normalise=normalise)
    air, link = air_of(scenario, "fixed"), link_of(scenario, "fixed")
    uploads = uploads_of(gaussian(10))
    first = air.combine(uploads, link, 1.0)
    assert first.report_bits.tolist() == [16.0 * 2 * blocks] * 10
    second = air.combine(replace(uploads, memory=first.memory), link, 1.0)
    assert second.report_bits.tolist() == [8.0 * 2 * blocks] * 10
    booked = air.pilots(link, CLIENTS, SIZES, Signalling(report_bits=second.report_bits))
    bits = np.full(10, 8.0 * 2 * blocks)
    reports_s = sdma(air.uplink(link, CLIENTS), bits).time_s
    radio = scenario.radio
    pilots_s = 10 * radio.pilot_symbols_per_client / radio.bandwidth_hz
    assert booked.pilot_s == pytest.approx(pilots_s + reports_s)


def test_the_broadcast_has_the_twin_s_entries() -> None:
    scenario = twinned()
    air, link = air_of(scenario, "fixed"), link_of(scenario, "fixed")
    plain = air_of(scenario_with(scenario, costs__model="none"), "fixed")
    own = plain.overheads(link, link, CLIENTS, SIZES)
    booked = air.overheads(link, link, CLIENTS, SIZES)
    assert booked.downlink_s == pytest.approx(own.downlink_s * D / 5000)
    assert booked.downlink_j == pytest.approx(own.downlink_j * D / 5000)


def test_groups_each_have_the_twin_s_airtime() -> None:
    scenario = twinned(aggregation__groups=3)
    air, link = air_of(scenario, "fixed"), link_of(scenario, "fixed")
    radio = scenario.radio
    airtime = SYMBOLS / (radio.bandwidth_hz * radio.efficiency)
    received = air.combine(uploads_of(gaussian(10)), link, 1.0)
    assert received.uplink_s == pytest.approx(3 * airtime)
    assert received.times_s == pytest.approx([airtime] * 10)
    assert air.forecast(link, np.full(10, 0.1), SIZES).uplink_s == pytest.approx(3 * airtime)
    assert air.reported_bits(SIZES) == 16 * 2 * BLOCKS


@pytest.mark.parametrize("name", list(SCHEMES))
def test_every_scheme_forecasts_what_it_books(name: str) -> None:
    scenario = twinned(ris__elements=4, clients__count=4, digital__quantizer="lloyd-max")
    air, link = air_of(scenario, name), link_of(scenario, name)
    forecast = air.forecast(link, np.full(4, 0.25), SIZES)
    received = air.combine(uploads_of(gaussian(4)), link, 1.0)
    assert received.uplink_s == pytest.approx(forecast.uplink_s)
    assert math.isfinite(forecast.uplink_s)
    assert (forecast.uplink_s > 0) == (name != "ideal")


class Uncompressed(AirInterface):
    """32-bit entries in turn, without a word of twins."""

    def forecast(self, link: Link, omega: Real, matrix_sizes: Integer) -> Forecast:
        return Forecast(0.0, np.zeros(len(omega)), 0.0, backoff=False)

    def combine(self, uploads: Uploads, link: Link, backoff: float) -> Reception | None:
        return None


def test_an_interface_that_cannot_book_twins_is_refused() -> None:
    scheme = Scheme("plain", HalfWavelengthArray, Uncompressed)
    assert scheme.build(scenario_with(), 1).air.twin is None
    with pytest.raises(InputError, match=r"costs\.model = 'openllama-3b-qv': .* scheme 'plain'"):
        scheme.build(twinned(), 1)
