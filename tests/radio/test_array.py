from __future__ import annotations

import cmath

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.errors import InputError
from airtune.kinds import Complex, Real
from airtune.radio import array, layouts
from airtune.radio.channels.base import Paths


def random_paths(count: int, length: int, seed: int) -> Paths:
    rng = np.random.default_rng(seed)
    gains = rng.standard_normal((count, length)) + 1j * rng.standard_normal((count, length))
    return Paths(gains, rng.uniform(-0.7, 0.7, (count, length, 2)), np.zeros((count, length)))


def channel_by_loop(paths: Paths, positions: Real) -> Complex:
    out = np.zeros((len(paths.gains), len(positions)), dtype=complex)
    for k in range(out.shape[0]):
        for n in range(out.shape[1]):
            for gain, (u_x, u_y) in zip(paths.gains[k], paths.directions[k], strict=True):
                phase = 2 * cmath.pi * (u_x * positions[n][0] + u_y * positions[n][1])
                out[k, n] += gain * cmath.exp(1j * phase)
    return out


@pytest.mark.parametrize(("count", "length", "antennas"), [(3, 4, 5), (1, 1, 1), (10, 7, 2)])
def test_channel_against_a_loop(count: int, length: int, antennas: int) -> None:
    paths = random_paths(count, length, 1)
    positions = np.random.default_rng(2).uniform(0, 4, (antennas, 2))
    expected = channel_by_loop(paths, positions)
    np.testing.assert_allclose(array.channel(paths, positions), expected, rtol=1e-12)


def test_channel_sign_of_the_phase() -> None:
    paths = Paths(np.array([[1.0 + 0j]]), np.array([[[1.0, 0.0]]]), np.zeros((1, 1)))
    quarter = array.channel(paths, np.array([[0.25, 0.0], [0.25, 3.0]]))
    np.testing.assert_allclose(quarter, [[1j, 1j]], atol=1e-12)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_covariance_against_a_loop(count: int) -> None:
    paths = random_paths(count, 4, 3)
    positions = np.random.default_rng(4).uniform(0, 4, (5, 2))
    powers = np.array([0.3, 2.0, 0.7])[:count]
    expected = 0.01 * np.eye(5, dtype=complex)
    for power, v in zip(powers, channel_by_loop(paths, positions), strict=True):
        for m in range(5):
            for n in range(5):
                expected[m, n] += power * v[m] * v[n].conjugate()
    found = array.covariance(array.channel(paths, positions), powers, 0.01)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found, found.conj().T)


@pytest.mark.parametrize(
    ("antennas", "columns", "rows"),
    [(1, 1, 1), (4, 2, 2), (6, 2, 3), (8, 2, 4), (12, 3, 4), (7, 1, 7)],
)
def test_fixed_array_layout(antennas: int, columns: int, rows: int) -> None:
    positions = layouts.fixed_array(antennas, (4.0, 6.0))
    assert positions.shape == (antennas, 2)
    np.testing.assert_allclose(positions.mean(axis=0), [2.0, 3.0])
    assert sorted({round(x, 9) for x in positions[:, 0]}) == pytest.approx(
        2.0 + 0.5 * (np.arange(columns) - (columns - 1) / 2)
    )
    assert sorted({round(y, 9) for y in positions[:, 1]}) == pytest.approx(
        3.0 + 0.5 * (np.arange(rows) - (rows - 1) / 2)
    )
    assert len(np.unique(positions.round(9), axis=0)) == antennas


def test_fixed_array_on_a_line() -> None:
    np.testing.assert_allclose(
        layouts.fixed_array(4, (4.0, 0.0)), [[1.25, 0], [1.75, 0], [2.25, 0], [2.75, 0]]
    )
    np.testing.assert_allclose(layouts.fixed_array(2, (0.0, 1.0)), [[0, 0.25], [0, 0.75]])


def test_fixed_array_in_a_tight_region() -> None:
    # 2 x 4 does not fit, 4 x 2 does
    np.testing.assert_allclose(np.ptp(layouts.fixed_array(8, (1.5, 0.6)), axis=0), [1.5, 0.5])
    # no divisor of 7 fits: a grid of 3 with a last row of one
    seven = layouts.fixed_array(7, (1.0, 1.0))
    assert layouts.is_feasible(seven, (1.0, 1.0), 0.5)
    assert layouts.is_feasible(layouts.fixed_array(9, (1.0, 1.0)), (1.0, 1.0), 0.5)
    with pytest.raises(InputError, match=r"array\.region.*9 antennas.*10"):
        layouts.fixed_array(10, (1.0, 1.0))
    with pytest.raises(InputError, match=r"array\.region"):
        layouts.fixed_array(10, (4.0, 0.0))


@given(st.integers(1, 40), st.floats(0, 5), st.floats(0, 5))
def test_fixed_array_fits_or_is_refused(antennas: int, side_x: float, side_y: float) -> None:
    try:
        positions = layouts.fixed_array(antennas, (side_x, side_y))
    except InputError:
        assert (side_x // 0.5 + 1) * (side_y // 0.5 + 1) < antennas
        return
    assert positions.shape == (antennas, 2)
    assert layouts.is_feasible(positions, (side_x, side_y), 0.5)


def test_feasibility() -> None:
    pair = np.array([[0.0, 0.0], [0.3, 0.4]])
    assert layouts.is_feasible(pair, (1.0, 1.0), 0.5)
    assert not layouts.is_feasible(pair, (1.0, 1.0), 0.51)
    assert not layouts.is_feasible(pair, (1.0, 0.39), 0.5)
    assert not layouts.is_feasible(pair - 0.1, (1.0, 1.0), 0.5)
    assert layouts.is_feasible(pair[:1], (0.0, 0.0), 0.5)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 16), st.floats(2.0, 6.0), st.floats(1.7, 6.0), st.integers(0, 2**32))
def test_random_positions_are_feasible(
    antennas: int, side_x: float, side_y: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    positions = layouts.random_positions(antennas, (side_x, side_y), 0.5, rng)
    assert positions.shape == (antennas, 2)
    assert layouts.is_feasible(positions, (side_x, side_y), 0.5)


@pytest.mark.parametrize(
    ("antennas", "region"),
    [
        (9, (1.0, 1.0)),  # the full square lattice
        (9, (4.0, 0.0)),  # the full line
        (9, (0.0, 4.0)),
        (8, (1.25, 0.8660255)),  # 3 + 2 + 3 needs the hexagonal lattice
        (1, (0.0, 0.0)),
    ],
)
def test_random_positions_in_a_barely_large_region(
    antennas: int, region: tuple[float, float]
) -> None:
    rng = np.random.default_rng(1)
    positions = layouts.random_positions(antennas, region, 0.5, rng, attempts=5)
    assert positions.shape == (antennas, 2)
    assert layouts.is_feasible(positions, region, 0.5)


def test_random_positions_refuse_what_cannot_fit() -> None:
    with pytest.raises(InputError, match=r"array\.region"):
        layouts.random_positions(10, (1.0, 1.0), 0.5, np.random.default_rng(1), attempts=5)


def test_random_positions_cover_the_region() -> None:
    rng = np.random.default_rng(2)
    sets = np.stack([layouts.random_positions(4, (4.0, 2.0), 0.5, rng) for _ in range(2000)])
    np.testing.assert_allclose(sets.mean(axis=(0, 1)), [2.0, 1.0], atol=0.06)
    # repulsion moves antennas outwards a little: more spread than the uniform A / sqrt(12)
    assert (sets.std(axis=(0, 1)) > np.array([4.0, 2.0]) / np.sqrt(12)).all()
