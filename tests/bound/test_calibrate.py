"""Constants calibrated on losses whose constants are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.bound.calibrate import estimates
from airtune.bound.calibrate.curvature import power_iteration
from airtune.bound.calibrate.decay import fit_decay
from airtune.bound.calibrate.gradients import gradient_statistics
from airtune.bound.calibrate.trajectory import Trajectory, measure_trajectory
from airtune.commands.calibrate import safe_values
from airtune.errors import InputError
from airtune.scenario import Calibration
from airtune.scenario.learning import Training
from bound.losses import LogisticLoss, QuadraticLoss

SGD = Training(server_optimizer="sgd", learning_rate=1e9)


def follow(loss, *, training: Training = SGD, **settings) -> Trajectory:
    return measure_trajectory(
        loss,
        training,
        Calibration(**{"iterations": 200, "tolerance": 1e-6, **settings}),
        normalise="global",
        batch_size=1,
        seed=1,
        name="test",
        progress=lambda text, fraction: None,
    )


def quadratic(
    condition: float, *, dimension: int = 30, noise: float = 1.0, **more
) -> QuadraticLoss:
    rng = np.random.default_rng(4)
    eigen = np.linspace(1.0, condition, dimension) * 0.7
    basis = np.linalg.qr(rng.standard_normal((dimension, dimension)))[0]
    centres = 2 + rng.standard_normal((5, dimension))
    weights = np.array([0.1, 0.15, 0.2, 0.25, 0.3])
    return QuadraticLoss(basis * eigen @ basis.T, centres, weights, noise, **more)


def test_power_iteration_finds_the_largest_magnitude() -> None:
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((40, 40)))[0]
    matrix = basis * np.concatenate(([-9.0, 7.0], rng.uniform(-5, 5, 38))) @ basis.T
    noise = rng.standard_normal((4, 40, 40)) * 1e-3
    noise = noise + noise.transpose(0, 2, 1)
    found = power_iteration(
        lambda v: ((matrix + noise) @ v).astype(np.float32), rng.standard_normal(40), 300, 1e-7
    )
    exact = np.linalg.eigvalsh(matrix + noise.mean(axis=0))[0]
    assert found.value == pytest.approx(exact, rel=1e-3)
    assert found.converged and abs(found.value - exact) <= found.residual
    assert 0 < found.error < 0.01  # the draws differ by entries of 1e-3


def test_variance_heterogeneity_and_gradient_agree_with_closed_forms() -> None:
    runs = []
    for seed in range(30):
        loss = quadratic(4.0, noise=6.0, samples=8, seed=seed)
        runs.append(gradient_statistics(loss, loss.start, "global"))
    gradient = float(np.sum((loss.hessian @ loss.optimum) ** 2))
    away = (loss.centres - loss.optimum) @ loss.hessian
    sigma = np.array([r.sigma_sq for r in runs])
    assert sigma.mean() == pytest.approx(36.0, rel=0.03)
    zeta = np.array([r.zeta_sq for r in runs]).mean(axis=0)
    # Without the correction each would be larger by about sigma^2 / 8 = 4.5.
    assert zeta == pytest.approx(np.sum(away**2, axis=1), rel=0.08)
    values = np.array([r.gradient_sq for r in runs])
    assert values.mean() == pytest.approx(gradient, abs=4 * values.std() / np.sqrt(30))
    # The standard errors are those that repetition shows, within what a jackknife of four can.
    assert np.mean([r.gradient_sq_error for r in runs]) == pytest.approx(values.std(), rel=0.5)
    assert np.mean([r.sigma_sq_error for r in runs]) == pytest.approx(
        sigma.std(axis=0).mean(), rel=0.3
    )


def test_spread_of_two_samples_says_nothing_of_the_error_of_their_variance() -> None:
    # Both deviate by the same length from their mean: a standard error of zero would be a lie.
    pair = quadratic(4.0, noise=6.0, samples=2)
    found = gradient_statistics(pair, pair.start, "global")
    assert np.isnan(found.sigma_sq_error).all() and np.all(found.sigma_sq > 0)
    triple = quadratic(4.0, noise=6.0, samples=3)
    assert np.all(gradient_statistics(triple, triple.start, "global").sigma_sq_error > 0)


def test_scale_of_single_samples_agrees_with_its_expectation() -> None:
    loss = quadratic(4.0, noise=3.0, samples=64)
    found = gradient_statistics(loss, loss.start, "global")
    gradients = (loss.start - loss.centres) @ loss.hessian
    d = gradients.shape[1]
    centred = gradients - gradients.mean(axis=1, keepdims=True)
    # One mean is taken off each update, and with it 1/d of the noise.
    exact = loss.weights @ np.sum(centred**2, axis=1) + 9.0 * (1 - 1 / d)
    assert found.G_sq == pytest.approx(exact, abs=5 * found.G_sq_error)
    assert found.G_sq_error < 0.05 * exact


def test_all_records_leave_no_sampling_noise_in_the_mean() -> None:
    rng = np.random.default_rng(2)
    loss = LogisticLoss(rng.standard_normal((12, 3)), rng.integers(0, 2, 12).astype(float), 0.1)
    found = gradient_statistics(loss, loss.start, "global")
    rows = loss.gradients(loss.start)
    assert found.gradient_sq == pytest.approx(float(np.sum(rows.mean(axis=0) ** 2)), rel=1e-5)
    assert found.sigma_sq[0] == pytest.approx(float(rows.var(axis=0, ddof=1).sum()), rel=1e-5)


def test_constants_of_an_isotropic_quadratic() -> None:
    loss = quadratic(1.0, noise=0.1)
    trajectory = follow(loss, rounds=10)
    smooth = estimates.smoothness(trajectory)
    mu, floor = estimates.pl_constant(trajectory, smooth.value, "mu")
    assert smooth.value == pytest.approx(0.7, rel=1e-5)
    assert floor == pytest.approx(loss.floor, abs=1e-3)
    assert mu.value == pytest.approx(0.7, rel=0.01)
    assert estimates.step_size(trajectory, smooth.value).value == pytest.approx(1 / 0.7, rel=1e-5)
    assert estimates.heterogeneity(trajectory).value == pytest.approx(loss.zeta_sq, rel=0.05)
    assert estimates.gradient_variance(trajectory).value == pytest.approx(0.01, rel=0.35)


def test_pl_constant_lies_between_the_curvatures() -> None:
    loss = quadratic(8.0, noise=0.1, least=0.0)
    trajectory = follow(loss, rounds=60, points=6)
    smooth = estimates.smoothness(trajectory)
    assert smooth.value == pytest.approx(5.6, rel=1e-3)
    mu, floor = estimates.pl_constant(trajectory, smooth.value, "mu")
    # The region visited has at least mu = 0.7; on the way the steep directions still count.
    assert mu.value * 1.05 >= 0.7 and mu.value < 5.6
    assert floor == pytest.approx(loss.floor, rel=0.05)


def test_logistic_curvature_along_the_path_stays_below_its_bound() -> None:
    rng = np.random.default_rng(5)
    features = rng.standard_normal((60, 5))
    labels = (features @ rng.standard_normal(5) + rng.standard_normal(60) > 0).astype(float)
    loss = LogisticLoss(features, labels, 0.05)
    trajectory = follow(loss, rounds=40, points=5)
    smooth = estimates.smoothness(trajectory)
    bound = np.linalg.eigvalsh(features.T @ features / 60)[-1] / 4 + 0.05
    at_start = np.linalg.eigvalsh(loss.hessian(loss.start))[-1]
    assert smooth.value == pytest.approx(at_start, rel=1e-3)  # steepest at 0
    assert smooth.value <= bound * (1 + 1e-6)
    mu, _ = estimates.pl_constant(trajectory, smooth.value, "mu")
    assert 0.05 < mu.value < smooth.value
    # F falls at least as the bound with these constants says, in every round.
    gaps = trajectory.losses - trajectory.losses.min()
    eta = estimates.step_size(trajectory, smooth.value).value
    assert np.all(gaps <= gaps[0] * (1 - eta * mu.value) ** trajectory.rounds + 0.02 * gaps[0])


@pytest.mark.parametrize("rate", [0.02, 0.2, 1.0])
def test_decay_is_recovered(rate: float) -> None:
    t = np.arange(0, 31, 3)
    found = fit_decay(t, 1.5 + 2.0 * np.exp(-rate * t))
    assert (found.floor, found.height, found.rate) == pytest.approx((1.5, 2.0, rate), rel=2e-2)
    assert found.misfit < 1e-3


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.01, 10), min_size=4, max_size=12))
def test_floor_is_between_zero_and_the_least_loss(losses: list[float]) -> None:
    found = fit_decay(np.arange(len(losses)), losses)
    assert 0 <= found.floor <= min(losses) + 1e-12
    assert found.height >= -1e-12 or found.floor <= min(losses)


def test_gradient_lost_in_noise_is_told() -> None:
    loss = quadratic(1.0, noise=300.0, samples=2, seed=3)
    trajectory = follow(
        loss, rounds=4, training=Training(server_optimizer="sgd", learning_rate=1e-6)
    )
    trajectory.points[0].gradients.__dict__["gradient_sq"] = -1.0
    for point in trajectory.points:
        point.gradients.__dict__["gradient_sq"] = -1.0
    with pytest.raises(InputError, match=r"bound\.mu .*calibration\.samples"):
        estimates.pl_constant(trajectory, 1.0, "mu")


def test_sgd_never_steps_longer_than_the_curvature_allows() -> None:
    loss = quadratic(8.0)
    assert follow(loss, rounds=4).step == pytest.approx(1 / 5.6, rel=1e-3)
    slow = Training(server_optimizer="sgd", learning_rate=0.01)
    trajectory = follow(loss, rounds=4, training=slow)
    eta = estimates.step_size(trajectory, 5.6)
    assert trajectory.step == eta.value == 0.01


@settings(deadline=None)
@given(
    L=st.floats(1e-3, 1e6), mu=st.floats(0.01, 1), share=st.floats(0.01, 1), G=st.floats(1e-9, 1e9)
)
def test_rounded_constants_stay_on_the_safe_side(
    L: float, mu: float, share: float, G: float
) -> None:
    exact = {"L": L, "mu": mu * L, "eta": share / L, "G_sq": G}
    rounded = safe_values(exact)
    same = 1 - 1e-8  # what has four digits up to rounding errors stays
    assert rounded["L"] >= same * L and rounded["G_sq"] >= same * G
    assert same * rounded["mu"] <= mu * L and same * rounded["eta"] <= exact["eta"]
    assert rounded["eta"] * rounded["L"] <= 1 + 1e-12
    for name, x in rounded.items():
        assert x == pytest.approx(exact[name], rel=2.1e-3)


def test_the_example_of_the_manual(capsys: pytest.CaptureFixture[str]) -> None:
    manual = Path(__file__).parents[2] / "docs" / "calibration.md"
    code = manual.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    exec(compile(code, "calibration.md", "exec"), {})
    assert capsys.readouterr().out == "12.5\n"
