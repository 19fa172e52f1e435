"""The privacy accountant against the closed form of the Gaussian mechanism."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from airtune.errors import InputError
from airtune.scenario import Scenario
from airtune.study import privacy

pytest.importorskip("opacus")


def exact_epsilon(multiplier: float, rounds: int, delta: float) -> float:
    """Return the tight epsilon of T Gaussian releases (Balle and Wang, ICML 2018, theorem 8)."""
    mu = math.sqrt(rounds) / multiplier

    def excess(epsilon: float) -> float:
        first = norm.cdf(mu / 2 - epsilon / mu)
        second = math.exp(epsilon + norm.logcdf(-mu / 2 - epsilon / mu))
        return float(first - second - delta)

    return float(brentq(excess, 0.0, mu**2 / 2 + 20 * mu + 20))


@pytest.mark.parametrize("multiplier", [0.05, 0.5, 1.0, 5.0])
@pytest.mark.parametrize("rounds", [1, 30])
def test_epsilon_bounds_the_exact_one_closely(multiplier: float, rounds: int) -> None:
    exact = exact_epsilon(multiplier, rounds, 1e-5)
    found = privacy.spent([multiplier] * rounds, 1.0, 1e-5)
    assert len(found) == rounds
    assert exact <= found[-1] <= 1.12 * exact
    assert np.all(np.diff(found) > 0)
    assert privacy.spent_alike(multiplier, rounds, 1.0, 1e-5) == pytest.approx(found[-1])


def test_renyi_divergence_of_the_gaussian_mechanism() -> None:
    assert np.allclose(privacy.renyi(2.0, 1.0), privacy.ORDERS / 8.0)
    assert not privacy.renyi(math.inf, 0.4).any()


def test_sampling_helps_and_never_hurts() -> None:
    for multiplier in (0.1, 0.4, 2.0):
        sampled, plain = privacy.renyi(multiplier, 0.4), privacy.renyi(multiplier, 1.0)
        assert np.all(sampled <= plain * (1 + 1e-12))
    assert privacy.spent([2.0], 0.1, 1e-5)[0] < 0.9 * privacy.spent([2.0], 1.0, 1e-5)[0]


@pytest.mark.parametrize("swap", [False, True])
def test_sampling_a_fixed_number_is_bounded_where_poisson_sampling_is_not(swap: bool) -> None:
    """One of two clients is drawn; the other one's update lies on the opposite side.

    Its absence is then told by more than the series for independent draws allows.
    """
    from opacus.accountants.analysis import rdp

    x = np.linspace(-40.0, 40.0, 400_001)
    sigma, rate = 1.0, 0.5
    other = norm.pdf(x, -1.0, sigma)
    with_client = (1 - rate) * other + rate * norm.pdf(x, 1.0, sigma)
    without = (1 - rate) * other + rate * norm.pdf(x, 0.0, sigma)
    p, q = (without, with_client) if swap else (with_client, without)
    bound = privacy.renyi(sigma, rate)
    for index in (30, 45, 60):
        alpha = privacy.ORDERS[index]
        mask = (p > 0) & (q > 0)
        log_ratio = np.log(p[mask]) - np.log(q[mask])
        moment = np.sum(q[mask] * np.exp(alpha * log_ratio)) * (x[1] - x[0])
        divergence = np.log(moment) / (alpha - 1)
        assert divergence <= bound[index] * (1 + 1e-6)
        poisson = rdp.compute_rdp(q=rate, noise_multiplier=sigma, steps=1, orders=[alpha])[0]
        assert swap or divergence > poisson


def test_more_noise_reveals_less() -> None:
    assert privacy.noise_multiplier(0.3, 0.1, 2.0) == pytest.approx(1.5)


def test_only_a_random_choice_hides_who_took_part() -> None:
    def rate(selection: str) -> float:
        clients = {"count": 10, "concurrency": 4, "selection": selection}
        return privacy.sampling_rate(Scenario.model_validate({"clients": clients}))

    assert rate("random") == 0.4
    assert rate("best-channel") == 1.0
    unbiased = {"count": 10, "concurrency": 4, "selection": "random", "unbiased": True}
    assert privacy.sampling_rate(Scenario.model_validate({"clients": unbiased})) == 1.0


@pytest.mark.parametrize("delta", [0.0, 1.0, -1.0])
def test_delta_must_be_a_probability(delta: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        privacy.spent([1.0], 1.0, delta)


def test_the_noise_recorded_is_the_noise_of_the_mean(small_scenario, quadratic, tmp_path) -> None:
    """The error of each block over its entries, seen over many rounds, against the record."""
    from quadratic import run_with

    changes = {"normalise": "global"}
    aggregation = small_scenario.aggregation.model_copy(update=changes)
    training = small_scenario.training.model_copy(update={"rounds": 40, "learning_rate": 1e-9})
    scenario = small_scenario.model_copy(update={"aggregation": aggregation, "training": training})
    learner = quadratic(scenario, 1, noise=0.0)
    run = run_with(scenario, "fixed", 1, learner)
    ratios, exposures = [], []
    for _ in range(40):
        line = run.run_round()
        update = -learner.optima  # all rounds stay at theta = 0
        weights = learner.data_sizes / learner.data_sizes.sum()
        spread = float(weights @ update.var(axis=1)) * update.shape[1]
        blocks = np.split(update, np.cumsum(learner.sizes)[:-1], axis=1)
        spread = sum(b.shape[1] * float(weights @ b.var(axis=1)) for b in blocks)
        squared_error = line["mse"] * spread
        ratios.append(squared_error / (update.shape[1] * line["noise_std"] ** 2))
        largest = max(
            np.linalg.norm(w * (u - u.mean())) for w, u in zip(weights, update, strict=True)
        )
        exposures.append(line["exposure"] * line["noise_std"] / largest)
    # 40 rounds of 107 entries: the mean of chi-squared variables, standard error 0.022
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.09)
    assert np.allclose(exposures, 1.0, rtol=1e-5)
