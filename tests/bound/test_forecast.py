"""The law of the predicted loss against closed forms and against Adam on a quadratic."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airtune.bound import forecast as f

LOSSES = np.array([5.0, 4.0, 3.5, 2.0, 1.8, 1.2])
MSE = st.floats(0, 1)
CHI = st.floats(0, 50)


def adam_losses(mse: float, seed: int, *, factor: float = 1.0, batch: float = 0.0) -> list[float]:
    """Losses of Adam (eta = 0.01) on |theta|^2 / 2 with ten clients, all entries of like energy.

    The clients' gradients differ from the mean gradient by vectors of three times its length, so
    that gamma = 1 + 9; `batch` is noise of the mean itself, over the energy of the gradient.
    """
    rng = np.random.default_rng(seed)
    d, clients, losses = 300, 10, [0.5]
    theta, first, second = np.ones(d), np.zeros(d), np.zeros(d)
    for t in range(1, 220):
        length = np.linalg.norm(theta)
        own = rng.standard_normal((clients, d))
        own -= own.mean(axis=0)
        own *= 3 * length / np.sqrt(np.sum(own**2) / clients)
        updates = theta + own
        scale = np.sum(updates**2) / clients
        update = updates.mean(axis=0) + np.sqrt(scale / d * mse) * rng.standard_normal(d)
        update += np.sqrt(batch / d) * length * rng.standard_normal(d)
        first, second = 0.9 * first + 0.1 * update, 0.99 * second + 0.01 * update**2
        root = np.sqrt(second / (1 - 0.99**t)) + 1e-8
        theta = theta - factor * 0.01 * (first / (1 - 0.9**t)) / root
        losses.append(float(theta @ theta) / (2 * d))
    return losses


@cache
def reference() -> tuple[float, ...]:
    return tuple(adam_losses(0.0, 0))


@pytest.mark.parametrize("mse", [0.03, 0.1, 0.3])
@pytest.mark.parametrize("share", [0.3, 0.1])
def test_the_law_meets_adam_on_a_quadratic(mse: float, share: float) -> None:
    """With entries of like energy chi is gamma; rounds within 8 %."""
    measured = f.crossing(adam_losses(mse, 1), share / 2)
    predicted = f.rounds_to_target(reference(), share / 2, mse, chi=10.0)
    assert measured == pytest.approx(predicted, rel=0.08)
    assert measured > 1.1 * f.crossing(reference(), share / 2)


def test_noise_of_the_batches_counts_by_its_energy() -> None:
    measured = f.crossing(adam_losses(0.1, 1, batch=1.0), 0.05)
    # chi MSE is over the energy at the reference's batches, which here have no noise
    energy = f.mean_energy(1.0, 10.0, np.full(10, 0.1), np.ones(10))
    assert energy == pytest.approx(2.0)
    predicted = f.rounds_to_target(reference(), 0.05, 0.1, chi=10.0 / 2, energy=energy)
    assert measured == pytest.approx(predicted, rel=0.08)


@pytest.mark.parametrize("mse", [0.03, 0.09])
def test_the_factor_undoes_the_slowdown(mse: float) -> None:
    factor = f.step_factor(mse, chi=10.0)
    plain, longer = (f.crossing(adam_losses(mse, 1, factor=x), 0.05) for x in (1.0, factor))
    best = f.crossing(reference(), 0.05)
    assert plain > 1.13 * best
    assert longer == pytest.approx(best, rel=0.06)


def test_gamma_is_what_the_simulation_is_made_with() -> None:
    assert f.noise_inflation([[1.0, 3.0], [1.0, -3.0]], [0.5, 0.5]) == pytest.approx(10.0)
    weights = np.array([0.5, 0.3, 0.2])
    orthogonal = f.noise_inflation(2.0 * np.eye(3), weights)
    assert orthogonal == pytest.approx(1 / np.sum(weights**2))
    assert f.noise_inflation(np.ones((3, 4)), weights) == pytest.approx(1.0)
    assert f.noise_inflation([[1.0], [-1.0]], [0.5, 0.5]) == np.inf


def test_energy_of_the_mean_by_hand() -> None:
    got = f.mean_energy([1.0, 4.0], 6.0, [0.5, 0.25, 0.25], [1, 2, 4])
    assert got.tolist() == pytest.approx([1 + 6 * (0.25 + 0.03125 + 0.015625), 4 + 1.78125])


def test_constant_noise_stretches_the_rounds() -> None:
    needed = f.crossing(LOSSES, 1.5)
    assert needed == pytest.approx(4.5)
    for mse in (0.0, 0.2, 1.0):
        pace = np.sqrt(1 + 4.1 * mse)
        assert f.rounds_to_target(LOSSES, 1.5, mse) == pytest.approx(needed * pace)
        each = f.rounds_to_target(LOSSES, 1.5, np.full(40, mse))
        assert each == pytest.approx(needed * pace)
        assert f.rounds_to_target(LOSSES, 1.5, mse, energy=4.0) == pytest.approx(2 * needed * pace)
        tau = f.effective_progress(np.full(9, mse))
        assert np.allclose(tau, np.arange(10) / pace)


def test_what_is_never_reached() -> None:
    assert f.rounds_to_target(LOSSES, 1.1, 0.0) == np.inf  # the error-free run is not there
    assert f.rounds_to_target(LOSSES, 1.5, np.full(6, 0.2)) == np.inf  # 6.1 rounds are needed
    assert f.rounds_to_target(LOSSES, 1.5, 1.01) == np.inf  # the law is too hopeful there
    assert f.rounds_to_target(LOSSES, 1.5, 3.0, largest_mse=3.0) < np.inf
    late = np.array([0.0] * 5 + [2.0])
    assert f.rounds_to_target(LOSSES, 1.5, late) == pytest.approx(4.5)  # there before it got bad
    assert f.rounds_to_target(LOSSES, 1.5, late[::-1]) == np.inf
    assert f.rounds_to_target(LOSSES, 6.0, 9.0) == 0.0  # there from the start


def test_a_diverged_start_is_crossed_at_the_first_finite_loss() -> None:
    assert f.crossing([np.inf, 2.0, 1.0], 2.0) == 1.0
    assert f.crossing([np.nan, 3.0, 1.0], 2.0) == 1.5


@pytest.mark.parametrize("values", [{"mse": -0.1}, {"mse": np.nan}, {"chi": -1.0}, {"energy": 0.0}])
def test_values_outside_their_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=">= 0"):
        f.slowdown(**({"mse": 0.1} | values))


@given(st.lists(MSE, min_size=1, max_size=12), CHI)
def test_progress_is_that_of_the_rounds_at_most(mse: list[float], chi: float) -> None:
    tau = f.effective_progress(mse, chi)
    assert np.all(np.diff(tau) > 0)
    assert np.all(tau <= np.arange(len(mse) + 1) + 1e-12)
    without = f.effective_progress(np.zeros(len(mse)), chi)
    assert without.tolist() == list(range(len(mse) + 1))


@given(MSE, MSE, CHI, CHI, st.floats(1.2, 5.0))
def test_more_noise_or_a_larger_chi_takes_no_fewer_rounds(
    mse: float, more: float, chi: float, larger: float, target: float
) -> None:
    mse, more, chi, larger = *sorted([mse, more]), *sorted([chi, larger])
    rounds = f.rounds_to_target(LOSSES, target, mse, chi)
    slack = 1 + 1e-12
    assert rounds <= f.rounds_to_target(LOSSES, target, more, chi) * slack
    assert rounds <= f.rounds_to_target(LOSSES, target, mse, larger) * slack
    assert rounds >= f.crossing(LOSSES, target)
    assert f.rounds_to_target(LOSSES, target, 0.0, larger) == f.crossing(LOSSES, target)


@given(st.lists(MSE, min_size=6, max_size=30), CHI, st.floats(1.3, 4.9))
def test_at_the_round_of_the_target_the_loss_is_the_target(
    mse: list[float], chi: float, target: float
) -> None:
    rounds = f.rounds_to_target(LOSSES, target, mse, chi)
    if rounds < np.inf:
        tau = np.interp(rounds, np.arange(len(mse) + 1), f.effective_progress(mse, chi))
        assert f.predicted_loss(LOSSES, tau) == pytest.approx(target, rel=1e-9)
    else:
        assert f.effective_progress(mse, chi)[-1] < f.crossing(LOSSES, target)


@given(st.floats(0, 1e6) | st.just(np.inf) | st.just(np.nan), CHI)
def test_the_factor_has_its_limits(mse: float, chi: float) -> None:
    factor = f.step_factor(mse, chi)
    assert 1.0 <= factor <= 1.4
    if mse >= 0.5 or np.isnan(mse) or mse == 0:
        assert factor == 1.0
    else:
        assert factor == pytest.approx(min(np.sqrt(1 + chi * mse), 1.4))


@given(mse=MSE, chi=CHI, rounds=st.integers(0, 4))
def test_loss_and_rounds_agree(mse: float, chi: float, rounds: int) -> None:
    """The loss after T rounds is reached after T rounds."""
    loss = f.loss_after(LOSSES, rounds, mse, chi)
    assert f.rounds_to_target(LOSSES, loss, mse, chi) == pytest.approx(rounds, abs=1e-9)


def test_nothing_is_said_above_the_largest_error() -> None:
    assert np.isnan(f.loss_after(LOSSES, 3, 1.01))
