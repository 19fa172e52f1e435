"""The participation turn, and the allocation with the bias of those left out."""

from dataclasses import replace

import numpy as np
import pytest

from airtune.allocation import allocate, is_feasible
from airtune.bound import bound_constant
from airtune.planning.participation import best_participants
from airtune.planning.problem_file import parse, resource_problem
from allocation.problems import random_problem


def random_value(rng: np.random.Generator, count: int):
    """A made-up bound: a weakest link, a bias of the missing weight, an interaction."""
    weight, air = rng.dirichlet(np.ones(count)), 10 ** rng.uniform(-2, 1, count)
    pairs = rng.uniform(-0.2, 0.2, (count, count))

    def value(mask: np.ndarray) -> float:
        missing = 1 - weight[mask].sum()
        return float(air[mask].max() + min(1, 4 * missing**2) + mask @ pairs @ mask)

    return value


def test_small_sets_are_solved_exactly_and_large_ones_never_get_worse() -> None:
    rng = np.random.default_rng(5)
    for count in (1, 3, 6, 9, 12):
        value = random_value(rng, count)
        mask = best_participants(value, np.ones(count, bool))
        every = ((np.arange(1, 2**count)[:, None] >> np.arange(count)) & 1).astype(bool)
        least = min(map(value, every))
        start = value(np.ones(count, bool))
        assert least <= value(mask) <= start
        if count <= 6:
            assert value(mask) == least
        for k in range(count):  # a local optimum: no single client helps by leaving or joining
            other = mask.copy()
            other[k] = not other[k]
            assert not other.any() or value(other) >= value(mask) * (1 - 1e-9)


@pytest.mark.parametrize("total", [False, True])
def test_the_bias_is_weighed_against_the_other_terms(total: bool) -> None:
    changed = 0
    for seed in range(6):
        rng = np.random.default_rng([seed, 11])
        content = random_problem(
            rng, 3, rounds=12, batch=6, steps=6, batch0=4, per_client=True, total=total
        )
        problem = replace(resource_problem(parse(content)), beta=float(10 ** rng.uniform(0, 2.5)))
        best, without = allocate(problem), allocate(replace(problem, beta=0.0))
        least = np.inf
        for T in range(1, 13):  # each T by itself: there the bias is a constant
            fixed = replace(problem, rounds=(T, T), beta=0.0)
            if not is_feasible(fixed):
                continue
            q = problem.bound.contraction**T
            bias = (1 - q) / (2 * problem.bound.mu) * problem.beta
            least = min(least, allocate(fixed).bound.total + bias)
        assert best.bound.total == pytest.approx(least, rel=1e-9)
        assert best.lower_bound <= best.bound.total * (1 + 1e-12)
        again = bound_constant(
            problem.bound,
            rounds=best.rounds,
            pretraining=(best.steps, best.pretraining_batch),
            noise=problem.bound.sigma_g_sq * float(np.sum(problem.clients.omega**2 / best.batch)),
            mse=problem.mse_star / best.backoff,
            beta=problem.beta,
        )
        assert again.total == pytest.approx(best.bound.total)
        changed += best.rounds != without.rounds
    assert changed >= 1
