"""Rounds with a cost twin: the same losses, other books, in the accounts and in the plan."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from airtune.errors import InputError
from airtune.learning.sizes import Sizes
from airtune.planning import Repetition, plan_run
from airtune.scenario import Scenario
from planning.test_overlap import executed
from quadratic import QuadraticLearner
from rounds.test_federated import with_settings

D, BLOCKS, PARAMETERS = 2_662_400, 104, 3_426_473_600
FLOP = 4 * 50 * PARAMETERS
"""Of a sample of 50 tokens: what the quadratic learner says that it has."""


@pytest.fixture
def twinned(small_scenario: Scenario) -> Scenario:
    return with_settings(small_scenario, costs__model="openllama-3b-qv")


@pytest.mark.parametrize("scheme", ["ideal", "fixed", "movable", "digital", "obda"])
def test_losses_are_the_same_and_books_are_the_twin_s(
    scheme: str, small_scenario: Scenario, twinned: Scenario, tmp_path
) -> None:
    # a planned coding weighs airtime: the twin's may be another one
    coding = {"digital": {"quantizer": "lloyd-max", "bits": 2, "error_feedback": True}}
    small_scenario, twinned = (
        Scenario.model_validate(s.to_dict() | coding) for s in (small_scenario, twinned)
    )
    one, joint, before = executed(small_scenario, scheme, tmp_path / "own")
    other, planned, lines = executed(twinned, scheme, tmp_path / "twin")
    assert np.array_equal(one.state.adapter, other.state.adapter)
    for name in ("loss", "mse", "mse_predicted", "positions", "participants", "tokens"):
        assert [line.get(name) for line in lines] == [line.get(name) for line in before]
    radio, processor = twinned.radio, twinned.client_processor
    batches, clocks = planned.plan.batch_sizes, planned.plan.frequencies
    cycles = FLOP / processor.flop_per_cycle * batches
    for old, new in zip(before[1:], lines[1:], strict=True):
        spent, was = new["round_latency_s"], old["round_latency_s"]
        assert spent["compute"] == pytest.approx(np.max(cycles / clocks))
        energy = processor.kappa * clocks**2 * cycles
        assert new["round_energy_j"]["compute"] == pytest.approx(energy.sum())
        assert spent["movement"] == was["movement"]
        if scheme in ("fixed", "movable", "obda"):
            assert spent["uplink"] == D // 2 / (radio.bandwidth_hz * radio.efficiency)
            assert was["uplink"] == 54 / (radio.bandwidth_hz * radio.efficiency)
        if scheme != "ideal":
            assert spent["downlink"] == pytest.approx(was["downlink"] * D / 107)
    assert planned.plan.latency_s.compute == pytest.approx(5 * np.max(cycles / clocks))
    if scheme in ("fixed", "movable"):
        assert planned.plan.latency_s.uplink == pytest.approx(other.state.latency_s.uplink)
        ratio = other.state.latency_s.uplink / one.state.latency_s.uplink
        assert ratio == pytest.approx(D / 2 / 54)
    # phase 1 of the quadratic learner: 100 steps of 8 samples, 6 FLOP per weight and token
    server = twinned.server_processor
    work = 6 * 50 * PARAMETERS * 100 * 8
    assert other.state.latency_s.pretraining == pytest.approx(
        work / server.flop_per_cycle / planned.plan.server_frequency
    )
    assert joint.plan.rounds == planned.plan.rounds


def test_reports_in_the_plan_are_those_of_all_blocks(
    small_scenario: Scenario, twinned: Scenario
) -> None:
    plain, full = (
        plan_run(Repetition(s, 1, QuadraticLearner(s)), "movable").expected.costs.pilot_s
        for s in (small_scenario, twinned)
    )
    radio = twinned.radio
    pilots = 3 * radio.pilot_symbols_per_client / radio.bandwidth_hz
    assert (full - pilots) / (plain - pilots) == pytest.approx(BLOCKS / 3)


def test_budgets_are_kept_with_the_costs_of_the_twin(twinned: Scenario) -> None:
    """A budget that the model of 107 numbers would never touch limits the twin's plan."""
    free = plan_run(Repetition(twinned, 1, QuadraticLearner(twinned)), "movable").plan
    limit = 0.6 * float(free.client_energy_j.max())
    tight = with_settings(twinned, budget__client_energy_j=limit)
    kept = plan_run(Repetition(tight, 1, QuadraticLearner(tight)), "movable").plan
    assert kept.client_energy_j.max() <= limit * (1 + 1e-9)
    assert kept.batch_sizes.sum() < free.batch_sizes.sum()
    own = with_settings(tight, costs__model="none")
    plain = plan_run(Repetition(own, 1, QuadraticLearner(own)), "movable").plan
    assert np.array_equal(plain.batch_sizes, free.batch_sizes)


def test_an_engine_that_does_not_say_what_a_weight_costs_is_refused(twinned: Scenario) -> None:
    learner = QuadraticLearner(twinned)
    old = Sizes(learner.matrices, learner.data_sizes, 1e9, learner.pretraining_cost)
    assert Repetition(with_settings(twinned, costs__model="none"), 1, old).flop_per_sample == 1e9
    with pytest.raises(InputError, match=r"costs\.model = .* engine 'local'"):
        assert Repetition(twinned, 1, old).cycles_per_sample


def test_a_scenario_without_a_twin_books_what_the_engine_says(small_scenario: Scenario) -> None:
    sizes = SimpleNamespace(flop_per_sample=12.5, flop_per_parameter=None)
    assert Repetition(small_scenario, 1, sizes).flop_per_sample == 12.5  # type: ignore[arg-type]
