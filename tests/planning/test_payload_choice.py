"""The payload that a plan chooses (`aggregation.payload: planned`)."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from rich.console import Console

from airtune.commands.plan_forecast import payload_table
from airtune.engines import LocalEngine
from airtune.errors import InfeasibleError, InputError
from airtune.planning import Repetition, pareto, payload_choice, plan_run
from airtune.planning.alternate import JointPlan
from airtune.planning.choices import PayloadChoice, PredictedPayload
from airtune.planning.payload_choice import (
    candidates,
    check_chosen,
    pilot_of,
    plan_payloads,
    plan_with_payload,
    resolved,
    with_chosen_payload,
    with_payload,
)
from airtune.planning.pilot import Pilot
from airtune.planning.replan import CurrentPlan, Spent, plan_rest
from airtune.rounds.federated import FederatedRun
from airtune.scenario import Scenario
from planning.forecasts import CURVE
from rounds.test_federated import with_settings
from rounds.test_payloads import Factors

QUICK = Pilot(tuple(CURVE[:9].tolist()), (8, 8, 8), 0.4, 8.7, "clients", 1.0, 1.0)


def slower(factor: float) -> Pilot:
    """Return a pilot that takes so many times the rounds."""
    losses = np.interp(np.arange(9) / factor, np.arange(len(CURVE)), CURVE)
    return replace(QUICK, losses=tuple(losses.tolist()))


def open_one(small: Scenario, **changes: Any) -> Repetition:
    given: dict[str, Any] = {
        "training__server_optimizer": "adam",
        "training__rounds": 40,
        "planning__rounds": "planned",
        "planning__objective": "time",
        "aggregation__payload": "planned",
        "plan": "own",
    }
    scenario = with_settings(small, **{**given, **changes})
    return Repetition(scenario, 1, Factors(scenario, 1))  # type: ignore[arg-type]


PILOTS = {"lora": QUICK, "ffa": slower(1.2), "rolora": slower(1.8)}
NARROW = {"radio__bandwidth_hz": 1e3, "digital__access": "tdma"}
WIDE = {"radio__bandwidth_hz": 1e8}


@pytest.mark.parametrize(
    ("scheme", "objective"), [("fixed", "time"), ("digital", "energy"), ("fixed", "loss")]
)
def test_it_is_the_best_of_the_plans_with_each(small_scenario, scheme, objective) -> None:
    """The same rule for every scheme: the least value of plans to one target."""
    repetition = open_one(small_scenario, planning__objective=objective, **NARROW)
    joint = plan_with_payload(repetition, scheme, PILOTS)
    target = PILOTS["lora"].curve().target(0.9, 40)
    values = {}
    for name in candidates(repetition.scenario):
        own = with_settings(with_payload(repetition.scenario, name), planning__target_loss=target)
        alone = Repetition(own, 1, repetition.sizes, pilot=PILOTS[name])
        values[name] = plan_run(alone, scheme).plan.value
    assert joint.payload is not None
    assert joint.payload.payload == min(values, key=lambda name: values[name])
    assert joint.plan.value == min(values.values())
    assert joint.plan.forecast is not None and joint.plan.forecast.target == target
    for name, told in joint.payload.candidates.items():
        assert isinstance(told, PredictedPayload)
        assert told.value == values[name]


def test_narrow_bands_send_less_and_wide_ones_take_fewer_rounds(small_scenario) -> None:
    chosen = {}
    for name, air in (("narrow", NARROW), ("wide", WIDE)):
        joint = plan_with_payload(open_one(small_scenario, **air), "fixed", PILOTS)
        assert joint.payload is not None
        chosen[name] = joint.payload.payload
        numbers = {k: one.numbers for k, one in joint.payload.candidates.items()}
        assert numbers == {"lora": 107, "ffa": 60, "rolora": 60}
    assert chosen == {"narrow": "ffa", "wide": "lora"}


def test_a_size_adds_those_that_take_one(small_scenario) -> None:
    repetition = open_one(small_scenario, aggregation__payload_size=12, **NARROW)
    names = candidates(repetition.scenario)
    assert names == ("lora", "ffa", "rolora", "mask", "subspace")
    pilots = {**PILOTS, "mask": slower(1.05), "subspace": slower(1.5)}
    joint = plan_with_payload(repetition, "fixed", pilots)
    assert joint.payload is not None
    assert (joint.payload.payload, joint.payload.payload_size) == ("mask", 12)
    own = resolved(repetition.scenario, joint)
    assert (own.aggregation.payload, own.aggregation.payload_size) == ("mask", 12)
    assert pilot_of(pilots, joint) is pilots["mask"]
    # where the law was never seen to hold it says never
    loud = open_one(
        small_scenario, aggregation__payload_size=12, clients__tx_power_dbm=-7.0, **NARROW
    )
    told = plan_with_payload(loud, "fixed", pilots).payload
    assert told is not None
    assert told.candidates["subspace"].rounds is None
    assert told.candidates["lora"].rounds is not None


def test_a_shared_plan_has_one_payload_for_all(small_scenario) -> None:
    repetition = open_one(small_scenario, plan="shared", **NARROW)
    plans = plan_payloads(repetition, ("fixed", "digital", "ideal"), PILOTS)
    assert plans["fixed"] is plans["digital"] is plans["ideal"]
    assert plans["fixed"].scheme == "movable"


def test_the_run_sends_what_was_chosen(small_scenario) -> None:
    repetition = open_one(small_scenario, **NARROW)
    joint = plan_with_payload(repetition, "fixed", PILOTS)
    known = with_chosen_payload(repetition, joint, PILOTS)
    learner = Factors(known.scenario, 1)
    run = FederatedRun(known, "fixed", LocalEngine.over(learner), joint)  # type: ignore[arg-type]
    before = run.state.adapter.copy()
    line = run.run_round()
    moved = np.flatnonzero(run.state.adapter != before)
    assert joint.payload is not None and joint.payload.payload == "ffa"
    assert len(moved) <= 60
    assert line["round_latency_s"]["uplink"] == pytest.approx(30 / 0.9e3)
    assert run.current.joint.to_dict()["payload"]["payload"] == "ffa"


def test_it_is_refused_where_nothing_is_predicted(small_scenario) -> None:
    for changes, said in (
        ({"planning__objective": "bound"}, "planning.objective = 'bound': must be loss, time"),
        ({"planning__pilot": "old/pilot.json"}, "planning.pilot = 'old/pilot.json': must be clie"),
        ({"engine__name": "flower"}, "engine.name = 'flower': must be local or ray"),
        ({"bound__mu": "calibrate"}, "aggregation.payload = planned: must be a payload by its"),
        ({"radio__downlink_quantizer": "uniform"}, "downlink_quantizer = uniform: must be none"),
        ({"digital__aggregation": "fedsa"}, "training.local_steps = 1: must be at least 2"),
    ):
        with pytest.raises(ValidationError, match=said):
            open_one(small_scenario, **changes)
    repetition = open_one(small_scenario)
    with pytest.raises(InputError, match="needs the figures of a pilot with ffa"):
        plan_with_payload(repetition, "fixed", {"lora": QUICK})
    with pytest.raises(InputError, match="must be chosen by a plan before the rounds"):
        check_chosen(repetition.scenario)
    with pytest.raises(InfeasibleError, match=r"plan of 'fixed': .* raise budget.latency_s"):
        plan_with_payload(open_one(small_scenario, budget__latency_s=1e-6), "fixed", PILOTS)


def test_a_payload_that_no_budget_bears_is_left_out(small_scenario) -> None:
    """A round with fewer numbers fits where that with all does not."""
    given = {"planning__rounds": "fixed", **NARROW}
    least = {}
    for name in ("lora", "ffa"):
        own = open_one(small_scenario, budget__latency_s=1e-6, **given)
        scenario = with_payload(own.scenario, name)
        known = Repetition(scenario, 1, own.sizes, pilot=PILOTS[name])
        with pytest.raises(InfeasibleError) as refused:
            plan_run(known, "fixed")
        found = re.search(r"to at least (\S+)", str(refused.value))
        assert found is not None
        least[name] = float(found.group(1))
    assert least["ffa"] < least["lora"]
    budget = 0.5 * (least["lora"] + least["ffa"])
    joint = plan_with_payload(
        open_one(small_scenario, budget__latency_s=budget, **given), "fixed", PILOTS
    )
    assert joint.payload is not None
    assert joint.payload.payload != "lora"
    refused = joint.payload.candidates["lora"]
    assert isinstance(refused, str) and "raise budget.latency_s" in refused
    assert joint.payload.to_dict()["candidates"]["lora"] == {"refused": refused}


def test_later_plans_aim_at_the_target_of_the_choice(small_scenario, monkeypatch) -> None:
    """Rounds that are left and the front go for the loss of `lora`, whose curve is another."""
    repetition = open_one(small_scenario, **NARROW)
    joint = plan_with_payload(repetition, "fixed", PILOTS)
    target = PILOTS["lora"].curve().target(0.9, 40)
    assert joint.payload is not None and joint.payload.payload == "ffa"
    assert joint.plan.forecast is not None and joint.plan.forecast.target == target
    known = with_chosen_payload(repetition, joint, PILOTS)
    assert known.pilot is not None and known.pilot.curve().target(0.9, 40) != target
    assert known.inputs.objective is not None and known.inputs.objective.target == target
    monkeypatch.setattr(pareto, "try_plan", lambda *given: None)
    with pytest.raises(InputError, match=f"reach the loss {target:.4g} in"):
        pareto.pareto_front(known, joint)
    current = CurrentPlan.first(known, joint)
    spent = Spent(4, joint.expected.positions, 0.0, 0.0, 0.0, np.zeros(3))
    rest = plan_rest(known, "fixed", current, spent)
    assert rest is not None and rest.plan.forecast is not None
    assert rest.plan.forecast.target == target
    assert rest.payload == joint.payload
    again = CurrentPlan.from_dict(json.loads(json.dumps(current.to_dict())), known)
    assert again.joint.payload == joint.payload


def test_of_equal_values_the_least_energy_is_taken(small_scenario, monkeypatch) -> None:
    repetition = open_one(small_scenario, **NARROW)
    whole = plan_run

    def tied(known: Repetition, scheme: str) -> JointPlan:
        joint, energy = whole(known, scheme), {"lora": 3.0, "ffa": 2.0, "rolora": 1.0}
        assert joint.plan.forecast is not None
        told = replace(
            joint.plan.forecast, value=5.0, energy_j=energy[known.scenario.aggregation.payload]
        )
        return replace(joint, plan=replace(joint.plan, forecast=told))

    monkeypatch.setattr(payload_choice, "plan_run", tied)
    joint = plan_with_payload(repetition, "fixed", PILOTS)
    assert joint.payload is not None and joint.payload.payload == "rolora"


def test_a_step_is_not_given_where_each_payload_has_its_own(small_scenario) -> None:
    with pytest.raises(ValidationError, match=r"payload_step = 2\.0: must be null with payload"):
        open_one(small_scenario, aggregation__payload_step=2.0)


def test_what_all_pilots_take_and_why_one_has_no_plan_are_shown() -> None:
    told = PredictedPayload(60, 2.0, 9.0, 2.0, 3.0, 1.5)
    choice = PayloadChoice("ffa", None, {"lora": "planning.x = 3: must be 4", "ffa": told})
    console = Console(width=200, file=io.StringIO())
    console.print(payload_table(choice, PILOTS))
    shown = " ".join(console.file.getvalue().split())
    assert "planning.x = 3: must be 4" in shown
    assert "3 pilots in all take 3 s, 3 J" in shown
