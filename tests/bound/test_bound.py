"""The bound: its terms by themselves, and against SGD over the air with known constants."""

import numpy as np
import pytest

from airtune import bound
from airtune.bound.convergence import BoundConstants
from airtune.errors import InputError
from bound.sgd import Measured, logistic, quadratic

FULL = BoundConstants(
    L=2.0, mu=0.5, eta=0.25, sigma_g_sq=3.0, G_sq=5.0, L0=4.0, mu0=0.2, eta0=0.1, sigma0_sq=6.0,
    delta_pre=7.0, L_x=0.5, W1=0.8, zeta_sq=1.5,
)  # fmt: skip


def test_terms_worked_out_by_hand() -> None:
    parts = bound.bound_constant(FULL, rounds=2, pretraining=(3, 4), noise=0.3, mse=0.1, beta=0.4)
    q, q0 = 0.875**2, 0.98**3
    gain = (1 - q) / 0.125 * 2 * 0.25**2 / 2
    assert parts.initial_gap == pytest.approx(q * (q0 * 7 + (1 - q0) * 4 * 0.1 * 6 / (0.4 * 4)))
    assert parts.shift == pytest.approx(q * 2 * 0.5 * 0.8)
    assert parts.batch_noise == pytest.approx(gain * 0.3)
    assert parts.air_noise == pytest.approx(gain * 5.0 * 0.1)
    assert parts.bias == pytest.approx((1 + 0.875) * 0.25 / 2 * 0.4)
    assert parts.total == pytest.approx(sum(v for k, v in parts.to_dict().items() if k != "total"))


def test_batch_noise_takes_unequal_batches() -> None:
    noise = bound.batch_noise(FULL, [0.5, 0.25, 0.25], [[1, 2, 4], [8, 8, 8]])
    assert noise == pytest.approx([3 * (0.25 + 0.0625 / 2 + 0.0625 / 4), 3 * 0.375 / 8])


def test_constant_rounds_agree_with_round_by_round() -> None:
    parts = bound.bound_over_rounds(
        FULL, initial=2.0, shift=0.5, noise=np.full(40, 0.2), air=0.7, beta=0.05
    )
    for rounds in (0, 1, 7, 40):
        gain = float(bound.noise_gain(FULL, rounds))
        assert parts["batch_noise"][rounds] == pytest.approx(gain * 0.2)
        assert parts["air_noise"][rounds] == pytest.approx(gain * 0.7)
        assert parts["bias"][rounds] == pytest.approx((1 - 0.875**rounds) / (2 * 0.5) * 0.05)
        assert parts["initial_gap"][rounds] == pytest.approx(2 * 0.875**rounds)
        total = sum(values[rounds] for name, values in parts.items() if name != "total")
        assert parts["total"][rounds] == pytest.approx(total)


def test_participation_bias() -> None:
    weights = [0.5, 0.3, 0.2]
    present = [[True, True, True], [True, True, False], [False, False, True]]
    assert bound.participation_bias(FULL, weights, present) == pytest.approx(
        [0.0, 4 * 0.04 * 1.5, 1.5]
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mu": 0.0}, r"bound\.mu = 0.0: must be a finite number > 0"),
        ({"sigma_g_sq": -1.0}, r"bound\.sigma_g_sq = -1.0: must be a finite number >= 0"),
        ({"W1": float("nan")}, r"bound\.W1 = nan"),
        ({"eta": 3.0}, r"bound\.eta \* bound\.mu = 1.5: must be <= 1 \(bound\.eta <= 2\)"),
        ({"eta0": 6.0}, r"bound\.eta0 \* bound\.mu0 = 1.2"),
    ],
)
def test_constants_out_of_range(change: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        BoundConstants(**{**FULL.__dict__, **change})


def bounds_of(
    measured: Measured, noise: float, mse: float, beta: float = 0.0, largest: bool = True
) -> np.ndarray:
    """Bound after every round, with the largest G^2 or with that of each round."""
    rounds = measured.G_sq.size
    G_sq = np.full(rounds, measured.G_sq.max()) if largest else measured.G_sq
    return bound.bound_over_rounds(
        measured.constants,
        initial=measured.gap[0],
        shift=0.0,
        noise=np.full(rounds, noise),
        air=G_sq * mse,
        beta=beta,
    )["total"]


def draw(rng: np.random.Generator) -> dict[str, object]:
    K = int(rng.integers(1, 7))
    return {
        "rounds": int(rng.integers(10, 60)),
        "mse": float(10 ** rng.uniform(-3, 0.5)),
        "omega": rng.dirichlet(np.full(K, 3.0)),
        "batch": rng.integers(1, 17, K),
        "step": float(rng.uniform(0.1, 1.0)),
    }


def check_settings(settings: range, kind: str) -> None:
    """Mean gap at most the bound at every round, up to four standard errors of the mean."""
    for seed in settings:
        rng = np.random.default_rng([seed, 5])
        drawn = draw(rng)
        condition = float(10 ** rng.uniform(0, 2))
        solve = quadratic if kind == "quadratic" else logistic
        measured = solve(rng, condition, **drawn)
        noise = float(bound.batch_noise(measured.constants, drawn["omega"], drawn["batch"]))
        for largest in (True, False):
            limit = bounds_of(measured, noise, drawn["mse"], largest=largest)
            assert np.all(measured.gap - 4 * measured.error <= limit), seed


@pytest.mark.parametrize("kind", ["quadratic", "logistic"])
def test_the_bound_holds_on_random_settings(kind: str) -> None:
    check_settings(range(12), kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["quadratic", "logistic"])
def test_the_bound_holds_on_two_hundred_settings(kind: str) -> None:
    check_settings(range(200), kind)


def test_a_bound_without_the_air_noise_would_be_false() -> None:
    rng = np.random.default_rng(3)
    drawn = {**draw(rng), "mse": 3.0, "step": 0.9, "rounds": 60}
    measured = quadratic(rng, 1.5, **drawn)
    noise = float(bound.batch_noise(measured.constants, drawn["omega"], drawn["batch"]))
    assert measured.gap[-1] > bounds_of(measured, noise, 0.0)[-1]
    assert measured.gap[-1] <= bounds_of(measured, noise, 3.0)[-1]


def test_the_noise_floor_is_tight_for_well_conditioned_problems() -> None:
    for seed in range(10):
        rng = np.random.default_rng([seed, 9])
        drawn = {**draw(rng), "rounds": 150, "step": 0.5}
        measured = quadratic(rng, float(rng.uniform(1, 4)), **drawn)
        noise = float(bound.batch_noise(measured.constants, drawn["omega"], drawn["batch"]))
        floor = measured.gap[-30:].mean()
        limit = bounds_of(measured, noise, drawn["mse"], largest=False)[-1]
        assert floor * 0.97 <= limit <= 10 * floor


def test_the_bias_of_absent_clients_is_bounded() -> None:
    exceeded = 0
    for seed in range(10):
        rng = np.random.default_rng([seed, 11])
        drawn = draw(rng)
        K = int(rng.integers(3, 7))
        omega, batch = rng.dirichlet(np.full(K, 3.0)), rng.integers(1, 17, K)
        present = np.ones(K, bool)
        present[rng.choice(K, int(rng.integers(1, K)), replace=False)] = False
        drawn = {**drawn, "omega": omega, "batch": batch, "rounds": 50}
        measured = quadratic(rng, float(10 ** rng.uniform(0, 2)), **drawn, present=present)
        weights = np.where(present, omega, 0.0) / omega[present].sum()
        noise = float(bound.batch_noise(measured.constants, weights, batch))
        beta = float(bound.participation_bias(measured.constants, omega, present))
        limit = bounds_of(measured, noise, drawn["mse"], beta, largest=False)
        assert np.all(measured.gap - 4 * measured.error <= limit)
        without = bounds_of(measured, noise, drawn["mse"], largest=False)
        exceeded += bool(np.any(measured.gap - 4 * measured.error > without))
    assert exceeded > 0  # the term is needed


def noise_without_scales(
    c: BoundConstants, omega: np.ndarray, batch: np.ndarray, mse: float
) -> float:
    """V of one global scale, without G (docs/theory.md, (9)); eta <= 1 / (L (1 + MSE))."""
    assert c.eta <= 1 / (c.L * (1 + mse))
    spread = float(np.sum(omega / batch))
    return float(bound.batch_noise(c, omega, batch)) + mse * (c.zeta_sq + c.sigma_g_sq * spread)


def test_the_bound_without_scales_covers_the_one_with_them() -> None:
    for seed in range(10):
        rng = np.random.default_rng([seed, 13])
        drawn = {**draw(rng), "mse": float(rng.uniform(0.01, 0.5)), "step": 0.6}
        measured = quadratic(rng, 3.0, **drawn)
        noise = noise_without_scales(
            measured.constants, drawn["omega"], drawn["batch"], drawn["mse"]
        )
        limit = bound.bound_over_rounds(
            measured.constants,
            initial=measured.gap[0],
            shift=0.0,
            noise=np.full(measured.G_sq.size, noise),
            air=0.0,
        )["total"]
        assert np.all(measured.gap - 4 * measured.error <= limit)
