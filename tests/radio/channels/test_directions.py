from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from airtune.kinds import Real
from airtune.radio.channels import directions


def unit_vectors(in_plane: Real) -> Real:
    height = np.sqrt(np.maximum(0.0, 1.0 - (in_plane**2).sum(-1)))
    return np.stack([in_plane[..., 0], in_plane[..., 1], height], axis=-1)


def angle_between(a: Real, b: Real) -> Real:
    return np.arccos(np.clip((unit_vectors(a) * unit_vectors(b)).sum(-1), -1.0, 1.0))


def test_uniform_heights_and_turns() -> None:
    u = directions.uniform((20_000,), np.random.default_rng(1))
    turn = np.arctan2(u[:, 1], u[:, 0])
    assert stats.kstest(unit_vectors(u)[:, 2], "uniform").pvalue > 1e-3
    assert stats.kstest((turn / np.pi + 1) / 2, "uniform").pvalue > 1e-3


@given(st.integers(0, 2**32), st.floats(0.0, 4.0))
def test_steps_stay_on_the_half_sphere(seed: int, deviation: float) -> None:
    rng = np.random.default_rng(seed)
    u = directions.uniform((50,), rng)
    u[0] = (1.0, 0.0)  # on the rim
    for _ in range(3):
        u = directions.random_step(u, deviation, rng)
        assert np.isfinite(u).all()
        assert (np.hypot(u[:, 0], u[:, 1]) <= 1.0 + 1e-15).all()


def test_step_of_zero_is_none() -> None:
    u = directions.uniform((100,), np.random.default_rng(2))
    stepped = directions.random_step(u, 0.0, np.random.default_rng(3))
    np.testing.assert_allclose(stepped, u, atol=1e-12)


def test_step_length_is_the_deviation_about_two_axes() -> None:
    u = np.tile([0.5, -0.2], (40_000, 1))
    stepped = directions.random_step(u, 0.02, np.random.default_rng(4))
    # E angle^2 = 2 deviation^2, relative standard error 1/sqrt(n): five of them
    square = (angle_between(u, stepped) ** 2).mean()
    assert abs(square / (2 * 0.02**2) - 1.0) < 5 / np.sqrt(len(u))
    away = (unit_vectors(stepped) - unit_vectors(u)).mean(axis=0)
    assert np.abs(away).max() < 5 * 0.02 / np.sqrt(len(u)) + 0.02**2


def test_uniform_distribution_is_stationary() -> None:
    rng = np.random.default_rng(5)
    u = directions.uniform((20_000,), rng)
    for _ in range(30):
        u = directions.random_step(u, 0.3, rng)
    assert stats.kstest(unit_vectors(u)[:, 2], "uniform").pvalue > 1e-3


@given(st.integers(0, 2**32), st.floats(0.0, 1.0))
def test_pull_keeps_a_share_of_the_angle(seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    centre = directions.uniform((1,), rng)
    u = directions.uniform((20,), rng)
    pulled = directions.pull(u, centre, factor)
    np.testing.assert_allclose(
        angle_between(pulled, centre), factor * angle_between(u, centre), atol=1e-6
    )
    # on the same great circle: the two parts of the way add up
    np.testing.assert_allclose(
        angle_between(pulled, u), (1 - factor) * angle_between(u, centre), atol=1e-6
    )


def test_pull_of_a_centre_stays() -> None:
    u = directions.uniform((20,), np.random.default_rng(6))
    np.testing.assert_array_equal(directions.pull(u, u, 0.3), u)
