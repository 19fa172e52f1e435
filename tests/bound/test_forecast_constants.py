"""Fits of chi to runs that follow the law, and the floor of plain SGD."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.bound import forecast_constants as f
from airtune.bound.forecast import slowdown


@settings(deadline=None)
@given(chi=st.floats(0.5, 30), mse=st.lists(st.floats(0.01, 1), min_size=1, max_size=9))
def test_chi_is_found_in_runs_that_follow_the_law(chi: float, mse: list[float]) -> None:
    assert f.fit_chi(mse, slowdown(mse, chi)) == pytest.approx(chi, rel=1e-5)


@settings(deadline=None)
@given(chi=st.floats(0.5, 30), wild=st.floats(1, 50))
def test_a_run_that_is_off_does_not_decide_chi(chi: float, wild: float) -> None:
    mse = [0.05, 0.1, 0.2, 0.4, 0.8]
    factors = slowdown(mse, chi)
    factors[2] = wild
    assert f.fit_chi(mse, factors) == pytest.approx(chi, rel=1e-5)


def test_chi_needs_a_run_that_arrived() -> None:
    with pytest.raises(ValueError, match="no run has reached"):
        f.fit_chi([0.5], [np.inf])


@settings(deadline=None, max_examples=25)
@given(
    chi=st.floats(0.5, 30),
    late=st.lists(st.floats(0.5, 2), min_size=1, max_size=4),
    start=st.floats(1, 40),
)
def test_rounds_of_a_seed_do_not_matter_to_chi(chi: float, late: list[float], start: float) -> None:
    mse = np.array([0.0, 0.1, 0.3, 1.0])
    rounds = np.concatenate([start * factor * slowdown(mse, chi) for factor in late])
    seeds = np.repeat(np.arange(len(late)), len(mse))
    found, scatter = f.fit_chi_by_seed(seeds, np.tile(mse, len(late)), rounds)
    assert found == pytest.approx(chi, rel=1e-3)
    assert scatter < 1e-3


def test_an_unlucky_error_free_run_hardly_moves_chi() -> None:
    """Four noisy runs of a seed tell its pace better than one error-free run, 5 % late."""
    mse = np.array([0.0, 0.05, 0.05, 0.05, 0.05, 1.0])
    rounds = 10 * slowdown(mse, 5.0)
    rounds[0] *= 1.05
    found, _ = f.fit_chi_by_seed(np.zeros(6), mse, rounds)
    assert found == pytest.approx(5.0, rel=0.1)
    by_ratio = f.fit_chi(mse[1:], rounds[1:] / rounds[0])
    assert abs(by_ratio - 5.0) > 1.5 * abs(found - 5.0)


def test_chi_by_seed_needs_two_errors_of_one_seed() -> None:
    runs = [1, 2], [0.1, 0.3], [10.0, 12.0]
    with pytest.raises(ValueError, match="no seed has runs of two MSE"):
        f.fit_chi_by_seed(*runs)
    with pytest.raises(ValueError, match="no seed has runs of two MSE"):
        f.fit_chi_by_seed([1, 1], [0.1, 0.3], [10.0, np.inf])
    assert f.fit_chi_by_seed([1, 1], [0.0, 0.3], [10.0, 9.0])[0] == 0.0  # noise does not help


def test_sgd_keeps_its_pace_and_has_a_floor() -> None:
    """SGD on a quadratic: the excess loss over the error-free run is that of the noise term."""
    rng, eta, mu, noise, d = np.random.default_rng(0), 0.2, 1.0, 0.04, 40_000
    losses = []
    for energy in (0.0, noise):
        theta, seen = np.ones(d) / np.sqrt(d), [0.5]
        for _ in range(30):
            error = np.sqrt(energy / d) * rng.standard_normal(d)
            theta = theta - eta * (mu * theta + error)
            seen.append(0.5 * float(theta @ theta))
        losses.append(seen)
    # of a quadratic, with the contraction (1 - eta mu)^2 of its loss
    factor = 0.5 * eta**2 / (1 - (1 - eta * mu) ** 2)
    law = f.floored(losses[0], noise, factor, (1 - eta * mu) ** 2)
    assert np.abs(law - losses[1]).max() < 5e-4
    assert losses[1][-1] > 2e-3
