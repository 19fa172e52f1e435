"""Paths of clients that move: phases, angles and strengths follow from the geometry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airtune.errors import InputError
from airtune.radio.channels.base import Paths as Drawn
from airtune.radio.channels.tracks import WINDOW_SPREAD, Tracks
from airtune.radio.units import wavelength
from airtune.scenario import Clients, Csi, Interferers, Mobility, Paths, Radio

LAMBDA = wavelength(3.5e9)


def channel(seed: int = 1, clients: int = 3, others: int = 2, **settings: Any) -> Tracks:
    names = ("paths", "mobility", "csi", "shadowing_db")
    radio = {name: settings[name] for name in names if name in settings}
    return Tracks(
        Radio(channel="tracks", interferers=Interferers(count=others), **radio),
        Clients(count=clients, distance_m=settings.get("distance_m", (100.0, 500.0))),
        seed,
    )


def by_file(tmp_path: Path, times: Any, places: Any, **settings: Any) -> Tracks:
    """A channel of one client whose places are given."""
    path = tmp_path / "walk.npz"
    np.savez(path, times=times, clients=np.asarray(places, float)[:, None])
    mobility = Mobility(track="file", track_file=str(path))
    return channel(1, 1, 0, mobility=mobility, **settings)


def at(one: Tracks, time_s: float) -> Drawn:
    return one.later(0, time_s).clients


def test_phase_of_the_line_of_sight_turns_with_the_cosine_of_the_motion(tmp_path: Path) -> None:
    # 2 m/s at 40 degrees from the line of sight, seen from the client at (30, 0, 40)
    start, towards = np.array([30.0, 0.0, 40.0]), np.array([-0.6, 0.0, -0.8])
    across = np.array([0.8, 0.0, -0.6])
    theta = np.deg2rad(40)
    velocity = 2.0 * (np.cos(theta) * towards + np.sin(theta) * across)
    paths = Paths(fading="rician", count=2)
    walk = by_file(tmp_path, [0.0, 10.0], [start, start + 10 * velocity], paths=paths)
    t = 5e-3  # 1 cm
    gains = [at(walk, time).gains[0, 0] for time in (0.0, t)]
    turned = np.angle(gains[1] / gains[0])
    # 2 pi v cos(theta) t / lambda, up to the curvature v^2 t^2 sin^2 / (2 d)
    assert turned == pytest.approx(2 * np.pi * 2.0 * np.cos(theta) * t / LAMBDA, abs=1e-4)
    assert walk.max_doppler_hz == pytest.approx(2.0 / LAMBDA)


@pytest.mark.parametrize("angles", ["uniform", "cluster"])
def test_every_path_has_the_doppler_shift_of_its_direction_at_the_client(angles: Any) -> None:
    one = channel(paths=Paths(fading="rician", angles=angles), mobility=Mobility(speed_mps=3.0))
    t = 1e-3
    before, after = at(one, 0.0), at(one, t)
    places = one.places["clients"].at(0.0)
    velocity = (one.places["clients"].at(t) - places) / t
    assert np.linalg.norm(velocity, axis=1) == pytest.approx(3.0)
    met, _ = one._scatterers["clients"].met(places)
    met[..., 2] = np.abs(met[..., 2])
    met = np.concatenate([np.zeros((3, 1, 3)), met], axis=1)  # in sight: straight to the array
    to = met - places[:, None]
    to /= np.linalg.norm(to, axis=-1, keepdims=True)
    shift = np.einsum("kld,kd->kl", to, velocity) / LAMBDA
    turned = np.angle(after.gains / before.gains)
    np.testing.assert_allclose(turned, 2 * np.pi * shift * t, atol=2e-3)
    assert (np.abs(shift) <= one.max_doppler_hz * (1 + 1e-9)).all()


def test_angles_distance_loss_and_delays_of_a_known_walk(tmp_path: Path) -> None:
    paths = Paths(fading="rician", rician_k_db=60.0, count=3)
    walk = by_file(
        tmp_path, [0.0, 9.0], [[30.0, -10.0, 100.0], [-60.0, -10.0, 100.0]], paths=paths,
        shadowing_db=0.0,
    )  # fmt: skip
    for t, x in ((0.0, 30.0), (3.0, 0.0), (9.0, -60.0)):
        place = np.array([x, -10.0, 100.0])
        far = np.linalg.norm(place)
        found = at(walk, t)
        np.testing.assert_allclose(found.directions[0, 0], place[:2] / far, rtol=1e-12)
        loss = -10 * np.log10(np.abs(found.gains[0, 0]) ** 2)
        assert loss == pytest.approx(128.1 + 37.6 * np.log10(far / 1000), abs=1e-4)
        assert found.delays[0, 0] == 0.0 and (found.delays[0, 1:] > 0).all()
        assert found.distances is None


def test_shadowing_is_that_of_the_place_and_the_same_for_all(tmp_path: Path) -> None:
    path, count = tmp_path / "two.npz", 2
    places = np.array([[[5.0, 0, 80], [9.0, 0, 80]], [[9.0, 0, 80], [5.0, 0, 80]]])
    np.savez(path, times=[0.0, 1.0], clients=places)
    mobility = Mobility(track="file", track_file=str(path))
    paths = Paths(fading="rician", rician_k_db=60.0)
    two = channel(1, count, 0, mobility=mobility, paths=paths)
    first, last = (np.abs(at(two, t).gains[:, 0]) for t in (0.0, 1.0))
    np.testing.assert_allclose(first, last[::-1], rtol=1e-12)
    assert abs(first[0] / first[1] - 1) > 1e-3


def test_scattered_paths_have_the_law_of_block_fading_around_the_array() -> None:
    one = channel(clients=4000, others=0, shadowing_db=0.0, distance_m=(200.0, 200.0))
    for t in (0.0, 50.0):
        found = at(one, t)
        loss = one._path_gains(one.places["clients"].at(t), np.linalg.norm(
            one.places["clients"].at(t), axis=-1))  # fmt: skip
        relative = np.abs(found.gains) ** 2 / loss[:, None] * 10
        assert relative.mean() == pytest.approx(1.0, abs=0.03)
        assert (relative**2).mean() == pytest.approx(2.0, abs=0.15)  # exponential
        z = np.sqrt(1 - (found.directions**2).sum(axis=-1))
        assert z.mean() == pytest.approx(0.5, abs=0.01)  # over the half sphere


def test_scatterers_about_a_client_go_with_it_and_never_jump() -> None:
    paths = Paths(angles="cluster", angle_spread_deg=5.0, count=40)
    # along the ring at 100 m, in steps of a millimetre about the edges of the windows
    one = channel(clients=1, others=0, paths=paths, mobility=Mobility(speed_mps=10.0))
    scatterers = one._scatterers["clients"]
    window = float(scatterers.window[0, 0])
    start = one.places["clients"].at(0.0)
    for step in np.linspace(0.0, 3 * window, 200):
        along = np.array([1.0, 0.0, 0.0])
        here, there = start + step * along, start + (step + 1e-4 * window) * along
        (met, gains), (next_met, next_gains) = scatterers.met(here), scatterers.met(there)
        assert (np.abs((met - here[:, None])[..., ::2]) <= window / 2 + 1e-9).all()
        assert np.abs(next_gains - gains).max() < 1e-3 * np.abs(scatterers.gains).max() + 1e-12
        same = np.abs(next_met - met).max(axis=-1) == 0
        assert (np.abs(gains[~same]) < 1e-3).all()  # who changes place is not heard


def test_mean_power_and_spread_about_a_client_are_as_set() -> None:
    paths = Paths(angles="cluster", angle_spread_deg=5.0, count=50)
    one = channel(clients=400, others=0, paths=paths, distance_m=(300.0, 300.0))
    places = one.places["clients"].at(30.0)
    met, gains = one._scatterers["clients"].met(places)
    power = np.abs(gains) ** 2
    assert power.sum(axis=1).mean() == pytest.approx(1.0, abs=0.05)
    away = (met - places[:, None])[..., ::2]
    deviation = np.sqrt((power[..., None] * away**2).sum(axis=(0, 1)) / power.sum())
    assert deviation == pytest.approx(300.1 * np.tan(np.deg2rad(5.0)), rel=0.05)
    x = (np.arange(100_000) + 0.5) / 100_000 - 0.5
    density = 2 * np.cos(np.pi * x) ** 2
    assert np.mean(density) == pytest.approx(1.0)
    assert np.sqrt(np.mean(density * x**2)) == pytest.approx(WINDOW_SPREAD, rel=1e-6)


@pytest.mark.parametrize("track", ["straight", "random-waypoint"])
def test_a_block_depends_on_seed_and_round_only(track: Any) -> None:
    def fresh(seed: int) -> Tracks:
        mobility = Mobility(track=track, speed_mps=(1.0, 5.0, 0.0))
        return channel(seed, mobility=mobility, csi=Csi(gain_error=0.1))

    one, other = fresh(1), fresh(1)
    blocks = {t: one.block(t) for t in (9, 2, 5)}
    for t in (2, 5, 9):
        for view in ("true", "perceived"):
            for group in ("clients", "interferers"):
                a, b = (getattr(getattr(x, view), group) for x in (blocks[t], other.block(t)))
                np.testing.assert_array_equal(a.gains, b.gains)
                np.testing.assert_array_equal(a.directions, b.directions)
                np.testing.assert_array_equal(a.delays, b.delays)
    assert not np.array_equal(fresh(2).block(2).true.clients.gains, blocks[2].true.clients.gains)
    # who stands has the paths of the start
    np.testing.assert_array_equal(
        blocks[9].true.clients.gains[2], other.block(0).true.clients.gains[2]
    )
    with pytest.raises(ValueError, match="round must be >= 0"):
        one.block(-1)


def test_spherical_waves_spread_from_scatterers_and_clients() -> None:
    paths = Paths(fading="rician", scatterer_distance_m=(5.0, 6.0))
    found = at(channel(paths=paths), 0.0)
    assert found.distances is not None
    metres = found.distances * LAMBDA
    assert (metres[:, 0] >= 100.0).all()
    assert metres[:, 1:].min() >= 5.0 and metres[:, 1:].max() <= 6.0


@pytest.mark.parametrize("height", [10.0, 1.5])
def test_extremes_stay_finite(height: float) -> None:
    mobility = Mobility(speed_mps=1e4, base_height_m=height, shadowing_distance_m=0.01)
    paths = Paths(fading="rician", angles="cluster", angle_spread_deg=360, block_interval_s=1e4)
    one = channel(paths=paths, mobility=mobility, distance_m=(1.0, 1.0), others=0)
    for t in (0, 1, 1000):
        found = one.block(t).true.clients
        assert np.isfinite(found.gains).all() and np.isfinite(found.delays).all()
        assert (np.linalg.norm(found.directions, axis=-1) <= 1 + 1e-12).all()


def test_a_client_may_start_at_the_array(tmp_path: Path) -> None:
    walk = by_file(
        tmp_path, [0.0, 9.0], [[0.0, 0.0, 0.0], [9.0, 0.0, 0.0]], paths=Paths(angles="cluster")
    )
    for t in (0.0, 4.0, 9.0):
        found = at(walk, t)
        assert np.isfinite(found.gains).all() and (np.abs(found.gains) > 0).any()
        assert np.isfinite(found.directions).all() and np.isfinite(found.delays).all()


def test_shadowing_is_normal_with_the_deviation_that_is_set() -> None:
    def powers(deviation_db: float) -> Any:
        one = channel(clients=2000, others=0, shadowing_db=deviation_db)
        places = one.places["clients"].at(0.0)
        return 10 * np.log10(one._path_gains(places, np.linalg.norm(places, axis=-1)))

    shadowing = powers(8.0) - powers(0.0)
    assert np.std(shadowing) == pytest.approx(8.0, rel=0.2)
    np.testing.assert_allclose(2 * (powers(4.0) - powers(0.0)), shadowing, atol=1e-9)


def test_copies_of_scatterers_have_phases_of_their_own() -> None:
    one = channel(clients=1, others=0, paths=Paths(angles="cluster", count=200))
    scatterers = one._scatterers["clients"]
    start, window = one.places["clients"].at(0.0), float(scatterers.window[0, 0])
    for along in ([1.0, 0.0, 0.0], [0.0, 0.0, 1.0]):
        (_, here), (_, next_) = (
            scatterers.met(start + step * window * np.array(along)) for step in (0, 1)
        )
        np.testing.assert_allclose(np.abs(next_), np.abs(here), rtol=1e-6)
        heard = np.abs(here) > 0
        turns = (next_[heard] / here[heard]) / np.abs(next_[heard] / here[heard])
        assert abs(turns.mean()) < 0.25  # independent: 1 / sqrt(200) = 0.07


def test_scatterers_stand_half_normally_above_the_client() -> None:
    paths = Paths(angles="cluster", angle_spread_deg=5.0, count=50)
    one = channel(clients=200, others=0, paths=paths, distance_m=(300.0, 300.0))
    places = one.places["clients"].at(30.0)
    above = (one._scatterers["clients"].met(places)[0] - places[:, None])[..., 1]
    assert (above >= 0).all()
    deviation = 300.1 * np.tan(np.deg2rad(5.0))
    assert np.mean(above) == pytest.approx(deviation * np.sqrt(2 / np.pi), rel=0.05)
    assert np.sqrt(np.mean(above**2)) == pytest.approx(deviation, rel=0.05)


def test_a_missing_file_is_one_message() -> None:
    mobility = Mobility(track="file", track_file="/no/such/walk.npz")
    with pytest.raises(InputError, match=r"radio\.mobility\.track_file = /no/such/walk\.npz"):
        channel(mobility=mobility)
