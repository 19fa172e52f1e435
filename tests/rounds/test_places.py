"""Antennas placed by believed paths, measured where they stand, and placed anew nearby."""

from __future__ import annotations

import numpy as np
import pytest

from airtune import record
from airtune.errors import InputError
from airtune.radio.array import channel
from airtune.radio.movement import movement
from airtune.rounds import cell_io, places
from airtune.rounds.places import Standing
from airtune.scenario.file import parse
from planning.test_overlap import executed
from quadratic import QuadraticLearner, run_with
from rounds.test_federated import with_settings

WRONG = {
    "radio__csi__gain_error": 0.1,
    "radio__csi__angle_error_deg": 0.5,
    "radio__silent_symbols": 60,
    "radio__pilot_symbols_per_client": 64,
    "plan": "own",
}
MEASURED = {**WRONG, "radio__csi__beamformer": "measured"}


def arrival(scenario, scheme: str = "movable"):
    """Where a scheme's antennas come to stand in the first round, and the run."""
    run = run_with(scenario, scheme, 1, QuadraticLearner(scenario, 1))
    state, repetition = run.state, run.repetition
    now = Standing(repetition, run.scheme, run.current, 0, state.positions, state.effective_weights)
    clients = np.arange(scenario.clients.count)
    there = places.arrive(now, repetition.radio(1), run._forecast, clients, lambda moved: None)
    return there, run


def missed(link) -> float:
    """Squared error of the channels that the server works with, over their power."""
    true, seen = link.true.everybody.channel, link.perceived.everybody.channel
    return float(np.sum(np.abs(seen - true) ** 2) / np.sum(np.abs(true) ** 2))


@pytest.mark.parametrize("scheme", ["movable", "fixed", "selection", "ris", "fixed-2n"])
def test_channels_are_known_better_where_they_were_measured(scheme, small_scenario) -> None:
    loud = with_settings(small_scenario, clients__tx_power_dbm=40.0)
    believed, _ = arrival(with_settings(loud, **WRONG), scheme)
    told, _ = arrival(with_settings(loud, **MEASURED), scheme)
    assert missed(told.link) < 0.2 * missed(believed.link)
    if scheme == "movable":  # placed by belief alone
        assert np.array_equal(told.moved.positions, believed.moved.positions)


def test_a_choice_of_ports_is_made_by_what_was_measured_at_them(small_scenario) -> None:
    there, run = arrival(with_settings(small_scenario, **MEASURED), "selection")
    ports = run.scheme.array.ports()
    radio = there.link.radio
    pairs = (
        np.sum(np.abs(channel(p.clients, ports) - channel(radio.true.clients, ports)) ** 2)
        for p in (radio.perceived, run.repetition.radio(1).perceived)
    )
    assert np.divide(*pairs) < 0.8  # loud interference, and antennas that are heard in turns
    assert all(any(np.allclose(x, port) for port in ports) for x in there.moved.positions)


def test_who_sends_no_pilots_is_believed_as_before(small_scenario) -> None:
    _, run = arrival(with_settings(small_scenario, **MEASURED))
    repetition, radio = run.repetition, run.repetition.radio(1)
    link = repetition.measured(radio.at(run.state.positions), run.scheme.array, np.array([1]), "x")
    now, before = link.radio.perceived.clients.gains, radio.perceived.clients.gains
    assert np.array_equal(now[[0, 2]], before[[0, 2]])
    assert not np.array_equal(now[1], before[1])
    again = repetition.measured(radio.at(run.state.positions), run.scheme.array, np.array([1]), "x")
    assert np.array_equal(again.radio.perceived.clients.gains, now)


def test_steps_of_refinement_are_short_and_booked(small_scenario) -> None:
    plain = with_settings(small_scenario, **MEASURED)
    fine = with_settings(plain, placement__refinements=2, placement__refinement_travel=0.07)
    one, run = arrival(plain)
    there, other = arrival(fine)
    steps = np.linalg.norm(there.moved.positions - one.moved.positions, axis=1)
    assert 0 < steps.max() <= 2 * 0.07 + 1e-9
    assert there.moved.time_s > one.moved.time_s
    wave = 299_792_458 / 3.5e9
    assert there.moved.time_s <= one.moved.time_s + 2 * 0.07 * wave / 0.5 + 1e-12
    # the plan counts the longest ways, and one back
    costs = [r.current.joint.expected.costs for r in (run, other)]
    assert costs[1].move_s - costs[0].move_s == pytest.approx(3 * 0.07 * wave / 0.5)
    assert costs[1].move_j - costs[0].move_j == pytest.approx(3 * 0.5 * 3 * 0.07 * wave / 0.5)


def test_a_step_that_finds_more_error_is_taken_back(small_scenario, monkeypatch) -> None:
    fine = with_settings(
        small_scenario, **MEASURED, placement__refinements=3, placement__refinement_travel=0.07
    )
    plain, run = arrival(with_settings(small_scenario, **MEASURED))
    array = type(run.scheme.array)
    placed, steps = array.place, []

    def away(self, radio, weights, positions, travel=None, effort=None):
        if travel is None or travel.longest != pytest.approx(0.07):
            return placed(self, radio, weights, positions, travel, effort)
        problem = radio.problem(weights, positions)
        trials = positions + 0.04 * np.random.default_rng(0).normal(size=(40, *positions.shape))
        trials = np.clip(trials, 0, problem.region)
        gains = [radio.at(trial).best_beamformer(weights).worst_gain for trial in trials]
        steps.append(trials[int(np.argmin(gains))])
        return steps[-1]

    monkeypatch.setattr(array, "place", away)
    there, _ = arrival(fine)
    assert len(steps) == 1
    assert there.moved.positions == pytest.approx(plain.moved.positions)
    assert missed(there.link) == pytest.approx(missed(plain.link))
    way = movement(
        plain.moved.positions,
        steps[0],
        wavelength_m=299_792_458 / 3.5e9,
        speed_mps=0.5,
        drive_power_w=0.5,
    )
    assert there.moved.time_s == pytest.approx(plain.moved.time_s + 2 * way.time_s)
    assert there.moved.energy_j == pytest.approx(plain.moved.energy_j + 2 * way.energy_j)


def test_ports_are_heard_in_turns_and_every_turn_is_booked(small_scenario, tmp_path) -> None:
    airtimes = {}
    for name, changes in (("paths", WRONG), ("measured", MEASURED)):
        changes = {**changes, "training__rounds": 1, "radio__pilot_rule": "by-array"}
        scenario = with_settings(small_scenario, **changes)
        _, _, lines = executed(scenario, "selection", tmp_path / name)
        airtimes[name] = lines[-1]["round_latency_s"]["pilots"]
    _, run = arrival(with_settings(small_scenario, **MEASURED), "selection")
    turns = run.scheme.array.front_end.turns
    assert turns > 1
    longer = airtimes["measured"] - airtimes["paths"]
    assert longer == pytest.approx((turns - 1) * 60 / 1e6, abs=1e-4)


@pytest.mark.parametrize(("refinements", "again"), [(0, 1), (2, 3)])
def test_pilots_after_a_movement_are_booked(refinements, again, small_scenario, tmp_path) -> None:
    settings = {**MEASURED, "placement__refinements": refinements, "training__rounds": 1}
    booked = {}
    for name, changes in (("paths", WRONG | {"training__rounds": 1}), ("measured", settings)):
        scenario = with_settings(small_scenario, **changes)
        for scheme in ("movable", "fixed"):
            _, _, lines = executed(scenario, scheme, tmp_path / name / scheme)
            booked[name, scheme] = lines[-1]["round_latency_s"]["pilots"]
    longer = booked["measured", "movable"] - booked["paths", "movable"]
    # three clients of 64 pilots in turn, and 60 silent symbols, at 1 MHz; reports go by another air
    reports = 1e-4
    assert longer == pytest.approx(again * (3 * 64 + 60) / 1e6, abs=reports)
    assert booked["measured", "fixed"] == pytest.approx(booked["paths", "fixed"], abs=reports)


def test_resume_is_bit_for_bit_with_measured_channels(small_scenario, tmp_path) -> None:
    scenario = with_settings(small_scenario, **MEASURED, placement__refinements=1)
    whole, _, _ = executed(scenario, "movable", tmp_path / "whole")

    def stop(line: dict[str, object]) -> None:
        if line["round"] == 2:
            raise KeyboardInterrupt

    cell = record.Cell(tmp_path / "stopped" / "seed-0", "movable", 0)
    with pytest.raises(KeyboardInterrupt):
        first = run_with(scenario, "movable", 1, QuadraticLearner(scenario, 1))
        cell_io.execute(first, cell, stop)
    resumed = run_with(scenario, "movable", 1, QuadraticLearner(scenario, 1))
    cell_io.execute(resumed, cell, lambda line: None)
    assert np.array_equal(resumed.state.adapter, whole.state.adapter)
    assert np.array_equal(resumed.state.positions, whole.state.positions)


def test_settings_that_cannot_be_met_are_refused() -> None:
    with pytest.raises(InputError, match=r"refinements = 1: needs radio\.csi\.beamformer"):
        parse({"placement": {"refinements": 1}})
    with pytest.raises(InputError, match="pilot_symbols_per_client of at least 1"):
        parse({"radio": {"pilot_symbols_per_client": 0, "csi": {"beamformer": "measured"}}})


def test_a_way_and_one_after_it_add_up() -> None:
    drive = {"wavelength_m": 0.1, "speed_mps": 0.5, "drive_power_w": 2.0}
    places_of = [np.array([[0.0, 0.0], [1.0, 0.0]]) + shift for shift in (0.0, 0.5, 0.6)]
    first = movement(places_of[0], places_of[1], **drive)
    second = movement(first.positions, places_of[2], **drive)
    both = first.then(second)
    assert both.time_s == first.time_s + second.time_s
    assert both.energy_j == first.energy_j + second.energy_j
    assert np.array_equal(both.positions, second.positions)
    assert both.distances_m == pytest.approx(first.distances_m + second.distances_m)
