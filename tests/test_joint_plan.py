"""The joint plan on the quadratic learner: alternation, participation, and its execution."""

from __future__ import annotations

import itertools

import numpy as np

from airtune.joint_plan import JointPlan, Site, plan_run
from airtune.scenario import Scenario
from quadratic import QuadraticLearner
from test_rounds import with_settings


def site_of(scenario: Scenario, seed: int = 1) -> Site:
    return Site(scenario, seed, QuadraticLearner(scenario, seed))  # type: ignore[arg-type]


def random_scenario(small: Scenario, seed: int) -> Scenario:
    """Weak radios, budgets near what the plan needs, slow antennas."""
    rng = np.random.default_rng(seed)
    changes: dict[str, object] = {
        "clients__count": int(rng.integers(2, 5)),
        "clients__tx_power_dbm": float(rng.uniform(-25, 5)),
        "array__antennas": int(rng.integers(1, 4)),
        "array__speed_mps": float(10 ** rng.uniform(-2, 0)),
        "placement__method": "pdd" if rng.random() < 0.15 else "auto",
        "planning__alternate": True,
        "planning__rounds": "planned" if rng.random() < 0.5 else "fixed",
        "planning__pretraining": "planned" if rng.random() < 0.5 else "fixed",
        "planning__participation": "planned" if rng.random() < 0.4 else "all",
        "planning__movement": "once" if rng.random() < 0.5 else "each-round",
        "training__rounds": int(rng.integers(2, 30)),
        "bound__zeta_sq": float(10 ** rng.uniform(-3, 1)),
        "bound__G_sq": float(10 ** rng.uniform(-1, 2)),
    }
    scenario = with_settings(small, **changes)
    site = site_of(scenario)
    loose = plan_run(
        site_of(with_settings(scenario, planning__alternate=False, planning__participation="all")),
        "movable",
    ).plan
    del site
    if rng.random() < 0.7:
        latency = loose.latency_s.total * rng.uniform(0.3, 1.2)
        scenario = with_settings(scenario, budget__latency_s=latency)
    if rng.random() < 0.4:
        joules = float(loose.client_energy_j.max() * rng.uniform(0.6, 1.2))
        scenario = with_settings(scenario, budget__client_energy_j=joules)
    if rng.random() < 0.4:
        joules = loose.energy_j.total * rng.uniform(0.6, 1.2)
        scenario = with_settings(scenario, budget__energy_j=joules)
    return scenario


def plans_of(scenario: Scenario) -> tuple[float, JointPlan | None]:
    """Bound of the plan without alternation, and the alternating plan; None where there is none."""
    from airtune.errors import InputError

    plain = with_settings(scenario, planning__alternate=False, planning__participation="all")
    try:
        first = plan_run(site_of(plain), "movable").plan.bound.total
    except InputError:
        first = float("inf")
    try:
        return first, plan_run(site_of(scenario), "movable")
    except InputError:
        return first, None


def check_never_rising(scenario: Scenario) -> bool:
    first, joint = plans_of(scenario)
    if joint is None:
        assert first == float("inf")
        return False
    bounds = [step.bound for step in joint.trace]
    assert all(after < before for before, after in itertools.pairwise(bounds))
    assert joint.plan.bound.total == bounds[-1] <= first
    plan, budget = joint.plan, scenario.budget
    assert plan.latency_s.total <= (budget.latency_s or np.inf) * (1 + 1e-9)
    assert plan.energy_j.total <= (budget.energy_j or np.inf) * (1 + 1e-9)
    assert plan.client_energy_j.max() <= (budget.client_energy_j or np.inf) * (1 + 1e-9)
    return len(bounds) > 1


def test_alternation_never_raises_the_bound(small_scenario) -> None:
    improved = [check_never_rising(random_scenario(small_scenario, seed)) for seed in range(12)]
    assert sum(improved) >= 3
