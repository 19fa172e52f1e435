"""When the antennas move, chosen by what is predicted with each policy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from airtune import record
from airtune.engines import LocalEngine
from airtune.errors import InfeasibleError
from airtune.planning import JointPlan, Repetition, draws, plan_run
from airtune.planning.draws import walk_of_blocks
from airtune.planning.expected_radio import RadioTurn
from airtune.planning.movement_choice import CANDIDATES, moving, with_movement
from airtune.planning.replan import CurrentPlan
from airtune.rounds import cell_io
from airtune.rounds.federated import FederatedRun
from airtune.scenario import Scenario
from airtune.schemes import Travel
from airtune.schemes.arrays.base import Effort
from planning.test_forecast_plan import planned
from quadratic import QuadraticLearner

QUALITY_DB = 0.0
OPEN = {"planning__movement": "planned", "planning__objective": "energy", "planning__overlap": True}


@pytest.fixture(autouse=True)
def short_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Walks of a few blocks: they follow the policy all the same."""
    monkeypatch.setattr(draws, "WALK", 2)
    monkeypatch.setattr(draws, "LONGEST", 5)


def drives(power_w: float, **more: object) -> dict[str, object]:
    drive = {"drive": "custom", "speed_mps": 0.5, "drive_power_w": power_w}
    return {f"array__{name}": value for name, value in drive.items()} | OPEN | more


def run_of(repetition: Repetition, joint: JointPlan) -> FederatedRun:
    engine = LocalEngine.over(QuadraticLearner(repetition.scenario, 1))
    return FederatedRun(repetition, "movable", engine, joint)


@pytest.mark.parametrize("policy", CANDIDATES)
def test_what_is_predicted_follows_the_policy(small_scenario: Scenario, policy: str) -> None:
    """Errors and ways of drawn rounds, walked by hand as the policy is described."""
    fading = {"radio__paths__doppler_hz": 0.3, "planning__quality_db": QUALITY_DB}
    repetition = moving(planned(small_scenario, **OPEN, **fading), policy)
    built, start = repetition.scheme("movable"), repetition.scheme("movable").array.start()
    turn = RadioTurn(repetition, "movable", 1, start, price_db=4.0 if policy == "priced" else 0.0)
    air = turn.place(np.ones(3, dtype=np.bool_))
    weights, places, sizes = air.weights, air.positions, repetition.matrix_sizes
    errors, ways, stayed = [], [], 0

    def error(radio, positions):
        link = built.array.expected_link(radio, weights, positions)
        return built.air.forecast(link, weights, sizes).mse

    for radio in walk_of_blocks(repetition, 1, 5):
        before = places
        enough = policy == "when-needed" and error(radio, places) <= 10 ** (QUALITY_DB / 10)
        if policy != "once" and not enough:
            travel = Travel(repetition.scenario.placement.max_travel, turn.price_db)
            new = built.array.place(radio, weights, places, travel, Effort(mode="fast"))
            places = repetition.movement(built.array, places, new).positions
        stayed += enough
        ways.append(repetition.movement(built.array, before, places))
        errors.append(error(radio, places))
    costs = air.costs
    assert air.mse_star + costs.misalignment == pytest.approx(np.mean(errors))
    assert costs.move_j == pytest.approx(np.mean([way.energy_j for way in ways]))
    assert costs.move_s == pytest.approx(np.mean([way.time_s for way in ways]))
    first = repetition.movement(built.array, start, air.positions)
    assert costs.first_move_j == pytest.approx(first.energy_j)
    assert (costs.move_j == 0) == (policy == "once")
    assert policy != "when-needed" or 0 < stayed < 5  # so that both cases are looked at


def test_the_policy_of_least_value_is_chosen_and_executed(
    small_scenario: Scenario, tmp_path
) -> None:
    """Dear drives, then free ones on paths that change much; the run does as the plan says."""
    repetition = planned(small_scenario, **drives(50.0), radio__paths__doppler_hz=0.05)
    joint = plan_run(repetition, "movable")
    choice = joint.movement
    assert choice is not None and set(choice.candidates) == set(CANDIDATES)
    values = {name: one.value for name, one in choice.candidates.items()}  # type: ignore[union-attr]
    assert values[choice.policy] == min(values.values()) == joint.plan.value
    assert joint.to_dict()["movement"]["policy"] == choice.policy
    again = CurrentPlan.from_dict(CurrentPlan.first(repetition, joint).to_dict(), repetition)
    assert again.joint.movement == choice
    by_name = with_movement(repetition, joint)
    assert by_name.scenario.planning.movement == choice.policy
    run, named = run_of(repetition, joint), run_of(by_name, replace(joint, movement=None))
    for one in (run, named):
        one.first_metrics()
        for _ in range(3):
            one.run_round()
    assert np.array_equal(run.state.positions, named.state.positions)
    assert run.state.energy_j == named.state.energy_j
    if choice.policy == "once":
        assert run.state.energy_j.movement <= joint.plan.energy_j.movement * (1 + 1e-9)

    free = drives(0.0, array__speed_mps=1e5, radio__paths__doppler_hz=5.0)
    wild = plan_run(planned(small_scenario, **free), "movable").movement
    assert wild is not None
    assert wild.policy != "once"


def test_arrays_without_drives_have_nothing_to_choose(small_scenario: Scenario) -> None:
    open_, given = (
        planned(small_scenario, **(OPEN | {"planning__movement": movement}))
        for movement in ("planned", "each-round")
    )
    joint, plain = plan_run(open_, "fixed"), plan_run(given, "fixed")
    assert joint.movement is None
    assert joint.to_dict() == plain.to_dict()


def test_resume_is_bit_for_bit(small_scenario: Scenario, tmp_path) -> None:
    more = {"planning__replan_factor": 1.01, "planning__replan_every": 2, "training__rounds": 5}
    changes = drives(0.5, planning__rounds="fixed", radio__paths__doppler_hz=0.3, **more)
    repetition = planned(small_scenario, **changes)
    joint = plan_run(repetition, "movable")

    def executed(folder: str, stop: int | None) -> FederatedRun:
        def done(line: dict[str, object]) -> None:
            if line["round"] == stop:
                raise KeyboardInterrupt

        run = run_of(repetition, joint)
        cell_io.execute(run, record.Cell(tmp_path / folder, "movable", 0), done)
        return run

    whole = executed("whole", None)
    assert any(
        "replanned" in line
        for line in record.read_metrics(record.Cell(tmp_path / "whole", "movable", 0))
    )
    with pytest.raises(KeyboardInterrupt):
        executed("stopped", 3)
    resumed = executed("stopped", None)
    assert np.array_equal(resumed.state.adapter, whole.state.adapter)
    assert np.array_equal(resumed.state.positions, whole.state.positions)
    assert resumed.state.energy_j == whole.state.energy_j
    assert resumed.current.joint.movement == whole.current.joint.movement is not None


def test_a_budget_that_no_policy_keeps_is_told(small_scenario: Scenario) -> None:
    repetition = planned(small_scenario, **OPEN, budget__latency_s=1e-3)
    with pytest.raises(InfeasibleError, match=r"budget\.latency_s"):
        plan_run(repetition, "movable")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"planning__objective": "bound"}, r"planning\.movement = planned: needs planning\.object"),
        ({"placement__robust": "worst-case"}, r"planning\.movement = planned: must be each-round"),
    ],
)
def test_settings_that_do_not_go_with_it_are_refused(
    small_scenario: Scenario, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(ValidationError, match=said) as caught:
        planned(small_scenario, **(OPEN | changes))
    assert len(caught.value.errors()[0]["msg"]) <= 400
