"""Spherical waves: against geometry, against plane waves far away, and what stands for them."""

from __future__ import annotations

import numpy as np
import pytest

from airtune.kinds import Real
from airtune.radio.array import channel, response, response_slopes
from airtune.radio.channels.base import Paths
from airtune.radio.channels.block_fading import BlockFading
from airtune.radio.plane_waves import interpolated, tangent
from airtune.radio.units import wavelength
from airtune.scenario import Clients, Radio

PLACES = np.random.default_rng(4).uniform(0.0, 4.0, (7, 2))


def paths(distance: float | None, seed: int = 1) -> Paths:
    rng = np.random.default_rng(seed)
    shape = (3, 5)
    turn, radius = rng.uniform(0, 2 * np.pi, shape), np.sqrt(rng.uniform(0, 0.9, shape))
    u = np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=-1)
    gains = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    distances = None if distance is None else np.full(shape, distance)
    return Paths(gains, u, np.zeros(shape), distances)


def test_a_spherical_wave_follows_the_way_from_its_source() -> None:
    near = paths(9.0)
    assert near.distances is not None
    upwards = np.sqrt(1 - (near.directions**2).sum(axis=-1))
    sources = 9.0 * np.concatenate([near.directions, upwards[..., None]], axis=-1)
    antennas = np.pad(PLACES, ((0, 0), (0, 1)))
    ways = np.linalg.norm(sources[:, :, None] - antennas, axis=-1)
    expected = 9.0 / ways * np.exp(-2j * np.pi * (ways - 9.0))
    np.testing.assert_allclose(response(near, PLACES), expected, rtol=1e-11)


def error(distance: float) -> float:
    far, plane = paths(distance), paths(None)
    return float(np.abs(channel(far, PLACES) - channel(plane, PLACES)).max())


def test_spherical_waves_become_plane_as_one_over_the_distance() -> None:
    errors = [error(d) for d in (1e3, 1e4, 1e5, 1e6)]
    ratios = np.array(errors[:-1]) / errors[1:]
    np.testing.assert_allclose(ratios, 10.0, rtol=0.05)
    assert error(np.inf) == 0.0


@pytest.mark.parametrize("distance", [3.0, 50.0, None])
def test_slopes_are_derivatives(distance: float | None) -> None:
    step, waves = 1e-6, paths(distance)
    for axis in range(2):
        move = step * np.eye(2)[axis]
        difference = (response(waves, PLACES + move) - response(waves, PLACES - move)) / (2 * step)
        np.testing.assert_allclose(response_slopes(waves, PLACES)[..., axis], difference, atol=1e-7)


def test_tangent_waves_agree_at_their_point_to_second_order() -> None:
    near, point = paths(12.0), np.array([2.0, 1.5])
    plane = tangent(near, point)
    assert plane.distances is None
    assert (np.linalg.norm(plane.directions, axis=-1) <= 1.0).all()
    np.testing.assert_allclose(channel(plane, point[None]), channel(near, point[None]), rtol=1e-11)
    off = [
        np.abs(channel(plane, point + step) - channel(near, point + step)).max()
        for step in (np.array([[1e-2, 2e-2]]), np.array([[1e-3, 2e-3]]))
    ]
    assert off[0] / off[1] == pytest.approx(10.0, rel=0.3)  # amplitudes; phases: the square
    whole = PLACES
    middle = tangent(paths(400.0), np.array([2.0, 2.0]))
    corner = np.abs(channel(middle, whole) - channel(paths(400.0), whole)).max()
    assert corner < 0.5 * np.abs(channel(paths(None), whole) - channel(paths(400.0), whole)).max()


@pytest.mark.parametrize("slopes", [False, True])
def test_interpolated_waves_agree_at_the_places(slopes: bool) -> None:
    places = np.stack(np.meshgrid([0.0, 0.7, 4.0], [0.2, 1.0, 3.3]), axis=-1).reshape(-1, 2)
    near = paths(6.0)
    plane = interpolated(near, places, slopes=slopes)
    assert plane.distances is None
    np.testing.assert_allclose(channel(plane, places), channel(near, places), atol=1e-9)
    assert (np.linalg.norm(plane.directions, axis=-1) <= 1.0).all()

    def tilt(waves: Paths) -> Real:
        return np.einsum("kl,klnd->knd", waves.gains, response_slopes(waves, places))

    if slopes:
        np.testing.assert_allclose(tilt(plane), tilt(near), atol=1e-7)
    nobody = near.of(np.arange(0))
    assert interpolated(nobody, places).gains.shape[0] == 0
    same = paths(None)
    assert interpolated(same, places) is same
    assert tangent(same, places[0]) is same


def test_near_scatterers_of_block_fading() -> None:
    settings = {"fading": "rician", "scatterer_distance_m": (2.0, 5.0)}
    radio = Radio.model_validate({"paths": settings})
    plain = Radio.model_validate({"paths": {"fading": "rician"}})
    clients = Clients(count=4)
    near, far = (BlockFading(one, clients, 3) for one in (radio, plain))
    metre = wavelength(radio.carrier_hz)
    for t in (0, 3):
        one, other = near.block(t).true.clients, far.block(t).true.clients
        assert np.array_equal(one.gains, other.gains)
        assert np.array_equal(one.directions, other.directions)
        assert other.distances is None
        assert one.distances is not None
        np.testing.assert_allclose(one.distances[:, 0] * metre, near.clients.distances)
        scattered = one.distances[:, 1:] * metre
        assert ((scattered >= 2.0) & (scattered <= 5.0)).all()
    with pytest.raises(ValueError, match="scatterer_distance_m"):
        Radio.model_validate({"paths": {"scatterer_distance_m": (5.0, 2.0)}})


def test_paths_keep_their_distances_when_put_together() -> None:
    near, far = paths(5.0), paths(None)
    both = near.joined(far)
    assert both.distances is not None
    assert (both.distances[:3] == 5.0).all()
    assert np.isinf(both.distances[3:]).all()
    np.testing.assert_allclose(channel(both, PLACES)[3:], channel(far, PLACES))
    mixed = far.replaced(np.array([True, False, False]), near)
    np.testing.assert_allclose(channel(mixed, PLACES)[0], channel(near, PLACES)[0])
    np.testing.assert_allclose(channel(mixed, PLACES)[1:], channel(far, PLACES)[1:])
    longer = near.filled(8).joined(far)
    np.testing.assert_allclose(channel(longer, PLACES), channel(both, PLACES))
