"""Selection together with the placement, against exhaustive choice."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from airtune.bound.convergence import (
    BoundConstants,
    batch_noise,
    bound_constant,
    participation_bias,
)
from airtune.placement import beamform
from airtune.placement.choice import relaxed_orders
from airtune.placement.kernels.shares import shares
from airtune.registry import SCHEMES
from airtune.scenario import Scenario
from airtune.scheduling import Candidates
from airtune.scheduling.joint import EVALUATIONS, Joint, Trials, round_terms, screened
from scheduling.test_policies import candidates_of, perceiving


def problem_of(
    count: int,
    limit: int | None,
    *,
    seed: int,
    scheme: str = "fixed",
    power_dbm: float = 10.0,
    shadowing_db: float = 8.0,
    **bound: float,
) -> Candidates:
    scenario = Scenario.model_validate(
        {
            "clients": {
                "count": count,
                "concurrency": limit,
                "selection": "joint",
                "tx_power_dbm": power_dbm,
            },
            "radio": {"shadowing_db": shadowing_db},
            "array": {"antennas": 4},
            "placement": {"mode": "fast"},
        }
    )
    constants = BoundConstants.from_mapping(scenario.bound.model_dump())
    candidates = candidates_of(scenario, seed=seed)
    array = SCHEMES[scheme].build(scenario, seed).array
    return replace(candidates, array=array, constants=replace(constants, **bound))


def subsets(count: int, limit: int):
    for size in range(1, limit + 1):
        yield from (np.array(s) for s in itertools.combinations(range(count), size))


@pytest.mark.parametrize(
    ("scheme", "seeds", "settings"),
    [
        ("fixed", 8, {"zeta_sq": 1.0}),
        ("fixed", 8, {"zeta_sq": 0.05, "power_dbm": -15.0, "shadowing_db": 3.0}),
        ("movable", 3, {"zeta_sq": 1.0}),
        ("movable", 3, {"zeta_sq": 0.05, "power_dbm": -15.0, "shadowing_db": 3.0}),
    ],
)
def test_joint_choice_against_every_set(scheme, seeds, settings) -> None:
    """3 of 6 clients: the median loses nothing, the worst case at most 25 % of the terms."""
    excess = []
    for seed in range(seeds):
        candidates = problem_of(6, 3, seed=seed, scheme=scheme, **settings)
        trials = Trials(candidates, candidates.clients)
        best = min(trials.of(members).terms for members in subsets(6, 3))
        excess.append(trials.of(Joint().select(candidates).clients).terms / best - 1)
    assert np.median(excess) <= 1e-9
    assert max(excess) <= 0.25


def test_relaxed_choice_of_a_fixed_array_against_every_set() -> None:
    """Clients alike in strength, 4 of 8: within 0.1 dB in the median, 1.5 dB at worst."""
    losses = []
    for seed in range(8):
        candidates = problem_of(8, 4, seed=seed, shadowing_db=1.0)
        omega, radio = candidates.omega, candidates.radio

        def gain(members, radio=radio, omega=omega, positions=candidates.positions) -> float:
            weights = np.zeros(8)
            weights[list(members)] = omega[list(members)]
            return beamform(radio.problem(weights), positions, starts=8).worst_gain

        orders = relaxed_orders(radio.problem(omega), 4, candidates.positions, moving=False)
        best = max(gain(members) for members in itertools.combinations(range(8), 4))
        losses.append(10 * np.log10(best / gain(orders[0][:4])))
    assert np.median(losses) <= 0.1
    assert max(losses) <= 1.5


@pytest.mark.parametrize("count", [1, 3, 6])
def test_shares_are_the_nearest_copies(count) -> None:
    """min sum |u - v|^2 with |u_k|^2 >= s_k, sum s_k >= M, 0 <= s_k <= 1."""
    random = np.random.default_rng(count)
    for _ in range(5):
        v = random.exponential(0.6, 6)
        u = np.stack([v, np.zeros(6)])
        copy = np.empty((2, 6))
        field = type("Field", (), {"clients": 6})
        shares.py_func(field, u, np.zeros((2, 6)), 1.0, count, copy)
        found = np.hypot(*copy)
        assert np.minimum(1.0, found**2).sum() >= count - 1e-9

        def moved(x: np.ndarray, v=v) -> float:
            return float(np.sum(np.maximum(0.0, x - v) ** 2))

        other = minimize(
            moved,
            np.full(6, 0.99),
            bounds=[(0, 1)] * 6,
            constraints={"type": "ineq", "fun": lambda x: np.sum(x**2) - count},
            options={"maxiter": 500, "ftol": 1e-12},
        )
        assert np.sum((found - v) ** 2) <= moved(other.x) + 1e-6


def test_round_terms_are_what_one_round_adds_to_the_bound() -> None:
    candidates = problem_of(5, 3, seed=1)
    constants, omega, batches = candidates.constants, candidates.omega, np.array([1, 2, 4, 8, 16])
    for members in (np.array([0, 3]), np.arange(5)):
        weights = np.zeros(5)
        weights[members] = omega[members] / omega[members].sum()
        present = weights > 0
        parts = bound_constant(
            constants,
            rounds=1,
            pretraining=(0, 1),
            noise=float(batch_noise(constants, weights, batches)),
            mse=0.3,
            beta=float(participation_bias(constants, omega, present)),
        )
        expected = parts.batch_noise + parts.air_noise + parts.bias
        assert round_terms(constants, omega, batches, members, 0.3) == pytest.approx(expected)


def test_a_hopeless_client_is_left_out_where_nobody_has_to_be() -> None:
    candidates = problem_of(4, None, seed=2, shadowing_db=0.0, zeta_sq=0.01)
    assert len(Joint().select(candidates).clients) == 4
    seen = candidates.radio.perceived
    gains = seen.clients.gains.copy()
    gains[1] *= 1e-4
    weak = replace(seen, clients=replace(seen.clients, gains=gains))
    other = replace(candidates, radio=perceiving(candidates.radio, weak))
    assert Joint().select(other).clients.tolist() == [0, 2, 3]
    dear = replace(other, constants=replace(other.constants, zeta_sq=1e12))
    assert len(Joint().select(dear).clients) == 4


def test_many_clients_are_screened_and_few_sets_are_tried(monkeypatch) -> None:
    candidates = problem_of(3000, 4, seed=1)
    assert len(screened(candidates)) <= 24 + 4
    tried = []
    place = Trials._place
    monkeypatch.setattr(
        Trials, "_place", lambda self, members: tried.append(members) or place(self, members)
    )
    choice = Joint().select(candidates)
    assert 1 <= len(choice.clients) <= 4
    assert len(tried) <= EVALUATIONS
    again = Joint().select(problem_of(3000, 4, seed=1))
    assert np.array_equal(choice.clients, again.clients)
