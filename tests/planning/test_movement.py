"""Movement that a plan weighs: ways that must earn their price, and places for many blocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from airtune import record
from airtune.planning import draws, plan_run, prices
from airtune.planning.draws import Outlook, drawn_blocks, walk_of_blocks
from airtune.planning.expected_radio import RadioTurn
from airtune.planning.prices import (
    NO_TRAVEL_DB,
    PRICES,
    WORTH,
    _planned,
    _predicted,
    find_price,
    travel_price,
)
from airtune.planning.resources import try_plan
from airtune.planning.result import everybody
from airtune.planning.shortage import make_plan
from airtune.rounds import cell_io
from airtune.schemes import Travel
from airtune.schemes.arrays.base import Effort
from planning.test_alternate import repetition_of
from planning.test_overlap import executed
from quadratic import QuadraticLearner, run_with
from rounds.test_federated import with_settings

SLOW = {"radio__paths__doppler_hz": 0.05, "plan": "own"}
PRICED = {**SLOW, "planning__movement": "priced"}
STATISTICAL = {**SLOW, "planning__movement": "statistical", "planning__draws": 4}


@pytest.fixture(autouse=True)
def short_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Walks of two blocks: the books are the same, and nothing here asks for a good price."""
    monkeypatch.setattr(draws, "WALK", 2)


def turn_of(scenario, **more):
    repetition = repetition_of(scenario)
    start = repetition.scheme("movable").array.start()
    return RadioTurn(repetition, "movable", 1, start, **more)


def test_the_books_of_a_price_are_the_means_of_a_walk(small_scenario) -> None:
    scenario = with_settings(small_scenario, **PRICED)
    turn = turn_of(scenario, price_db=1.5)
    repetition, array = turn.repetition, turn.scheme.array
    expected = turn.place(everybody(repetition.omega))
    travel, here = (
        Travel(None, 1.5),
        array.place(turn.radio, repetition.omega, turn.start, Travel(None, 1.5)),
    )
    assert np.array_equal(expected.positions, here)
    first = repetition.movement(array, turn.start, here)
    ways, errors = [], []
    for radio in walk_of_blocks(repetition, 1, draws.WALK):
        new = array.place(radio, repetition.omega, here, travel, Effort("fast"))
        ways.append(repetition.movement(array, here, new))
        here = ways[-1].positions
        errors.append(1 / radio.at(here).best_beamformer(repetition.omega).worst_gain)
    costs = expected.costs
    assert costs.move_j == pytest.approx(np.mean([way.energy_j for way in ways]))
    assert costs.move_s == pytest.approx(np.mean([way.time_s for way in ways]))
    assert (costs.first_move_s, costs.first_move_j) == (first.time_s, first.energy_j)
    assert expected.mse_star == pytest.approx(np.mean(errors))
    cheap = with_settings(scenario, array__drive_power_w=1e-4)
    plan = plan_run(repetition_of(cheap), "movable").plan
    assert plan.energy_j.movement > 0


@pytest.mark.slow
def test_the_price_of_least_predicted_energy_follows_what_a_way_costs(small_scenario) -> None:
    found = []
    for watts in (0.0, 50.0):
        turn = turn_of(with_settings(small_scenario, **PRICED, array__drive_power_w=watts))
        found.append(find_price(turn, turn.repetition.inputs))
        joules = {p: _predicted(turn, turn.repetition.inputs, p)[0] for p in (0.0, *PRICES)}
        assert joules[found[-1]] * (1 - WORTH) <= min(joules.values())
    assert found[0] < found[1] > 4.0  # where drives take nearly all of the energy
    least = with_settings(small_scenario, **PRICED, placement__travel_price_db=4.0)
    turn = turn_of(with_settings(least, array__drive_power_w=0.0))
    assert find_price(turn, turn.repetition.inputs) == 4.0


@pytest.mark.slow
def test_with_an_energy_budget_the_price_is_that_of_its_multipliers(small_scenario) -> None:
    scenario = with_settings(
        small_scenario,
        **PRICED,
        clients__tx_power_dbm=-10.0,
        array__drive_power_w=0.05,
        training__rounds=20,
        pretraining__charge=False,
    )
    free = turn_of(scenario)
    at_no_price = free.place(everybody(free.repetition.omega))
    inputs = free.repetition.inputs
    joules = make_plan(inputs, at_no_price.mse_star, at_no_price.costs).energy_j.total
    found = []
    for share in (1.1, 0.5):  # more than it takes, and less than a way without a price leaves
        short = replace(inputs, energy_j=share * joules)
        found.append(find_price(free, short))
    assert found[0] == 0.0
    expected = free.place(everybody(free.repetition.omega), price_db=found[1])
    plan = make_plan(short, expected.mse_star, expected.costs)
    assert 0 < found[1] < 4.0
    assert found[1] >= travel_price(free, short, expected, plan.bound.total)
    lower = free.place(everybody(free.repetition.omega), price_db=0.5 * found[1])
    less = try_plan(short, lower.mse_star, lower.costs, lower.participants)
    assert less is None or 0.5 * found[1] < travel_price(free, short, lower, less.bound.total)


def test_a_budget_that_any_way_would_exceed_has_a_price(small_scenario, monkeypatch) -> None:
    """The bound rises with the first joule and hardly falls with the error: nothing moves."""
    tried = []

    def planned(*arguments):
        tried.append(arguments[2])
        assert len(tried) < 30, "the search for a price does not end"
        return _planned(*arguments)

    monkeypatch.setattr(prices, "_planned", planned)
    free = turn_of(with_settings(small_scenario, **PRICED, clients__tx_power_dbm=30.0))
    still = free.place(everybody(free.repetition.omega), price_db=NO_TRAVEL_DB)
    plan = make_plan(free.repetition.inputs, still.mse_star, still.costs)
    short = replace(free.repetition.inputs, energy_j=plan.energy_j.total * (1 + 1e-9))
    assert travel_price(free, short, still, plan.value) > NO_TRAVEL_DB
    assert 0.0 < find_price(free, short) <= NO_TRAVEL_DB


@pytest.mark.slow
def test_rounds_move_for_the_planned_price(small_scenario, tmp_path) -> None:
    scenario = with_settings(small_scenario, **PRICED, array__drive="stepper")
    free = with_settings(scenario, planning__movement="each-round")
    joint = plan_run(repetition_of(scenario), "movable")
    price = joint.expected.price_db
    assert joint.to_dict()["radio"]["travel_price_db"] == price
    given = with_settings(free, placement__travel_price_db=price)
    runs = {
        name: executed(one, "movable", tmp_path / name)
        for name, one in (("priced", scenario), ("given", given), ("free", free))
    }
    way = {name: run.state.energy_j.movement for name, (run, _, _) in runs.items()}
    assert np.array_equal(runs["priced"][0].state.positions, runs["given"][0].state.positions)
    assert way["priced"] == way["given"]
    assert price > 0
    assert way["priced"] < way["free"]


def test_places_for_many_blocks_are_taken_once_where_nothing_changes(
    small_scenario, tmp_path
) -> None:
    still = {"radio__paths__doppler_hz": 0.0, "radio__paths__angle_drift_deg": 0.0}
    scenario = with_settings(small_scenario, **{**STATISTICAL, **still})
    run, joint, lines = executed(scenario, "movable", tmp_path)
    assert lines[1]["moved_m"] > 0
    assert [line["moved_m"] for line in lines[2:]] == [0.0] * 4
    # all draws of a channel that does not change are the block itself
    errors = [line["expected_error"] for line in lines[1:]]
    assert all(error["mean"] == pytest.approx(joint.expected.mse_star) for error in errors)
    assert all(error["high"] - error["low"] < 1e-9 for error in errors)
    assert joint.to_dict()["radio"]["expected_error"]["count"] == 4
    # one way in the books of plan and run
    assert joint.plan.energy_j.movement == pytest.approx(run.state.energy_j.movement)
    assert joint.expected.costs.move_j == 0.0


def test_places_for_many_blocks_are_taken_anew_when_the_error_has_grown(
    small_scenario, tmp_path
) -> None:
    # as many draws as by default: places for four blocks are seldom the better ones for four others
    drifting = with_settings(
        small_scenario,
        **{**STATISTICAL, "planning__draws": 16},
        planning__horizon=1,
        radio__paths__angle_drift_deg=6.0,
    )
    moves = {}
    for tolerance in (0.0, 60.0):
        scenario = with_settings(drifting, planning__drift_db=tolerance)
        _, _, lines = executed(scenario, "movable", tmp_path / str(tolerance))
        moves[tolerance] = sum(line["moved_m"] > 0 for line in lines[1:])
        for line in lines[2:]:
            assert line["expected_error"]["low"] < line["expected_error"]["high"]
    assert moves[60.0] <= 1 < moves[0.0]


def test_draws_follow_the_law_and_look_at_no_later_round(small_scenario) -> None:
    scenario = with_settings(small_scenario, **{**STATISTICAL, "planning__draws": 400})
    repetition = repetition_of(scenario)
    blocks = drawn_blocks(repetition, 2, "judge")
    now = repetition.radio(2).perceived.clients
    gains = np.array([block.true.clients.gains for block in blocks])
    powers = repetition.paths.clients.path_gains / now.gains.shape[1]
    later = np.mean(np.abs(gains[300:]) ** 2, axis=(0, 2))  # 15 to 20 rounds ahead
    assert later == pytest.approx(powers, rel=0.6)
    near = np.abs(gains[:20] - now.gains).mean() / np.abs(now.gains).mean()
    assert near < 0.5  # a round ahead the correlation is 0.975
    other = drawn_blocks(repetition, 2, "places")[0].true.clients.gains
    assert not np.array_equal(other, gains[0])
    outlook = Outlook.of(
        repetition.scheme("fixed"), blocks[:9], repetition.omega,
        repetition.scheme("fixed").array.start(), repetition.matrix_sizes,
    )  # fmt: skip
    mean = np.mean([one.mse for one in outlook.forecasts])
    assert outlook.mean.mse == outlook.expected_error().mean == pytest.approx(mean)


@pytest.mark.slow
@pytest.mark.parametrize("movement", ["priced", "statistical"])
def test_a_grid_and_arrays_without_drives_follow_too(movement, small_scenario, tmp_path) -> None:
    scenario = with_settings(
        small_scenario, **SLOW, planning__movement=movement, planning__draws=3,
        array__drive="pixel", training__rounds=3,
    )  # fmt: skip
    run, _, _ = executed(scenario, "movable", tmp_path / "pixel")
    steps = run.state.positions / 0.1
    assert np.abs(steps - np.round(steps)).max() < 1e-6
    plain = with_settings(scenario, planning__movement="each-round")
    one, other = (
        executed(s, "selection", tmp_path / name)[0].state
        for name, s in (("one", scenario), ("other", plain))
    )
    assert np.array_equal(one.adapter, other.adapter)
    assert one.energy_j == other.energy_j


def test_a_plan_made_anew_keeps_price_and_estimate(small_scenario, tmp_path) -> None:
    scenario = with_settings(
        small_scenario, **STATISTICAL, planning__replan_factor=1.01, planning__replan_every=2,
        radio__paths__angle_drift_deg=10.0,
    )  # fmt: skip
    whole, _, lines = executed(scenario, "movable", tmp_path / "whole")
    assert any(line.get("replanned") for line in lines)

    def stop(line: dict[str, object]) -> None:
        if line["round"] == 3:
            raise KeyboardInterrupt

    cell = record.Cell(tmp_path / "stopped" / "seed-0", "movable", 0)
    with pytest.raises(KeyboardInterrupt):
        first = run_with(scenario, "movable", 1, QuadraticLearner(scenario, 1))
        cell_io.execute(first, cell, stop)
    resumed = run_with(scenario, "movable", 1, QuadraticLearner(scenario, 1))
    cell_io.execute(resumed, cell, lambda line: None)
    assert np.array_equal(resumed.state.positions, whole.state.positions)
    assert np.array_equal(resumed.state.adapter, whole.state.adapter)
