"""Arrays that face elsewhere: against antennas placed and waves followed in three dimensions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from airtune.errors import InputError
from airtune.kinds import Real
from airtune.radio.array import channel
from airtune.radio.channels import Paths, Transmitters, directions
from airtune.radio.channels.block_fading import BlockFading
from airtune.radio.channels.turned import Seen, Turned, View, check_isotropic, seen
from airtune.radio.facing import AHEAD, Facing, amplitude
from airtune.scenario import Clients, Radio

REGION = (4.0, 3.0)
ANGLES = st.floats(-180, 180)
FACINGS = st.builds(Facing, ANGLES, st.floats(-90, 90), ANGLES)


def drawn(seed: int, near: bool = False) -> Paths:
    rng = np.random.default_rng(seed)
    gains = rng.standard_normal((3, 7)) + 1j * rng.standard_normal((3, 7))
    towards = directions.uniform((3, 7), rng)
    distances = rng.uniform(20.0, 200.0, (3, 7)) if near else None
    if distances is not None:
        distances[:, 0] = np.inf
    return Paths(gains, towards, rng.uniform(0, 1e-6, (3, 7)), distances)


def turned_by(facing: Facing) -> Real:
    """The same rotation by SciPy; its pitch about x is positive downwards."""
    yaw, pitch, roll = facing.angles
    return Rotation.from_euler("YXZ", [yaw, -pitch, roll], degrees=True).as_matrix()


def directly(paths: Paths, facing: Facing, positions: Real, element: str) -> np.ndarray:
    """What antennas receive that stand, one by one, where the mount has brought them."""
    rotation, middle = turned_by(facing), np.array([*REGION, 0.0]) / 2
    flat = np.column_stack([positions, np.zeros(len(positions))])
    antennas = middle + (flat - middle) @ rotation.T
    received = np.zeros((len(paths.gains), len(positions)), complex)
    for k, row in enumerate(paths.gains):
        for path, gain in enumerate(row):
            u = paths.directions[k, path]
            towards = np.array([*u, np.sqrt(max(0.0, 1 - u @ u))])
            far = np.inf if paths.distances is None else paths.distances[k, path]
            here = towards if np.isinf(far) else far * towards - middle
            here = here / np.linalg.norm(here)
            pattern = amplitude(np.array([here @ axis for axis in rotation.T]), element)
            for n, antenna in enumerate(antennas):
                if np.isinf(far):
                    wave = np.exp(2j * np.pi * towards @ antenna)
                else:
                    way = np.linalg.norm(far * towards - antenna)
                    wave = far / way * np.exp(-2j * np.pi * (way - far))
                received[k, n] += gain * pattern * wave
    return received


@settings(deadline=None, max_examples=40)
@given(FACINGS, st.integers(0, 1000), st.booleans(), st.sampled_from(["isotropic", "tr38901"]))
def test_turned_antennas_receive_what_geometry_says(
    facing: Facing, seed: int, near: bool, element: str
) -> None:
    paths = drawn(seed, near)
    positions = np.random.default_rng(seed).uniform(0, 1, (5, 2)) * REGION
    received = channel(seen(paths, facing, REGION, element), positions)
    expected = directly(paths, facing, positions, element)
    np.testing.assert_allclose(received, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


@given(FACINGS)
def test_the_matrix_is_a_rotation_whose_last_axis_is_ahead(facing: Facing) -> None:
    np.testing.assert_allclose(facing.matrix, turned_by(facing), atol=1e-12)
    yaw, pitch, _ = np.radians(facing.angles)
    ahead = [np.cos(pitch) * np.sin(yaw), np.sin(pitch), np.cos(pitch) * np.cos(yaw)]
    np.testing.assert_allclose(facing.matrix[:, 2], ahead, atol=1e-12)


def test_an_array_straight_ahead_is_the_same_object() -> None:
    paths = drawn(1)
    assert seen(paths, AHEAD, REGION, "isotropic") is paths
    patterned = seen(paths, AHEAD, REGION, "tr38901")
    assert patterned.directions is paths.directions
    assert not np.allclose(patterned.gains, paths.gains)


def test_half_a_turn_shows_its_back() -> None:
    paths = drawn(2)
    behind = seen(paths, Facing(yaw=180.0), REGION, "isotropic")
    np.testing.assert_allclose(np.abs(behind.gains / paths.gains) ** 2, 1e-3)
    np.testing.assert_allclose(behind.directions, paths.directions * [-1, 1], atol=1e-12)
    again = seen(replace(paths), Facing(yaw=180.0), REGION, "tr38901").gains
    assert (np.abs(again) < np.abs(paths.gains)).all()


@pytest.mark.parametrize(
    ("azimuth", "elevation", "gain_db"),
    [  # Table 7.3-1 by hand: 8 dBi less min(12 (el/65)^2 + 12 (az/65)^2, 30)
        (0, 0, 8.0),
        (32.5, 0, 5.0),
        (0, -32.5, 5.0),
        (65, 32.5, -7.0),
        (90, 0, 8 - 12 * (90 / 65) ** 2),
        (180, 0, -22.0),
        (0, 90, 8 - 12 * (90 / 65) ** 2),
    ],
)
def test_the_pattern_is_that_of_the_report(
    azimuth: float, elevation: float, gain_db: float
) -> None:
    az, el = np.radians(azimuth), np.radians(elevation)
    towards = np.array([np.cos(el) * np.sin(az), np.sin(el), np.cos(el) * np.cos(az)])
    assert 20 * np.log10(amplitude(towards, "tr38901")) == pytest.approx(gain_db, abs=1e-6)


def test_a_way_takes_the_longest_drive_and_the_power_of_all() -> None:
    time_s, energy_j = Facing(10.0, -5.0, 0.0).way_to(Facing(-20.0, 10.0, 5.0), 10.0, 2.0)
    assert (time_s, energy_j) == (3.0, 2.0 * (3.0 + 1.5 + 0.5))


def test_blocks_are_drawn_ahead_before_they_are_turned() -> None:
    inner = BlockFading(Radio(), Clients(count=3), seed=1)
    turned = Turned(inner, REGION, "isotropic", lambda _: Facing(yaw=40.0))
    block = turned.block(2)
    assert block.perceived is not block.true or block.true.clients.gains.shape == (3, 10)
    drawn_ahead = turned.ahead(block.perceived, 3, np.random.default_rng(5))
    plain = inner.ahead(inner.block(2).perceived, 3, np.random.default_rng(5))
    expected = seen(plain.clients, Facing(yaw=40.0), REGION, "isotropic")
    np.testing.assert_array_equal(drawn_ahead.clients.gains, expected.gains)
    twice = turned.ahead(drawn_ahead, 1, np.random.default_rng(6))
    assert isinstance(twice, Seen)
    assert turned.max_doppler_hz == inner.max_doppler_hz and turned.turns == inner.turns
    with pytest.raises(TypeError, match="not of this channel"):
        turned.ahead(plain, 1, np.random.default_rng(5))


def test_others_join_as_the_array_sees_them() -> None:
    around = Transmitters(drawn(1), drawn(2))
    view = View(Facing(20.0, 10.0, 0.0), REGION, "tr38901")
    turned, other = view.of(around), view.of(Transmitters(drawn(3), drawn(2)))
    alone = seen(drawn(4), view.facing, REGION, "tr38901")
    joined = turned.with_interferer(drawn(4)).interferers.gains
    np.testing.assert_array_equal(joined[3:], alone.gains)
    mixed = turned.replaced(np.array([True, False, False]), other).clients.gains
    np.testing.assert_array_equal(mixed[0], other.clients.gains[0])
    np.testing.assert_array_equal(mixed[1:], turned.clients.gains[1:])
    straight = turned.facing(AHEAD).clients
    np.testing.assert_array_equal(straight.gains, seen(drawn(1), AHEAD, REGION, "tr38901").gains)


def test_channels_with_patterns_of_their_own_are_refused() -> None:
    class Own(BlockFading):
        isotropic = False

    for channel_ in (Own(Radio(), Clients(), 1), Turned(Own(Radio(), Clients(), 1), REGION, "x")):
        with pytest.raises(InputError, match=r"radio\.channel = own; its gains hold"):
            check_isotropic(channel_, "own", "array.element = tr38901", "isotropic")
