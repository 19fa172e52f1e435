"""The broadcast that opens a round: precoded for the weakest of those that take part."""

from __future__ import annotations

import numpy as np
import pytest

from airtune.radio import links

from .radio import SIZES, air_of, link_of, scenario_with

CLIENTS = np.array([0, 2, 3])


def gains(link, w, clients=CLIENTS) -> np.ndarray:
    sums = link.true.of(clients).channel @ w.conj()
    return np.abs(sums) ** 2 / np.linalg.norm(w) ** 2


@pytest.mark.parametrize("seed", range(1, 6))
def test_no_beamformer_of_two_antennas_serves_the_weakest_better(seed: int) -> None:
    scenario = scenario_with(clients__count=4, array__antennas=2)
    link = link_of(scenario, "fixed", seed=seed)
    theta, phi = np.meshgrid(np.linspace(0, np.pi / 2, 400), np.linspace(0, 2 * np.pi, 800))
    grid = np.stack([np.cos(theta), np.sin(theta) * np.exp(1j * phi)]).reshape(2, -1)
    channel = link.true.of(CLIENTS).channel
    best = np.max(np.min(np.abs(channel @ grid.conj()) ** 2, axis=0))
    found = gains(link, link.multicast_beamformer(CLIENTS)).min()
    assert best * (1 - 1e-6) <= found <= best * 1.001  # the grid is that coarse


@pytest.mark.parametrize("name", ["movable", "fixed-2n", "selection", "ris", "digital"])
def test_the_broadcast_is_booked_at_the_rate_of_the_weakest(name: str) -> None:
    scenario = scenario_with(clients__count=4)
    link = link_of(scenario, name)
    booked = air_of(scenario, name).overheads(link, link, CLIENTS, SIZES)
    radio = scenario.radio
    noise = 10 ** ((radio.noise_psd_dbm_hz + radio.noise_figure_db - 30) / 10)
    power = 10 ** ((radio.base_station_power_dbm - 30) / 10)
    snr = power * gains(link, link.multicast_beamformer(CLIENTS)).min()
    snr /= noise * radio.downlink_bandwidth_hz
    rate = radio.downlink_bandwidth_hz * radio.efficiency * np.log2(1 + snr)
    seconds = SIZES.sum() * radio.downlink_bits / rate
    assert booked.downlink_s == pytest.approx(seconds, rel=1e-9)
    assert booked.downlink_j == pytest.approx(power * seconds, rel=1e-9)


def test_a_space_time_code_needs_no_channels_and_takes_longer() -> None:
    plain = scenario_with(clients__count=4, radio__downlink_precoding="space-time")
    precoded = scenario_with(clients__count=4)
    link = link_of(precoded, "fixed")
    slow, fast = (
        air_of(scenario, "fixed").overheads(link, link, CLIENTS, SIZES)
        for scenario in (plain, precoded)
    )
    assert slow.downlink_s > fast.downlink_s
    assert slow.pilot_s == fast.pilot_s
    radio = plain.radio
    noise = 10 ** ((radio.noise_psd_dbm_hz + radio.noise_figure_db - 30) / 10)
    channel = link.true.of(CLIENTS).channel
    rates = links.downlink_rates(
        channel, 1.0, noise * radio.downlink_bandwidth_hz, radio.downlink_bandwidth_hz, 0.9
    )
    assert slow.downlink_s == pytest.approx(SIZES.sum() * radio.downlink_bits / rates.min())


def test_many_clients_are_never_served_worse_than_by_spreading_the_power() -> None:
    """One beam for many clients at one distance may be worse than none: then there is none."""
    kinds = set()
    for seed in range(1, 9):
        scenario = scenario_with(
            clients__count=40,
            clients__distance_m=[300.0, 300.0],
            radio__shadowing_db=0.0,
            array__antennas=2,
        )
        link = link_of(scenario, "fixed", seed=seed)
        everybody = np.arange(40)
        w = link.multicast_beamformer(everybody)
        spread = np.mean(np.abs(link.true.everybody.channel) ** 2, axis=1).min()
        kinds.add(w is None)
        if w is not None:
            assert gains(link, w, everybody).min() > spread
    assert kinds == {True, False}


def test_wrong_channel_knowledge_costs_airtime() -> None:
    worse = []
    for seed in range(1, 6):
        scenario = scenario_with(clients__count=4)
        exact = link_of(scenario, "fixed", seed=seed)
        wrong = link_of(
            scenario_with(clients__count=4, radio__csi__gain_error=1.0), "fixed", seed=seed
        )
        both = [
            air_of(scenario, "fixed").overheads(x, x, CLIENTS, SIZES).downlink_s
            for x in (wrong, exact)
        ]
        worse.append(both[0] > both[1])
    assert all(worse)
