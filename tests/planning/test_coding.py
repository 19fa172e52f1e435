"""The coding turn of the plan: by predicted time, for plans of one's own and shared ones."""

from __future__ import annotations

from typing import Any

import pytest

from airtune.planning.expected_radio import RadioTurn
from airtune.planning.plans import plan_all, plan_run, with_coding
from airtune.planning.repetition import Repetition
from airtune.planning.replan import CurrentPlan
from airtune.radio.quantisers.coding import Coding
from airtune.scenario import Scenario
from airtune.schemes.air.digital import Digital
from quadratic import QuadraticLearner, run_with

FAST_DEVICE = {"flop_per_cycle": 1e6}


def scenario_of(base: Scenario, **changes: dict[str, Any]) -> Scenario:
    data = base.to_dict()
    for section, values in changes.items():
        data[section] = values if not isinstance(values, dict) else data[section] | values
    return Scenario.model_validate(data)


def coding_of(scenario: Scenario, name: str = "digital") -> Coding | None:
    learner = QuadraticLearner(scenario, 1, sizes=(4000, 6000, 700))
    return run_with(scenario, name, 1, learner).current.joint.coding


@pytest.mark.parametrize("plan", ["own", "shared"])
def test_slow_devices_take_finer_levels(small_scenario: Scenario, plan: str) -> None:
    """Where computing is long, bits cost little of a round."""
    lloyd_max = {"quantizer": "lloyd-max"}
    slow = scenario_of(small_scenario, plan=plan, digital=lloyd_max)
    fast = scenario_of(slow, client_processor=FAST_DEVICE)
    found = [coding_of(s) for s in (fast, slow)]
    assert all(found)
    assert found[0].bits < found[1].bits  # type: ignore[union-attr]


def test_settled_settings_leave_the_plan_alone(small_scenario: Scenario) -> None:
    settled = {"quantizer": "entropy", "bits": 2, "error_feedback": False}
    assert coding_of(scenario_of(small_scenario, plan="own", digital=settled)) is None
    assert coding_of(small_scenario, "fixed") is None


def test_the_coding_of_a_plan_is_written_and_read(small_scenario: Scenario) -> None:
    scenario = scenario_of(small_scenario, plan="own")
    run = run_with(scenario, "digital", 1, QuadraticLearner(scenario, 1))
    document = run.current.to_dict()
    assert document["joint"]["coding"] == run.current.joint.coding.to_dict()
    again = CurrentPlan.from_dict(document, run.repetition)
    assert again.joint.coding == run.current.joint.coding
    assert run.scheme.air.coding == run.current.joint.coding


def test_the_coding_suits_the_plan_that_is_made_with_it(small_scenario: Scenario) -> None:
    """Planned again with the coding as set by hand the same plan comes out."""
    scenario = scenario_of(small_scenario, plan="own", budget={"latency_s": 20.0})
    learner = QuadraticLearner(scenario, 1)
    joint = run_with(scenario, "digital", 1, learner).current.joint
    coding = joint.coding
    assert coding is not None
    digital = {"quantizer": coding.quantizer, "bits": coding.bits}
    digital |= {"error_feedback": coding.feedback}
    digital |= {"top_share": coding.share} if coding.quantizer == "top-k" else {}
    by_hand = run_with(scenario_of(scenario, digital=digital), "digital", 1, learner).current.joint
    assert by_hand.coding is None
    assert by_hand.plan.to_dict() == joint.plan.to_dict()


def test_a_shared_plan_keeps_its_batches(small_scenario: Scenario) -> None:
    run = run_with(small_scenario, "digital", 1, QuadraticLearner(small_scenario, 1))
    shared = plan_run(run.repetition, "digital")
    assert shared.coding is None
    own = with_coding(run.repetition, "digital", shared)
    assert own.coding == run.current.joint.coding is not None
    assert own.plan is shared.plan


def test_a_shared_plan_codes_for_what_the_clients_of_the_scheme_compute(
    small_scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forward passes along many directions take longer than the gradient that was planned."""
    beside = {}
    fastest = Digital.fastest

    def heard(self: Digital, link: Any, omega: Any, sizes: Any, beside_s: float) -> Any:
        beside[int(sizes.sum())] = beside_s
        return fastest(self, link, omega, sizes, beside_s)

    monkeypatch.setattr(Digital, "fastest", heard)
    scenario = scenario_of(small_scenario, plan="shared", zeroth_order={"directions": 9})
    learner, runs = QuadraticLearner(scenario, 1), {}
    names = ("digital", "zeroth-order-digital")
    plans = plan_all(Repetition(scenario, 1, learner), names)  # type: ignore[arg-type]
    assert plans[names[0]] is plans[names[1]]
    for name in names:
        runs[name] = run_with(scenario, name, 1, learner, plans[name])
    for name, numbers in zip(names, (107, 9), strict=True):
        run = runs[name]
        plan, known = run.plan, run.repetition
        computing = float((known.cycles_per_sample * plan.batch_sizes / plan.frequencies).max())
        radio = RadioTurn(known, name, 1, run.scheme.array.start())
        costs = radio.place(plan.participants).costs
        others = costs.downlink_s + costs.pilot_s
        assert beside[numbers] == pytest.approx(computing + others), name
