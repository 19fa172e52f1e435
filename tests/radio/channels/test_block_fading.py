from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from airtune.radio.channels import block_fading as p
from airtune.radio.channels import csi as c
from airtune.radio.channels.base import Transmitters
from airtune.radio.channels.cell import Stations, place_stations
from airtune.scenario import Clients, Csi, Interferers, Paths, Radio

MANY = 20_000


def stations(count: int = MANY) -> Stations:
    return place_stations(count, (100.0, 500.0), Radio(), 5, "clients")


def drawn(radio: Radio, clients: Clients, seed: int, round_index: int) -> Transmitters:
    """Return the true paths of a round of a fresh channel."""
    return p.BlockFading(radio, clients, seed).block(round_index).true


def assert_same(one: Transmitters, other: Transmitters) -> None:
    for a, b in [(one.clients, other.clients), (one.interferers, other.interferers)]:
        np.testing.assert_array_equal(a.gains, b.gains)
        np.testing.assert_array_equal(a.directions, b.directions)
        np.testing.assert_array_equal(a.delays, b.delays)


@pytest.mark.parametrize(("doppler", "interval"), [(0.3, 1.0), (0.1, 2.0), (1.0, 1.0), (0.0, 1.0)])
def test_correlation_is_the_mean_over_directions_of_motion(doppler: float, interval: float) -> None:
    settings = Paths(doppler_hz=doppler, block_interval_s=interval)
    turn = 2 * np.pi * doppler * interval
    mean, _ = quad(lambda psi: np.cos(turn * np.cos(psi)) / np.pi, 0.0, np.pi)
    assert p.doppler_correlation(settings) == pytest.approx(mean, abs=1e-9)


def test_rayleigh_paths_share_the_mean_power() -> None:
    cell = stations()
    paths = p.initial_paths(cell, Paths(count=4), np.random.default_rng(1))
    assert paths.gains.shape == paths.delays.shape == (MANY, 4)
    assert paths.directions.shape == (MANY, 4, 2)
    relative = np.abs(paths.gains) ** 2 / cell.path_gains[:, None]
    # |a|^2 is exponential of mean 1/4 and the same deviation: five standard errors
    np.testing.assert_allclose(relative.mean(axis=0), 0.25, atol=5 * 0.25 / np.sqrt(MANY))
    np.testing.assert_allclose(relative.std(axis=0), 0.25, rtol=0.1)


def test_rician_line_of_sight_comes_first_with_its_share() -> None:
    cell = stations()
    settings = Paths(fading="rician", rician_k_db=6.0, count=3)
    paths = p.initial_paths(cell, settings, np.random.default_rng(1))
    factor = 10**0.6
    assert paths.gains.shape == (MANY, 4)
    relative = np.abs(paths.gains) ** 2 / cell.path_gains[:, None]
    np.testing.assert_allclose(relative[:, 0], factor / (factor + 1), rtol=1e-12)
    scattered = relative[:, 1:].sum(axis=1).mean()
    assert scattered == pytest.approx(1 / (factor + 1), rel=5 / np.sqrt(3 * MANY))
    np.testing.assert_array_equal(paths.directions[:, 0], cell.directions)
    np.testing.assert_array_equal(paths.delays[:, 0], 0.0)
    assert (paths.delays[:, 1:] > 0).all()


def test_delays_are_exponential() -> None:
    paths = p.initial_paths(stations(), Paths(delay_spread_s=2e-7), np.random.default_rng(1))
    assert paths.delays.mean() == pytest.approx(2e-7, rel=0.02)
    assert (paths.delays > 2e-7).mean() == pytest.approx(np.exp(-1), rel=0.02)


@pytest.mark.parametrize("doppler", [0.1, 0.3, 0.6])
@pytest.mark.parametrize("fading", ["rayleigh", "rician"])
def test_evolution_correlation_and_stationarity(doppler: float, fading: str) -> None:
    cell = stations()
    settings = Paths(fading=fading, count=2, doppler_hz=doppler)  # type: ignore[arg-type]
    rng = np.random.default_rng(2)
    first = p.initial_paths(cell, settings, rng)
    second = p.evolve_paths(first, cell, settings, rng)
    powers = (np.abs(first.gains) ** 2).mean(axis=0)
    products = second.gains * first.gains.conj() / cell.path_gains[:, None]
    powers = (np.abs(first.gains) ** 2 / cell.path_gains[:, None]).mean(axis=0)
    expected = p.doppler_correlation(settings)
    np.testing.assert_allclose(products.mean(axis=0) / powers, expected, atol=8 / np.sqrt(MANY))
    later = second
    for _ in range(10):
        later = p.evolve_paths(later, cell, settings, rng)
    kept = (np.abs(later.gains) ** 2 / cell.path_gains[:, None]).mean(axis=0)
    np.testing.assert_allclose(kept, powers, rtol=10 / np.sqrt(MANY))
    if fading == "rician":
        np.testing.assert_allclose(np.abs(later.gains[:, 0]), np.abs(first.gains[:, 0]), rtol=1e-9)
        assert np.std(np.angle(second.gains[:, 0] / first.gains[:, 0])) > 0.1


def test_directions_drift_by_the_setting() -> None:
    cell = stations()
    settings = Paths(angle_drift_deg=1.0)
    first = p.initial_paths(cell, settings, np.random.default_rng(2))
    second = p.evolve_paths(first, cell, settings, np.random.default_rng(3))
    steep = np.linalg.norm(first.directions, axis=-1) < 0.05  # u is the angle near broadside
    moved = (second.directions - first.directions)[steep]
    assert moved.std() == pytest.approx(np.deg2rad(1.0), rel=0.05)


def test_clusters_keep_their_spread() -> None:
    cell = stations(4000)
    facing = Stations(cell.distances, np.zeros((4000, 2)), cell.path_gains)
    settings = Paths(angles="cluster", angle_spread_deg=6.0, angle_drift_deg=2.0, count=3)
    rng = np.random.default_rng(4)
    paths = p.initial_paths(facing, settings, rng)
    start = np.arcsin(np.linalg.norm(paths.directions, axis=-1))
    for _ in range(60):  # a free walk would end at a spread of 16.6 degrees
        paths = p.evolve_paths(paths, facing, settings, rng)
    end = np.arcsin(np.linalg.norm(paths.directions, axis=-1))
    wanted = 2 * np.deg2rad(6.0) ** 2
    assert (start**2).mean() == pytest.approx(wanted, rel=0.05)
    assert (end**2).mean() == pytest.approx(wanted, rel=0.05)


def test_static_air_does_not_change() -> None:
    radio = Radio(paths=Paths(doppler_hz=0.0, angle_drift_deg=0.0))
    first = drawn(radio, Clients(), 1, 0)
    later = drawn(radio, Clients(), 1, 5)
    np.testing.assert_allclose(later.clients.gains, first.clients.gains, rtol=1e-12)
    np.testing.assert_allclose(later.clients.directions, first.clients.directions, atol=1e-12)


def test_blocks_are_the_same_in_any_order() -> None:
    radio, clients = Radio(), Clients()
    fading = p.BlockFading(radio, clients, 11)
    run = [fading.block(t).true for t in range(5)]
    for t in (4, 2, 2, 0, 3):
        assert_same(fading.block(t).true, run[t])
        assert_same(drawn(radio, clients, 11, t), run[t])
    resumed = p.BlockFading(radio, clients, 11)
    assert_same(resumed.block(3).true, run[3])
    assert_same(resumed.block(4).true, run[4])
    for t in range(4):
        assert not np.any(run[t].clients.gains == run[t + 1].clients.gains)
        assert not np.any(run[t].clients.directions == run[t + 1].clients.directions)


def test_seeds_differ_and_interferers_leave_clients_alone() -> None:
    base = drawn(Radio(), Clients(), 1, 2)
    other = drawn(Radio(), Clients(), 2, 2)
    assert not np.any(base.clients.gains == other.clients.gains)
    quiet = drawn(Radio(interferers=Interferers(count=0)), Clients(), 1, 2)
    assert quiet.interferers.gains.shape == (0, 10)
    np.testing.assert_array_equal(quiet.clients.gains, base.clients.gains)


def test_rounds_start_at_zero() -> None:
    with pytest.raises(ValueError, match=">= 0"):
        drawn(Radio(), Clients(), 1, -1)


def test_perfect_csi_is_the_truth() -> None:
    block = drawn(Radio(), Clients(), 1, 0)
    assert_same(c.perceived(block, Csi(), 1, 0), block)


def test_csi_errors_have_the_set_size() -> None:
    true = p.initial_paths(stations(), Paths(count=5), np.random.default_rng(1))
    seen = c.perceived_paths(
        true, Csi(gain_error=0.1, angle_error_deg=2.0), np.random.default_rng(2)
    )
    error = seen.gains / true.gains - 1.0
    assert np.sqrt((np.abs(error) ** 2).mean()) == pytest.approx(0.1, rel=0.02)
    steep = np.linalg.norm(true.directions, axis=-1) < 0.05
    turned = (seen.directions - true.directions)[steep]
    assert turned.std() == pytest.approx(np.deg2rad(2.0), rel=0.05)
    np.testing.assert_array_equal(seen.delays, true.delays)


def test_csi_errors_are_the_same_for_every_scheme() -> None:
    block, csi = drawn(Radio(), Clients(), 1, 0), Csi(gain_error=0.1)
    assert_same(
        c.perceived(block, csi, 1, 3),
        c.perceived(block, csi, 1, 3),
    )
    other = c.perceived(block, csi, 1, 4)
    assert not np.any(other.clients.gains == c.perceived(block, csi, 1, 3).clients.gains)


def test_what_the_server_perceives_is_in_the_block() -> None:
    csi = Csi(gain_error=0.1, angle_error_deg=1.0)
    block = p.BlockFading(Radio(csi=csi), Clients(), 1).block(3)
    assert_same(block.true, drawn(Radio(), Clients(), 1, 3))
    assert_same(block.perceived, c.perceived(block.true, csi, 1, 3))
