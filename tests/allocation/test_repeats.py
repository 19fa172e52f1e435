"""How often symbols are sent, against trying every number with the brute-force planner."""

import math

import numpy as np
import pytest

from airtune.allocation import fewest_sendings
from airtune.errors import InputError
from airtune.planning.problem_file import plan_problem
from allocation.brute import brute_force
from allocation.problems import random_problem

MOST = 4


def noisy(seed: int) -> dict:
    """Tiny problems in which sending again may pay."""
    rng = np.random.default_rng([seed, 3])
    problem = random_problem(
        rng,
        int(rng.integers(1, 3)),
        rounds=int(rng.integers(1, 4)),
        batch=3,
        steps=int(rng.integers(0, 2)),
        batch0=2,
        per_client=seed % 3 == 0,
        total=seed % 3 == 1,
        squeeze=(1.0, 2.0),
    )
    problem["mse_star"] = float(10 ** rng.uniform(-2.5, 0.5))
    return problem


def repeated(problem: dict, count: int) -> dict:
    return {
        **problem,
        "mse_star": problem["mse_star"] / count,
        "uplink_s": problem["uplink_s"] * count,
    }


def test_the_number_of_sendings_agrees_with_brute_force() -> None:
    chosen = []
    for seed in range(6):
        problem = noisy(seed)
        answers = [brute_force(repeated(problem, n)) for n in range(1, MOST + 1)]
        bounds = [np.inf if answer is None else answer[0] for answer in answers]
        try:
            plan = plan_problem({**problem, "repetition_max": MOST})
        except InputError:
            assert np.isinf(bounds).all()
            continue
        count, rho = plan["repetition"], plan["power_backoff"]
        assert plan["bound"]["total"] == pytest.approx(min(bounds), rel=1e-9), seed
        # only rho n counts for the air, and every sending costs time: no fewer would do
        assert count == math.ceil(rho * count * (1 - 1e-9)), seed
        assert plan["latency_s"]["uplink"] == pytest.approx(
            plan["rounds"]["finetuning"] * count * problem["uplink_s"]
        )
        chosen.append(count)
    assert len(set(chosen)) >= 3, chosen  # neither always once nor always as often as allowed


def test_of_equal_answers_the_fewest_sendings_are_taken() -> None:
    assert fewest_sendings(lambda n: n, lambda n: 1.0, 5) == 1
    assert fewest_sendings(lambda n: n if n < 3 else None, lambda n: 1 / n, 5) == 2
    assert fewest_sendings(lambda n: None, float, 5) is None
