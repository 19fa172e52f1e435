"""The round problem against its convex relaxation, modelled with cvxpy."""

import cvxpy as cp
import numpy as np
import pytest

from airtune.allocation.kernels import RoundProblem, kernel_data
from airtune.allocation.knapsack import solve_round
from airtune.planning.problem_file import parse, resource_problem
from allocation.problems import random_problem


def relaxed(problem: dict, rounds: int, samples: float) -> float | None:
    """Least noise of a round with real batches; None: infeasible, NaN: not solved well.

    Time is in units of the latency budget, energy in units of a round's budget, batches in units
    of their largest: unscaled, the interior-point solver fails.
    """
    clients, server = problem["clients"], problem["server"]
    col = {name: np.array([c[name] for c in clients], float) for name in clients[0]
           if name != "energy_budget_j"}  # fmt: skip
    K, tau = len(clients), problem["latency_budget_s"]
    unit = problem["energy_budget_j"] / rounds
    fixed = sum(problem[name] for name in ("uplink_s", "downlink_s", "pilot_s", "move_s"))
    x, e, rho = cp.Variable(K), cp.Variable(K), cp.Variable()
    D, s, e0 = cp.Variable(), cp.Variable(), cp.Variable()
    work = col["cycles_per_sample"] * col["batch_max"]
    rules = [x >= 1 / col["batch_max"], x <= 1, rho >= 1e-6, rho <= 1]
    rules.append(s + rounds * (D + fixed / tau) <= 1)
    for k in range(K):
        rules.append(work[k] * x[k] <= D * tau * col["f_max"][k])
        rules.append(e[k] * unit >= col["kappa"][k] * col["f_min"][k] ** 2 * work[k] * x[k])
        scale = (unit * tau**2 / col["kappa"][k]) ** (1 / 3) / work[k]
        rules.append(x[k] <= scale * cp.geo_mean(cp.hstack([e[k], D]), [1, 2]))
        budget = clients[k]["energy_budget_j"]
        if budget is not None:
            radio = col["tx_power_w"][k] * problem["uplink_s"]
            rules.append(e[k] + rho * radio / unit <= budget / rounds / unit)
    cycles = samples * server["cycles_per_sample"]
    rules += [s >= cycles / server["f_max"] / tau, s <= max(cycles / server["f_min"] / tau, 1e-12)]
    if samples > 0:
        rules.append(e0 >= server["kappa"] * cycles**3 / tau**2 / unit / rounds * cp.power(s, -2))
    else:
        rules.append(e0 >= 0)
    radio = float(np.sum(col["tx_power_w"])) * problem["uplink_s"]
    rules.append(cp.sum(e) + rho * radio / unit + e0 + problem["move_j"] / unit <= 1)
    b = problem["bound"]
    weights = b["sigma_g_sq"] * col["omega"] ** 2 / col["batch_max"]
    air = b["G_sq"] * problem["mse_star"]
    size = float(weights.sum() + air)
    noise = weights / size @ cp.inv_pos(x) + air / size * cp.inv_pos(rho)
    model = cp.Problem(cp.Minimize(noise), rules)
    model.solve(solver=cp.CLARABEL)
    if model.status == "optimal_inaccurate":
        return float("nan")
    return float(model.value) * size if model.status == "optimal" else None


def draw(seed: int, *, grains: int) -> tuple[dict, int, float]:
    """A problem whose samples are cut into `grains`: whole batches hardly differ from real."""
    rng = np.random.default_rng([seed, 21])
    problem = random_problem(
        rng, int(rng.integers(2, 6)), rounds=20, batch=16, steps=20, batch0=16,
        per_client=seed % 2 == 1, total=True, squeeze=(0.6, 1.3),
    )  # fmt: skip
    for client in problem["clients"]:
        client["cycles_per_sample"] /= grains
        client["batch_max"] *= grains
    problem["bound"]["sigma_g_sq"] *= grains
    return problem, int(rng.integers(1, 15)), float(rng.integers(0, 60))


def exact(problem: dict, rounds: int, samples: float) -> tuple[float, float]:
    """Lower bound and value of the round problem by the planner."""
    clients, limits = kernel_data(resource_problem(parse(problem)))
    batch = np.empty(len(problem["clients"]))
    solved = solve_round(
        RoundProblem(clients, limits, float(rounds), samples), np.inf, 1.0, 12, 1_000_000, batch
    )
    return solved.lower, solved.value


@pytest.mark.filterwarnings("ignore:Solution may be inaccurate")
def test_fine_samples_agree_with_the_convex_model() -> None:
    feasible = 0
    for seed in range(24):
        problem, rounds, samples = draw(seed, grains=100)
        expected = relaxed(problem, rounds, samples)
        lower, value = exact(problem, rounds, samples)
        assert (expected is None) == bool(np.isinf(value)), seed
        if expected is None or np.isnan(expected):
            continue
        feasible += 1
        assert value == pytest.approx(expected, rel=1e-3), seed
        assert lower <= value
    assert feasible >= 8


@pytest.mark.filterwarnings("ignore:Solution may be inaccurate")
def test_whole_batches_are_never_better_than_real_ones() -> None:
    rounded = []
    for seed in range(24):
        problem, rounds, samples = draw(seed, grains=1)
        expected = relaxed(problem, rounds, samples)
        lower, value = exact(problem, rounds, samples)
        if np.isinf(value):
            assert lower == np.inf  # proven: nothing fits
            continue
        assert expected is not None
        assert lower == pytest.approx(value, rel=1e-9)
        if np.isnan(expected):
            continue
        assert value >= expected * (1 - 1e-6), seed
        rounded.append(value / expected - 1)
    assert max(rounded) > 1e-3  # whole numbers cost something, or the test shows nothing
