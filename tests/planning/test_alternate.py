"""The joint plan on the quadratic learner: alternation, participation, and its execution."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from airtune import record
from airtune.errors import InputError
from airtune.planning import JointPlan, Repetition, plan_run
from airtune.planning.expected_radio import RadioTurn
from airtune.planning.resources import try_plan
from airtune.radio.channels.base import Block, Channel
from airtune.rounds import cell_io
from airtune.rounds.federated import FederatedRun
from airtune.scenario import Scenario
from quadratic import QuadraticLearner, run_with
from rounds.test_federated import with_settings


def repetition_of(scenario: Scenario, seed: int = 1) -> Repetition:
    return Repetition(scenario, seed, QuadraticLearner(scenario, seed))  # type: ignore[arg-type]


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
    loose = plan_run(
        repetition_of(
            with_settings(scenario, planning__alternate=False, planning__participation="all")
        ),
        "movable",
    ).plan
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
    plain = with_settings(scenario, planning__alternate=False, planning__participation="all")
    try:
        first = plan_run(repetition_of(plain), "movable").plan.bound.total
    except InputError:
        first = float("inf")
    try:
        return first, plan_run(repetition_of(scenario), "movable")
    except InputError:
        return first, None


def check_never_rising(scenario: Scenario) -> bool:
    first, joint = plans_of(scenario)
    if joint is None:
        assert first == float("inf")
        return False
    bounds = [entry.bound for entry in joint.trace]
    assert all(after < before for before, after in itertools.pairwise(bounds))
    assert joint.plan.bound.total == bounds[-1] <= first
    plan, budget = joint.plan, scenario.budget
    assert plan.latency_s.total <= (budget.latency_s or np.inf) * (1 + 1e-9)
    assert plan.energy_j.total <= (budget.energy_j or np.inf) * (1 + 1e-9)
    assert plan.client_energy_j.max() <= (budget.client_energy_j or np.inf) * (1 + 1e-9)
    return len(bounds) > 1


def test_alternation_never_raises_the_bound(small_scenario) -> None:
    improved = [check_never_rising(random_scenario(small_scenario, seed)) for seed in range(6)]
    assert sum(improved) >= 2


@pytest.mark.slow
def test_alternation_never_raises_the_bound_of_many(small_scenario) -> None:
    improved = [check_never_rising(random_scenario(small_scenario, seed)) for seed in range(6, 80)]
    assert sum(improved) >= 20


def test_pdd_can_take_the_radio_turn(small_scenario) -> None:
    scenario = with_settings(random_scenario(small_scenario, 0), placement__method="pdd")
    check_never_rising(scenario)
    assert plan_run(repetition_of(scenario), "movable").plan.bound.total > 0


def bound_of(scenario: Scenario, mask: np.ndarray, positions: np.ndarray) -> float:
    """Bound with these participants and places, from the pieces: the plan of a smaller cell."""
    repetition = repetition_of(scenario)
    turn = RadioTurn(repetition, "movable", 1, repetition.scheme("movable").array.start())
    air = turn.at(mask, positions)
    plan = try_plan(repetition.inputs, air.mse_star, air.costs, mask)
    return np.inf if plan is None else plan.bound.total


def test_participation_agrees_with_all_subsets(small_scenario) -> None:
    left_out = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        scenario = with_settings(
            small_scenario,
            clients__count=4,
            clients__tx_power_dbm=[-5.0, -5.0, -5.0, float(rng.uniform(-45, -20))],
            planning__participation="planned",
            bound__zeta_sq=float(10 ** rng.uniform(-2, 0.5)),
        )
        joint = plan_run(repetition_of(scenario), "movable")
        masks = [np.array(bits) for bits in itertools.product((True, False), repeat=4) if any(bits)]
        least = min(bound_of(scenario, mask, joint.expected.positions) for mask in masks)
        assert joint.plan.bound.total == pytest.approx(least, rel=1e-9)
        left_out += not joint.plan.participants.all()
    assert left_out >= 1


def test_participants_are_the_only_ones_that_transmit(small_scenario, tmp_path) -> None:
    scenario = with_settings(
        small_scenario,
        clients__tx_power_dbm=[0.0, 0.0, -60.0],
        planning__participation="planned",
        bound__zeta_sq=0.01,
        schemes=["movable"],
    )
    run = run_with(scenario, "movable", 1, QuadraticLearner(scenario, 1))
    assert run.plan.participants.tolist() == [True, True, False]
    lines = [run.run_round() for _ in range(2)]
    assert [line["clients"] for line in lines] == [[0, 1], [0, 1]]
    assert run.state.client_energy_j[2] == 0.0


STILL = {
    "radio__paths__doppler_hz": 0.0,
    "radio__paths__angle_drift_deg": 0.0,
    "planning__movement": "once",
    "clients__tx_power_dbm": -5.0,
    "bound__G_sq": 0.1,
    "pretraining__charge": False,
    "training__rounds": 10,
}


@pytest.mark.parametrize("scheme", ["movable", "fixed", "ideal", "digital"])
def test_the_accounts_agree_with_the_plan_when_nothing_is_random(
    small_scenario, tmp_path, scheme: str
) -> None:
    scenario = with_settings(
        small_scenario, **STILL, plan="own", planning__rounds="planned", planning__alternate=True
    )
    loose = plan_run(repetition_of(scenario), scheme).plan
    scenario = with_settings(
        scenario,
        budget__latency_s=0.9 * loose.latency_s.total,
        budget__energy_j=0.95 * loose.energy_j.total,
        budget__client_energy_j=1.5 * float(loose.client_energy_j.max()),
    )
    run = run_with(scenario, scheme, 1, QuadraticLearner(scenario, 1))
    assert run.plan.rounds > 1
    while run.state.round < run.plan.rounds:
        run.run_round()
    for name, booked in run.state.latency_s.to_dict().items():
        planned = getattr(run.plan.latency_s, name)
        if (scheme, name) == ("digital", "uplink"):  # entropy-coded: as short as the data allow
            assert booked <= planned * (1 + 1e-6)
        else:
            assert booked == pytest.approx(planned, rel=1e-6, abs=1e-12), name
    for name, joules in run.state.energy_j.to_dict().items():
        assert joules <= getattr(run.plan.energy_j, name) * (1 + 1e-6), name
    assert np.all(run.state.client_energy_j <= run.plan.client_energy_j * (1 + 1e-6))


def test_energy_of_sampled_clients_is_that_of_a_mean_round(small_scenario) -> None:
    scenario = with_settings(
        small_scenario,
        **STILL | {"training__rounds": 60},
        plan="own",
        clients__count=5,
        clients__concurrency=2,
        clients__selection="random",
        client_processor__f_max_hz=[4e8, 6e8, 8e8, 1e9, 2e9],
    )
    run = run_with(scenario, "fixed", 1, QuadraticLearner(scenario, 1))
    lines = [run.run_round() for _ in range(60)]
    for name in ("compute", "pilots"):
        joules = np.array([line["round_energy_j"][name] for line in lines])
        error = 4 * joules.std() / np.sqrt(len(joules)) + 1e-9 * joules.mean()
        assert getattr(run.plan.energy_j, name) / 60 == pytest.approx(joules.mean(), abs=error)
        assert error < 0.4 * joules.mean()
    assert np.all(run.state.client_energy_j <= run.plan.client_energy_j)
    assert run.plan.bound.bias > 0


DRIFTING = {
    "radio__paths__doppler_hz": 0.3,
    "plan": "own",
    "training__rounds": 12,
    "clients__tx_power_dbm": -10.0,
    "bound__G_sq": 0.1,
    "planning__replan_factor": 1.2,
    "planning__replan_every": 3,
}


def drifting(small: Scenario, **changes: object) -> Scenario:
    """A moving cell with a latency budget, planned anew when the air drifts."""
    scenario = with_settings(small, **DRIFTING, **changes)
    latency = plan_run(repetition_of(scenario), "movable").plan.latency_s
    budget = latency.total - 0.5 * latency.compute
    return with_settings(scenario, budget__latency_s=budget)


def test_a_drift_of_the_air_is_planned_for(small_scenario, tmp_path) -> None:
    scenario = drifting(small_scenario)
    run = run_with(scenario, "movable", 1, QuadraticLearner(scenario, 1))
    first, lines = run.plan, []
    while run.state.round < run.current.last_round:
        lines.append(run.run_round())
    replanned = [line["replanned"] for line in lines if "replanned" in line]
    assert replanned
    assert len(lines) == 12
    assert any(entry["accepted"] for entry in replanned)
    assert all(entry["rounds"] < 12 for entry in replanned if entry["accepted"])
    assert run.plan is not first
    assert run.state.latency_s.total <= scenario.budget.latency_s * 1.05


def test_resume_after_a_new_plan_is_bit_for_bit(small_scenario, tmp_path) -> None:
    scenario = drifting(small_scenario, planning__rounds="planned")

    def execute(folder: str, stop: int | None) -> FederatedRun:
        learner = QuadraticLearner(scenario, 1)
        run = run_with(scenario, "movable", 1, learner)

        def done(line: dict[str, object]) -> None:
            if line["round"] == stop:
                raise KeyboardInterrupt

        cell_io.execute(run, record.Cell(tmp_path / folder, "movable", 0), done)
        return run

    whole = execute("whole", None)
    assert whole.current.round > 0
    for stop in (whole.current.round, whole.current.round + 1):
        with pytest.raises(KeyboardInterrupt):
            execute(f"stopped-{stop}", stop)
        resumed = execute(f"stopped-{stop}", None)
        assert np.array_equal(resumed.state.adapter, whole.state.adapter)
        assert resumed.state.latency_s == whole.state.latency_s
        assert resumed.state.energy_j == whole.state.energy_j


def test_a_channel_of_another_number_of_clients_is_refused(small_scenario: Scenario) -> None:
    class Short(Channel):
        def block(self, round_index: int) -> Block:
            block = repetition_of(small_scenario).paths.block(round_index)
            first = np.arange(2)
            return Block(block.true.of(first), block.perceived.of(first))

    repetition = replace(repetition_of(small_scenario), channel=Short())
    with pytest.raises(InputError, match=r"radio\.channel = .* 2 clients in round 1; .*count = 3"):
        repetition.radio(1)
