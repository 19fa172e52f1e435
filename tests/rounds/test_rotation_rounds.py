"""Whole rounds of arrays that turn: their books, resumed runs, and arrays that need not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from airtune import record
from airtune.planning import budgets
from airtune.planning.plans import plan_run
from airtune.radio.facing import AHEAD, Facing
from airtune.registry import SCHEMES
from airtune.scenario import Scenario
from quadratic import QuadraticLearner, run_with
from rounds.test_federated import cell_of, execute, with_settings
from rounds.test_wide_rounds import stopped_and_resumed

TURNED = {
    "array__element": "tr38901",
    "array__rotation__movable": "turned",
    "array__rotation__others": "turned",
    "array__rotation__every": 2,
    "array__rotation__draws": 1,
    "array__rotation__least_gain_db": 0.0,
    "array__rotation__largest_deg": [60, 0, 0],
    "radio__paths__angles": "cluster",
    "radio__paths__doppler_hz": 20.0,
    "radio__paths__angle_drift_deg": 5.0,
    "training__rounds": 3,
}


def _slow(*values: object) -> object:
    return pytest.param(*values, marks=pytest.mark.slow)


def lines_of(scenario: Scenario, scheme: str, folder: Path) -> list[dict]:
    execute(scenario, scheme, folder)
    lines = record.read_metrics(cell_of(folder, scheme))
    for line in lines:
        for name in [name for name in line if name.endswith("_wall_s")]:
            del line[name]
    return lines


@pytest.mark.parametrize(
    ("scheme", "changes"),
    [
        ("movable", {}),
        ("fixed", {}),
        _slow("movable", {"planning__movement": "once"}),
        _slow("movable", {"planning__movement": "priced", "placement__travel_price_db": 4.0}),
        _slow("movable", {"planning__movement": "statistical", "planning__draws": 2}),
        _slow("movable", {"faults__jammer__share": 0.7, "faults__antennas__dead": 1}),
        _slow("movable", {"faults__side_information__csi_share": 0.5}),
        _slow("selection", {"radio__csi__beamformer": "measured", "planning__overlap": True}),
        _slow("movable", {"radio__channel": "tracks", "radio__csi__age_s": "round"}),
        _slow("movable", {"radio__resource_blocks": 2, "radio__paths__delay_spread_s": 1e-6}),
        _slow("movable", {"clients__antennas": 2}),
        _slow("movable", {"radio__paths__scatterer_distance_m": [1, 5]}),
    ],
    ids=lambda one: one if isinstance(one, str) else ",".join(one),
)
def test_resume_is_bit_for_bit(small_scenario, tmp_path, scheme: str, changes: dict) -> None:
    scenario = with_settings(small_scenario, **{**TURNED, **changes})
    one, other = stopped_and_resumed(scenario, scheme, tmp_path)
    assert one == other and len(one) == 4
    assert all(len(line["rotation_deg"]) == 3 for line in one[1:])


@pytest.mark.slow
@pytest.mark.parametrize("scheme", [name for name in SCHEMES if name != "ris"])
def test_every_scheme_runs(small_scenario, tmp_path, scheme: str) -> None:
    lines = lines_of(with_settings(small_scenario, **TURNED), scheme, tmp_path)
    assert ("rotation_deg" in lines[1]) == (scheme != "ideal")
    assert np.isfinite(lines[-1]["loss"])


def test_turns_are_booked_as_movement(small_scenario, tmp_path) -> None:
    for scheme in ("movable", "fixed"):
        lines = lines_of(with_settings(small_scenario, **TURNED), scheme, tmp_path / scheme)
        before, turns = np.zeros(3), 0
        for line in lines[1:]:
            angles = np.array(line["rotation_deg"])
            ways = np.abs(angles - before) / 30.0
            assert line["move_s"] == pytest.approx(max(line["moved_m"] / 0.5, ways.max()))
            booked = line["round_energy_j"]["movement"] - 10.0 * ways.sum()
            assert (booked == pytest.approx(0.0)) if scheme == "fixed" else booked >= -1e-12
            assert line["round"] % 2 == 1 or not ways.any()
            turns += int(ways.any())
            before = angles
        assert turns >= 1, scheme


def test_no_room_to_turn_is_todays_run(small_scenario, tmp_path) -> None:
    small = with_settings(small_scenario, training__rounds=2)
    still = with_settings(
        small, array__rotation__movable="turned", array__rotation__largest_deg=[0, 0, 0]
    )
    one, other = (
        lines_of(scenario, "movable", tmp_path / name)
        for name, scenario in (("plain", small), ("turned", still))
    )
    assert [line.pop("rotation_deg") for line in other[1:]] == [[0.0, 0.0, 0.0]] * 2
    assert one == other


def test_the_broadcast_comes_before_the_turn(small_scenario) -> None:
    scenario = with_settings(small_scenario, **TURNED, planning__overlap=True)
    for scheme in ("movable", "fixed"):
        run = run_with(scenario, scheme, 1, QuadraticLearner(scenario, 1))
        repetition, array = run.repetition, run.scheme.array
        start = array.start()
        repetition.facings._chosen[:] = [Facing(yaw=30.0), Facing(yaw=-10.0)]
        for index, faced in ((1, 0), (2, 1), (3, 2)):
            radio = repetition.radio(index)
            link = array.link(radio, repetition.omega, start)
            opening = repetition.broadcast_link(array, start, link, repetition.omega, None, radio)
            expected = radio.block.facing(repetition.facings.of(faced)).true.clients
            met = opening.radio.true.clients
            np.testing.assert_array_equal(met.gains, expected.gains)
            np.testing.assert_array_equal(met.directions, expected.directions)
        serial = with_settings(scenario, planning__overlap=False)
        run = run_with(serial, scheme, 1, QuadraticLearner(serial, 1))
        radio = run.repetition.radio(1)
        link = array.link(radio, repetition.omega, start)
        assert (
            run.repetition.broadcast_link(array, start, link, repetition.omega, None, radio).radio
            is radio
        )


def test_the_round_ahead_counts_its_turn(small_scenario) -> None:
    scenario = with_settings(small_scenario, **{**TURNED, "array__rotation__every": 1})
    run = run_with(scenario, "fixed", 1, QuadraticLearner(scenario, 1))
    run.run_round()
    chosen, spent, told = run.repetition.facings._chosen, run.state.spent(None), []
    for yaw in (0.0, 60.0):
        chosen[:] = [AHEAD, Facing(yaw=yaw)]
        told.append(budgets.expected_rounds(run.repetition, "fixed", run.current, spent))
    (still, each), (turned, same) = told
    expected = np.array([60 / 30, 10 * 60 / 30, *[0.0] * 3])
    # what is received at other angles changes pilots and broadcast a little
    assert (turned - still)[1] == pytest.approx(expected[1], abs=1.0)
    assert (turned - still)[0] == pytest.approx(expected[0], abs=0.5)
    np.testing.assert_array_equal(each, same)


def test_a_shared_plan_is_that_of_the_proposal_as_it_turns(small_scenario) -> None:
    scenario = with_settings(small_scenario, **{**TURNED, "array__rotation__others": "none"})
    plans = []
    for scheme in ("movable", "fixed"):
        run = run_with(scenario, scheme, 1, QuadraticLearner(scenario, 1))
        plans.append(plan_run(run.repetition, scheme).to_dict())
    assert plans[0] == plans[1]
