"""Plans with electrical energy, and with antennas that move while the clients compute."""

from __future__ import annotations

import re

import numpy as np
import pytest

from airtune import record
from airtune.costs import FrontEnd
from airtune.errors import InputError
from airtune.planning import plan_run
from airtune.planning.expected_radio import RadioTurn
from airtune.planning.result import everybody
from airtune.rounds import cell_io
from airtune.scenario import Scenario
from planning.test_alternate import repetition_of
from planning.test_resources import plan
from quadratic import QuadraticLearner, run_with
from rounds.test_federated import with_settings

STILL = {"radio__paths__doppler_hz": 0.0, "radio__paths__angle_drift_deg": 0.0}


def executed(scenario: Scenario, scheme: str, tmp_path):
    """Run a scheme; the run, its plan and its lines."""
    learner = QuadraticLearner(scenario, 1)
    run = run_with(scenario, scheme, 1, learner)
    cell = record.Cell(tmp_path / scheme / "seed-0", scheme, 0)
    cell_io.execute(run, cell, lambda line: None)
    return run, run.current.joint, record.read_metrics(cell)


def test_the_costs_of_a_planned_round_are_electrical(small_scenario) -> None:
    changes = {"radio__hardware__profile": "macro", "placement__mode": "fast"}
    plain, full = (
        RadioTurn(repetition_of(s), "fixed", 1, np.zeros((3, 2))).at(
            np.ones(3, bool), np.array([[1.5, 1.5], [2.0, 1.5], [2.5, 1.5]])
        )
        for s in (small_scenario, with_settings(small_scenario, **changes))
    )
    bare, costs, p_bs = plain.costs, full.costs, 3 * 0.4 + 0.2
    assert costs.uplink_j == pytest.approx(bare.uplink_j / 0.4)
    assert costs.uplink_fixed_j == pytest.approx(0.2 * bare.uplink_s * np.ones(3))
    assert costs.uplink_shared_j == pytest.approx(p_bs * bare.uplink_s)
    assert costs.pilot_j == pytest.approx(bare.pilot_j / 0.4 + 0.2 * bare.pilot_j / 0.01)
    assert costs.pilot_shared_j == pytest.approx(p_bs * bare.pilot_s)
    assert costs.downlink_j == pytest.approx(bare.downlink_j / 0.4 + p_bs * bare.downlink_s)
    assert bare.uplink_shared_j == bare.pilot_shared_j == 0.0
    assert full.mse_star == plain.mse_star


@pytest.mark.parametrize("scheme", ["movable", "fixed-2n", "selection", "digital"])
def test_the_books_of_a_still_channel_are_within_the_plan(scheme, small_scenario, tmp_path) -> None:
    scenario = with_settings(
        small_scenario,
        **STILL,
        plan="own",
        radio__hardware__profile="small-cell",
        radio__pilot_rule="by-array",
        radio__silent_symbols=None,
        array__field_pilots=3,
        aggregation__scale_reports="joint",
        planning__overlap=True,
        planning__movement="once",
        budget__client_energy_j=2.0,
    )
    run, joint, lines = executed(scenario, scheme, tmp_path)
    planned, state = joint.plan, run.state
    p_bs = scenario.radio.hardware.resolved().station_w(run.scheme.array.front_end)
    for line in lines[1:]:
        spent, air = line["round_energy_j"], line["round_latency_s"]
        radiated = line["round_radiated_j"]
        # what circuits of the base station and of three clients draw, and amplifiers of both
        assert spent["downlink"] == pytest.approx(
            radiated["downlink"] / 0.4 + p_bs * air["downlink"]
        )
        least = radiated["uplink"] / 0.4 + p_bs * air["uplink"]
        assert least < spent["uplink"] <= least + 3 * 0.1 * air["uplink"] * (1 + 1e-9)
    if scheme != "digital":  # its updates have their own lengths
        assert state.latency_s.uplink <= planned.latency_s.uplink * (1 + 1e-9)
        assert state.energy_j.uplink <= planned.energy_j.uplink * (1 + 1e-9)
    assert state.latency_s.pilots <= planned.latency_s.pilots * (1 + 1e-6)
    assert np.all(state.client_energy_j <= 2.0 * (1 + 1e-9))
    assert state.latency_s.movement == pytest.approx(planned.latency_s.movement, abs=1e-9)


def test_circuits_of_the_base_station_are_on_no_client_s_budget(small_scenario, tmp_path) -> None:
    hungry = with_settings(small_scenario, radio__hardware__chain_w=50.0)
    plain, _, _ = executed(small_scenario, "fixed", tmp_path / "plain")
    run, _, _ = executed(hungry, "fixed", tmp_path / "hungry")
    assert np.array_equal(run.state.client_energy_j, plain.state.client_energy_j)
    air = sum(getattr(run.state.latency_s, name) for name in ("uplink", "pilots", "downlink"))
    added = run.state.energy_j.total - plain.state.energy_j.total
    assert added == pytest.approx(50.0 * 3 * air)
    assert run.scheme.array.front_end == FrontEnd(3)


def test_learning_is_the_same_whether_antennas_move_before_or_beside_computing(
    small_scenario, tmp_path
) -> None:
    beside = with_settings(small_scenario, planning__overlap=True)
    one, _, before = executed(small_scenario, "movable", tmp_path / "before")
    other, _, lines = executed(beside, "movable", tmp_path / "beside")
    assert [line["loss"] for line in lines] == [line["loss"] for line in before]
    assert np.array_equal(one.state.adapter, other.state.adapter)
    for old, new in zip(before[1:], lines[1:], strict=True):
        way, compute = new["move_s"], new["round_latency_s"]["compute"]
        assert (old["move_s"], old["round_latency_s"]["movement"]) == (way, way)
        assert new["round_latency_s"]["movement"] == pytest.approx(max(0.0, way - compute))
        assert new["round_energy_j"]["movement"] == old["round_energy_j"]["movement"]
    # the first broadcast goes out from the parking places
    assert lines[1]["round_latency_s"]["downlink"] != before[1]["round_latency_s"]["downlink"]
    assert other.state.move_s == one.state.move_s == one.state.latency_s.movement


@pytest.mark.parametrize("movement", ["each-round", "when-needed", "once"])
def test_the_deadline_limits_the_travel(movement, small_scenario, tmp_path) -> None:
    scenario = with_settings(
        small_scenario,
        planning__overlap=True,
        planning__movement=movement,
        array__speed_mps=0.05,
        budget__latency_s=4.0,
        radio__paths__doppler_hz=0.05,
    )
    run, joint, lines = executed(scenario, "movable", tmp_path)
    deadline, wave = joint.plan.compute_deadline_s, 299_792_458 / 3.5e9
    assert joint.expected.max_travel == pytest.approx(deadline * 0.05 / wave)
    assert joint.expected.costs.move_s <= deadline * (1 + 1e-9)
    if movement != "once":
        assert max(line["move_s"] for line in lines[1:]) <= deadline * (1 + 1e-6)
    assert run.state.latency_s.total <= 4.0 * (1 + 0.05)  # downlink and reports are of chance
    wide = with_settings(scenario, placement__max_travel=1e-3)
    assert plan_run(repetition_of(wide), "movable").expected.max_travel == 1e-3


def test_a_way_that_is_too_long_for_the_deadline_is_shortened(small_scenario) -> None:
    scenario = with_settings(
        small_scenario, planning__overlap=True, array__speed_mps=0.02, budget__latency_s=2.0
    )
    repetition = repetition_of(scenario)
    start = repetition.scheme("movable").array.start()
    turn = RadioTurn(repetition, "movable", 1, start)
    far = turn.place(everybody(repetition.omega))
    joint = plan_run(repetition, "movable")
    assert far.costs.move_s > joint.plan.compute_deadline_s
    assert 0 < joint.expected.costs.move_s <= joint.plan.compute_deadline_s
    assert joint.plan.latency_s.total <= 2.0 * (1 + 1e-9)
    still = plan_run(repetition_of(with_settings(scenario, placement__max_travel=1e-9)), "movable")
    assert joint.plan.bound.total < still.plan.bound.total


def test_steps_that_refine_the_places_have_room_in_the_time_of_computing(
    small_scenario, tmp_path
) -> None:
    scenario = with_settings(
        small_scenario,
        planning__overlap=True,
        planning__movement="each-round",
        array__speed_mps=0.05,
        budget__latency_s=6.0,
        radio__csi={"beamformer": "measured", "gain_error": 0.1, "angle_error_deg": 0.5},
        placement__refinements=2,
    )
    _, joint, lines = executed(scenario, "movable", tmp_path)
    deadline, wave = joint.plan.compute_deadline_s, 299_792_458 / 3.5e9
    steps = 3 * scenario.placement.refinement_travel  # two, and one back
    assert joint.expected.max_travel == pytest.approx(deadline * 0.05 / wave - steps)
    assert max(line["move_s"] for line in lines[1:]) <= deadline * (1 + 1e-6)
    assert max(line["move_s"] for line in lines[1:]) > 1.1 * steps * wave / 0.05


@pytest.mark.parametrize(
    ("movement", "overlap"),
    [("each-round", True), ("once", True), ("statistical", True), ("priced", False)],
)
def test_the_time_that_is_told_as_least_has_no_way_that_can_be_left_out(
    movement, overlap, small_scenario
) -> None:
    scenario = with_settings(
        small_scenario,
        planning__overlap=overlap,
        planning__movement=movement,
        planning__draws=2,
        array__speed_mps=0.01,
    )

    def planned(seconds: float):
        return plan_run(
            repetition_of(with_settings(scenario, budget__latency_s=seconds)), "movable"
        )

    with pytest.raises(InputError) as caught:
        planned(0.3)
    least = float(re.search(r"latency_s = 0.3 to at least ([0-9.]+\d)", str(caught.value))[1])
    joint = planned(least)
    assert joint.plan.latency_s.total <= least * (1 + 1e-9)
    with pytest.raises(InputError, match="to at least"):
        planned(0.95 * least)
    assert least < 1.0  # the first way alone takes seconds


@pytest.mark.parametrize("name", ["latency_s", "energy_j", "client_energy_j"])
@pytest.mark.parametrize("scheme", ["movable", "digital-movable"])
def test_what_is_told_as_least_is_what_moved_antennas_need(scheme, name, small_scenario) -> None:
    """Uploads of antennas that stay are dearer, most in bad air."""
    weak = with_settings(
        small_scenario, clients__tx_power_dbm=-25, radio__bandwidth_hz=2e4, budget__latency_s=None
    )

    def planned(value: float):
        budget = with_settings(weak, **{f"budget__{name}": value})
        return plan_run(repetition_of(budget), scheme)

    with pytest.raises(InputError) as caught:
        planned(1e-4)
    least = float(re.search(rf"{name} = 0.0001 to at least ([0-9.]+\d)", str(caught.value))[1])
    assert planned(1.001 * least)
    with pytest.raises(InputError, match="to at least"):
        planned(0.95 * least)


def test_a_movement_that_happens_once_takes_whichever_time_costs_less() -> None:
    costs = {"move_s": 0.0, "move_j": 0.0, "first_move_j": 1.5, "overlap": True}
    short = plan({"latency_s": 26.0}, first_move_s=0.05, **costs)
    assert short.latency_s.movement == 0.0
    assert short.bound == plan({"latency_s": 26.0}, first_move_s=0.0, **costs).bound
    long = plan({"latency_s": 26.0}, first_move_s=4.0, **costs)  # no round has so much time
    serial = plan({"latency_s": 26.0}, first_move_s=4.0, **{**costs, "overlap": False})
    assert long.latency_s.movement == pytest.approx(4.0)
    assert long.bound == serial.bound
    assert long.latency_s.total <= 26.0 * (1 + 1e-9)
