from __future__ import annotations

import numpy as np
import pytest

from airtune.radio import links
from airtune.radio.transmission import Air


def test_sinr_is_that_of_the_best_beamformer(air: Air) -> None:
    powers = np.geomspace(0.001, 0.1, 10)
    found = links.single_user_sinr(air.channel, air.covariance, powers)
    R = air.covariance
    rng = np.random.default_rng(1)
    for k, h in enumerate(air.channel):
        w = np.linalg.inv(R) @ h

        def sinr(w: np.ndarray, h: np.ndarray = h, power: float = powers[k]) -> float:
            return float(power * abs(np.vdot(w, h)) ** 2 / np.vdot(w, R @ w).real)

        assert found[k] == pytest.approx(sinr(w), rel=1e-9)
        for _ in range(50):
            other = w + np.linalg.norm(w) * rng.standard_normal(4) * 10 ** rng.uniform(-3, 0)
            assert sinr(other) <= found[k] * (1 + 1e-9)


def test_sinr_of_one_antenna_in_white_noise() -> None:
    found = links.single_user_sinr(np.array([[3e-6j]]), np.array([[1e-13 + 0j]]), np.array([0.1]))
    np.testing.assert_allclose(found, [0.1 * 9e-12 / 1e-13])


@pytest.mark.parametrize(
    ("sinr", "gap_db", "expected"), [(1.0, 0.0, 0.9e6), (3.0, 0.0, 1.8e6), (30.0, 10.0, 1.8e6)]
)
def test_shannon_rate(sinr: float, gap_db: float, expected: float) -> None:
    assert links.shannon_rate(sinr, 1e6, 0.9, gap_db) == pytest.approx(expected, rel=1e-9)


def test_rate_at_very_low_sinr() -> None:
    rate = links.shannon_rate(1e-20, 1e6, 1.0)
    assert rate == pytest.approx(1e6 * 1e-20 / np.log(2), rel=1e-9)


def test_one_after_the_other() -> None:
    # 8 Mbit at 2 Mbit/s and 4 Mbit at 0.5 Mbit/s
    airtime = links.sequential_airtime([8e6, 4e6], np.array([2e6, 5e5]), np.array([0.1, 0.2]))
    np.testing.assert_allclose(airtime.times_s, [4.0, 8.0])
    np.testing.assert_allclose(airtime.energies_j, [0.4, 1.6])
    assert airtime.time_s == pytest.approx(12.0)
    assert airtime.energy_j == pytest.approx(2.0)
    same = links.sequential_airtime(1e6, np.array([2e6, 5e5]), np.array([0.1, 0.2]))
    np.testing.assert_allclose(same.times_s, [0.5, 2.0])


def test_tdma_upload_by_the_direct_formula(air: Air) -> None:
    powers, bits = np.full(10, 0.01), 8 * 1500 + 4 * 32
    rates = links.shannon_rate(
        links.single_user_sinr(air.channel, air.covariance, powers), 1e6, 0.9
    )
    found = links.sequential_airtime(bits, rates, powers)
    for k, h in enumerate(air.channel):
        snr = 0.01 * (h.conj() @ np.linalg.inv(air.covariance) @ h).real
        seconds = bits / (1e6 * 0.9 * np.log2(1 + snr))
        assert found.times_s[k] == pytest.approx(seconds, rel=1e-9)
        assert found.energies_j[k] == pytest.approx(0.01 * seconds, rel=1e-9)


def test_pilots_by_hand() -> None:
    pilots = links.pilot_airtime(8, 1e6, np.array([0.01, 0.1]))
    assert pilots.time_s == pytest.approx(16e-6)
    np.testing.assert_allclose(pilots.energies_j, [8e-8, 8e-7])


def test_downlink_serves_the_weakest() -> None:
    channel = np.array([[3e-6, 3e-6j], [1e-6, 1e-6 * np.sqrt(5)]])  # mean powers 9e-12, 3e-12
    rate = links.downlink_rates(channel, 1.0, 1e-12, 1e6, 0.9).min()
    assert rate == pytest.approx(0.9e6 * 2.0, rel=1e-9)  # log2(1 + 3)


def test_a_precoded_broadcast_has_the_gain_of_its_beamformer() -> None:
    channel = np.array([[3e-6, 3e-6j], [1e-6, 2e-6]])
    w = np.array([2.0, 2.0j])  # |w^H h|^2 / |w|^2 = 18e-12 and 2.5e-12
    rate = links.downlink_rates(channel, 1.0, 1e-12, 1e6, 0.9, w).min()
    assert rate == pytest.approx(0.9e6 * np.log2(3.5), rel=1e-9)
    turned = links.downlink_rates(channel, 1.0, 1e-12, 1e6, 0.9, 1j * w / 7)
    assert turned.min() == pytest.approx(rate)
