"""Wasserstein distances against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from airtune.bound import shift

seeds = st.integers(0, 2**31)


def cloud(seed: int, n: int = 24, e: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, e))


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_one_dimension_is_the_area_between_the_distributions(seed: int) -> None:
    x, y = cloud(seed, 17, 1), 2 * cloud(seed + 1, 23, 1) + 1
    rng = np.random.default_rng(seed)
    a, b = rng.dirichlet(np.ones(17)), rng.dirichlet(np.ones(23))
    exact = wasserstein_distance(x[:, 0], y[:, 0], a, b)
    assert shift.wasserstein(x, y, a, b).value == pytest.approx(exact, rel=1e-9)


@given(seeds, st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_a_translation_is_as_far_as_it_goes(seed: int, e: int) -> None:
    x = cloud(seed, 20, e)
    c = np.random.default_rng(seed + 1).standard_normal(e) * 3
    assert shift.wasserstein(x, x + c).value == pytest.approx(np.linalg.norm(c), rel=1e-9)
    assert shift.wasserstein(x, x).value == pytest.approx(0, abs=1e-12)


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_it_is_a_metric(seed: int) -> None:
    x, y, z = (cloud(seed + i) * (i + 1) for i in range(3))
    xy, yz, xz = (shift.wasserstein(*pair).value for pair in ((x, y), (y, z), (x, z)))
    assert shift.wasserstein(y, x).value == pytest.approx(xy, rel=1e-9)
    assert 0 < xz <= xy + yz + 1e-9


@given(seeds)
@settings(max_examples=15, deadline=None)
def test_sliced_and_entropic_enclose_the_exact_distance(seed: int) -> None:
    x, y = cloud(seed), 1.5 * cloud(seed + 1) + 0.5
    exact = shift.wasserstein(x, y, method="exact").value
    entropic = shift.wasserstein(x, y, method="entropic").value
    assert exact <= entropic * (1 + 1e-9) and entropic <= 1.1 * exact
    assert shift.sliced(x, y, 500, 0) <= 1.1 * exact  # a lower bound, up to the choice of lines


def test_sliced_is_tight_for_a_translation() -> None:
    x = cloud(3, 50, 8)
    assert shift.sliced(x, x + 2.0, 4000, 1) == pytest.approx(2 * np.sqrt(8), rel=0.03)


def test_gaussians_and_their_sampling_error() -> None:
    # In one dimension N(0, 1) and N(2, 1) are 2 apart.
    distances = [shift.wasserstein(cloud(s, 200, 1), cloud(s + 999, 200, 1) + 2) for s in range(60)]
    values, errors = np.array([(d.value, d.error) for d in distances]).T
    assert values.mean() == pytest.approx(2.0, abs=4 * values.std() / np.sqrt(60))
    assert errors.mean() == pytest.approx(values.std(), rel=0.35)


def test_null_distance_shows_the_bias() -> None:
    halves = [shift.null_distance(cloud(s, 200, 10)) for s in range(5)]
    # In ten dimensions 100 samples of one Gaussian are far from 100 others.
    assert min(halves) > 1.5
    biased = shift.wasserstein(cloud(1, 400, 10), cloud(2, 400, 10)).value
    assert 0 < biased < min(halves)


def test_clients_and_mixture() -> None:
    base = cloud(5, 30, 4)
    clients = [base, base + 3.0, base]
    weights = np.array([0.25, 0.5, 0.25])
    shifts = shift.client_shift(clients, weights, base)
    assert shifts.pairwise == pytest.approx(shifts.pairwise.T)
    assert shifts.pairwise[0] == pytest.approx([0, 6, 0], abs=1e-9)
    # Half of the mixture is 6 away from the first and half from the second.
    assert shifts.to_mixture == pytest.approx([3, 3, 3], abs=1e-9)
    assert shifts.to_pretraining == pytest.approx([0, 6, 0], abs=1e-9)


def test_the_largest_slope_bounds_the_change_of_the_mean_loss() -> None:
    rng = np.random.default_rng(0)
    x, y = cloud(1), cloud(2) + 0.3
    slope = rng.standard_normal(3)
    losses = [np.abs(z @ slope) for z in (x, y)]
    steepest = shift.steepness(x, losses[0], y, losses[1]).max()
    assert steepest <= np.linalg.norm(slope) * (1 + 1e-9)
    assert abs(losses[1].mean() - losses[0].mean()) <= steepest * shift.wasserstein(x, y).value
    assert shift.steepness(x, losses[0], x, losses[0]).diagonal().max() == 0
