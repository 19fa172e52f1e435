"""Plans of rounds in which M of the participants transmit, against every set there is."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from airtune.allocation import (
    client_sampling,
    sampled_with_replacement,
    sampled_without_replacement,
)
from airtune.bound import (
    BoundConstants,
    BoundParts,
    batch_noise,
    bound_constant,
    bound_over_rounds,
    participation_bias,
)
from airtune.planning.resources import plan_inputs
from airtune.planning.result import FixedCosts, Plan
from airtune.planning.shortage import make_plan
from airtune.scenario import Scenario

CYCLES = np.array([3e7, 5e7, 8e7, 4e7])
SIZES = np.array([20, 30, 40, 70])
OMEGA = SIZES / SIZES.sum()
UPLINK_J = np.array([0.01, 0.02, 0.02, 0.05])
PILOT_J = np.array([0.001, 0.002, 0.003, 0.001])
MSE = 0.05
T, H = 8, 2
KAPPA, FLOOR, TOP = 2.5e-28, 3e8, 2e9
FIXED_S, FIXED_J = 0.3, 0.1


def sets_of(count: int, transmitting: int) -> list[np.ndarray]:
    return [np.array(chosen) for chosen in itertools.combinations(range(count), transmitting)]


@pytest.mark.parametrize("transmitting", [1, 2, 4])
@pytest.mark.parametrize("left_out", [0.0, 0.3])
def test_means_are_those_over_all_sets(transmitting: int, left_out: float) -> None:
    weights = (1 - left_out) * OMEGA
    means = sampled_without_replacement(weights, transmitting)
    squares, bias = np.zeros(4), 0.0
    sets = sets_of(4, transmitting)
    for chosen in sets:
        p = weights[chosen].sum()
        squares[chosen] += (weights[chosen] / p) ** 2 / len(sets)
        bias += min(1.0, 4 * (1 - p) ** 2) / len(sets)
    assert means.squared_weights == pytest.approx(squares)
    assert means.bias == pytest.approx(bias, abs=1e-12)
    assert means.share == pytest.approx(np.full(4, transmitting / 4))


def test_equal_weights_need_no_sets() -> None:
    means = sampled_without_replacement(np.full(5000, 1 / 5000), 50)
    assert means.squared_weights.sum() == pytest.approx(1 / 50)
    assert means.bias == 1.0
    few = sampled_without_replacement(np.full(5, 0.2), 4)
    assert few.bias == pytest.approx(4 * 0.2**2)


def test_drawn_sets_stand_for_all(monkeypatch) -> None:
    weights = np.random.default_rng(3).dirichlet(np.full(12, 3.0))
    exact = sampled_without_replacement(weights, 5)
    assert math.comb(12, 5) <= client_sampling.ENUMERATED
    monkeypatch.setattr(client_sampling, "ENUMERATED", 0)
    client_sampling._without_replacement.cache_clear()
    drawn = sampled_without_replacement(weights, 5)
    client_sampling._without_replacement.cache_clear()
    assert drawn.squared_weights == pytest.approx(exact.squared_weights, rel=0.05)
    assert drawn.bias == pytest.approx(exact.bias, rel=0.05)


def test_draws_with_replacement() -> None:
    means = sampled_with_replacement(OMEGA, 3)
    squares, silent = np.zeros(4), np.zeros(4)
    for drawn in itertools.product(range(4), repeat=3):
        odds = np.prod(OMEGA[list(drawn)])
        counts = np.bincount(drawn, minlength=4)
        squares += odds * (counts / 3) ** 2
        silent += odds * (counts == 0)
    assert means.squared_weights == pytest.approx(squares)
    assert means.share == pytest.approx(1 - silent)
    assert (means.bias, means.variance) == (0.0, pytest.approx(1 / 3))


def run_of(budget: dict[str, object], **changes: object):
    scenario = Scenario.model_validate(
        {
            "clients": {"count": 4},
            "budget": budget,
            "training": {"rounds": T, "batch_size_max": H + 2},
            "client_processor": {"f_min_hz": FLOOR, "f_max_hz": TOP, "kappa": KAPPA},
            "pretraining": {"charge": False},
            **changes,
        }
    )
    constants = BoundConstants.from_mapping(scenario.bound.model_dump())
    return plan_inputs(scenario, constants, omega=OMEGA, cycles_per_sample=CYCLES, data_sizes=SIZES)


def costs(transmitting: int | None, *, redrawn: bool = False) -> FixedCosts:
    return FixedCosts(
        uplink_s=0.1,
        downlink_s=0.1,
        pilot_s=0.05,
        move_s=0.05,
        uplink_j=UPLINK_J,
        pilot_j=PILOT_J,
        downlink_j=0.04,
        move_j=0.06,
        transmitting=transmitting,
        redrawn=redrawn,
    )


def plan(budget: dict[str, object], transmitting: int | None, **changes: object) -> Plan:
    return make_plan(run_of(budget, **changes), MSE, costs(transmitting))


def mean_bound(constants: BoundConstants, batch: np.ndarray, rho: float, transmitting: int):
    """Mean of the bound over the sets, each set the same in every round: it is linear in V."""
    bounds = []
    for chosen in sets_of(4, transmitting):
        omega = OMEGA[chosen] / OMEGA[chosen].sum()
        bounds.append(
            bound_constant(
                constants,
                rounds=T,
                pretraining=(0, 1),
                noise=float(batch_noise(constants, omega, batch[chosen])),
                mse=MSE / rho,
                beta=float(participation_bias(constants, OMEGA, np.isin(np.arange(4), chosen))),
            )
        )
    names = ("initial_gap", "shift", "batch_noise", "air_noise", "bias")
    return BoundParts(*(float(np.mean([getattr(b, n) for b in bounds])) for n in names))


def mean_energy(batch: np.ndarray, clocks: np.ndarray, rho: float, transmitting: int) -> np.ndarray:
    """Mean energy of a round over the sets: computing, uplink, pilots."""
    parts = np.stack([KAPPA * clocks**2 * CYCLES * batch, rho * UPLINK_J, PILOT_J])
    return np.mean([parts[:, chosen].sum(axis=1) for chosen in sets_of(4, transmitting)], axis=0)


@pytest.mark.parametrize("transmitting", [1, 2, 3])
def test_bound_and_energy_are_the_means_over_the_sets(transmitting: int) -> None:
    loose = plan({"latency_s": 5.0}, transmitting)
    tight = 0.7 * (loose.energy_j.total - T * FIXED_J) + T * FIXED_J
    p = plan({"latency_s": 5.0, "energy_j": tight}, transmitting)
    constants = run_of({}).bound
    expected = mean_bound(constants, p.batch_sizes, p.power_backoff, transmitting)
    assert p.bound.to_dict() == pytest.approx(expected.to_dict())
    compute, uplink, pilots = mean_energy(
        p.batch_sizes, p.frequencies, p.power_backoff, transmitting
    )
    energy = p.energy_j
    assert (energy.compute, energy.uplink, energy.pilots) == pytest.approx(
        (T * compute, T * uplink, T * pilots)
    )
    assert energy.total <= tight * (1 + 1e-9)
    own = KAPPA * p.frequencies**2 * CYCLES * p.batch_sizes + p.power_backoff * UPLINK_J + PILOT_J
    assert p.client_energy_j == pytest.approx(T * own)


@pytest.mark.parametrize("seed", range(6))
def test_no_batches_and_backoff_are_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    transmitting = int(rng.integers(1, 4))
    deadline = float(rng.uniform(0.1, 0.4))
    budget: dict[str, object] = {"latency_s": T * (FIXED_S + deadline)}
    loose = plan(budget, transmitting)
    spare = loose.energy_j.total - T * FIXED_J
    total = T * FIXED_J + spare * rng.uniform(0.3, 0.9)
    own = float(loose.client_energy_j.max() * rng.uniform(0.4, 1.1))
    budget |= {"energy_j": total, "client_energy_j": own}
    p = plan(budget, transmitting)
    constants, share = run_of({}).bound, transmitting / 4
    least = np.inf
    for batch in itertools.product(range(1, H + 3), repeat=4):
        sizes = np.array(batch, float)
        clocks = np.maximum(FLOOR, CYCLES * sizes / deadline)
        computing = KAPPA * clocks**2 * CYCLES * sizes
        if np.any(clocks > TOP * (1 + 1e-12)):
            continue
        rho = min(1.0, float(np.min((own / T - computing - PILOT_J) / UPLINK_J)))
        left = total / T - FIXED_J - share * float(np.sum(computing + PILOT_J))
        rho = min(rho, left / (share * float(UPLINK_J.sum())))
        if rho > 1e-6:
            least = min(least, mean_bound(constants, sizes, rho, transmitting).total)
    assert p.bound.total == pytest.approx(least, rel=1e-9)
    assert p.certificate.lower_bound <= p.bound.total
    assert p.certificate.relative_gap <= 1e-6


def test_everybody_in_every_round_is_the_plan_without_sampling() -> None:
    assert plan({"latency_s": 5.0}, None).to_dict() == plan({"latency_s": 5.0}, 4).to_dict()


def test_the_least_total_budget_is_that_of_a_mean_round() -> None:
    least = {}
    for transmitting in (2, None):
        with pytest.raises(ValueError, match=r"budget\.energy_j = 0\.5 to at least") as error:
            plan({"energy_j": 0.5}, transmitting)
        least[transmitting] = float(str(error.value).split("at least ")[1].split(" ")[0])
    assert least[2] - T * FIXED_J == pytest.approx((least[None] - T * FIXED_J) / 2, rel=1e-6)
    with pytest.raises(ValueError, match=r"client_energy_j = 0\.01 to at least") as error:
        plan({"client_energy_j": 0.01}, 2)
    own = float(str(error.value).split("at least ")[1].split(" ")[0])
    assert plan({"client_energy_j": own}, 2).client_energy_j.max() <= own * (1 + 1e-9)
    with pytest.raises(ValueError, match="at least"):
        plan({"client_energy_j": own * (1 - 1e-8)}, 2)


def test_draws_with_replacement_bring_variance_but_no_bias() -> None:
    run = run_of({"latency_s": 5.0})
    p = make_plan(run, MSE, costs(3, redrawn=True))
    c, q = run.bound, run.bound.contraction**T
    assert p.bound.bias == pytest.approx(
        (1 - q) / (c.eta * c.mu) * (c.L * c.eta**2 / 2) * c.zeta_sq / 3
    )
    squares = OMEGA**2 + OMEGA * (1 - OMEGA) / 3
    assert p.bound.batch_noise == pytest.approx(
        (1 - q)
        / (c.eta * c.mu)
        * (c.L * c.eta**2 / 2)
        * c.sigma_g_sq
        * np.sum(squares / p.batch_sizes)
    )


@pytest.mark.parametrize("redrawn", [False, True])
@pytest.mark.parametrize("eta", [0.1, 0.9])
def test_measured_gap_of_sgd_over_changing_sets_is_below_the_bound(
    eta: float, redrawn: bool
) -> None:
    """Losses |theta - c_k|^2 / 2, so L = mu = 1; sets drawn anew in every round, noisy air."""
    rng = np.random.default_rng(7)
    transmitting, sigma_sq, air, size, runs = 2, 0.5, 0.3, 3, 4000
    optima, batch = rng.normal(size=(4, size)), np.array([1.0, 2.0, 1.0, 4.0])
    optimum = OMEGA @ optima
    zeta_sq = float(np.max(np.sum((optima - optimum) ** 2, axis=1)))
    numbers = dict.fromkeys(("L0", "mu0", "eta0"), 0.5) | dict.fromkeys(
        ("sigma0_sq", "delta_pre", "L_x", "W1"), 0.0
    )
    c = BoundConstants(
        L=1.0, mu=1.0, eta=eta, sigma_g_sq=sigma_sq, G_sq=1.0, zeta_sq=zeta_sq, **numbers
    )
    means = (
        sampled_with_replacement(OMEGA, transmitting)
        if redrawn
        else sampled_without_replacement(OMEGA, transmitting)
    )
    beta = (means.bias + c.L * c.eta * means.variance) * zeta_sq
    theta = np.tile(optimum + 1.0, (runs, 1))
    start = float(np.mean(np.sum((theta - optimum) ** 2, axis=1)) / 2)
    limit = bound_over_rounds(
        c,
        initial=start,
        shift=0.0,
        noise=np.full(30, sigma_sq * np.sum(means.squared_weights / batch)),
        air=air,
        beta=beta,
    )["total"]
    for t in range(30):
        weights = np.zeros((runs, 4))
        if redrawn:
            weights = rng.multinomial(transmitting, OMEGA, size=runs) / transmitting
        else:
            chosen = np.argsort(rng.random((runs, 4)), axis=1)[:, :transmitting]
            np.put_along_axis(weights, chosen, OMEGA[chosen], axis=1)
            weights /= weights.sum(axis=1, keepdims=True)
        deviation = np.sqrt((weights**2 / batch).sum(axis=1) * sigma_sq / size + air / size)
        noise = deviation[:, None] * rng.normal(size=(runs, size))
        theta = theta - eta * (theta - weights @ optima + noise)
        gaps = np.sum((theta - optimum) ** 2, axis=1) / 2
        assert gaps.mean() - 4 * gaps.std() / np.sqrt(runs) <= limit[t + 1]
    assert not redrawn or limit[-1] <= 8 * gaps.mean()
