"""Whole rounds of clients with several antennas, in every setting that they are let into."""

from __future__ import annotations

import numpy as np
import pytest

from airtune import record
from airtune.registry import SCHEMES
from rounds.test_federated import cell_of, execute, with_settings
from rounds.test_wide_rounds import stopped_and_resumed

TWO = {"clients__antennas": 2, "training__rounds": 3, "placement__mode": "fast"}


def _slow(changes: object) -> object:
    return pytest.param(changes, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "changes",
    [
        {"planning__movement": "when-needed", "planning__quality_db": -30.0},
        _slow({"planning__movement": "once"}),
        _slow({"planning__movement": "priced", "placement__travel_price_db": 4.0}),
        _slow({"planning__movement": "statistical", "planning__draws": 2}),
        _slow({"array__drive": "pixel", "placement__max_travel": 0.5}),
        _slow({"radio__csi__angle_error_deg": 1.0, "faults__side_information__csi_share": 0.5}),
        _slow({"faults__jammer__share": 0.7, "faults__antennas__dead": 1}),
        _slow({"faults__antennas__stuck": 1, "faults__synchronisation__phase_deg": 5.0}),
        _slow({"aggregation__groups": 2, "aggregation__repetition": 2}),
    ],
    ids=lambda changes: ",".join(changes),
)
def test_resume_is_bit_for_bit(small_scenario, tmp_path, changes: dict) -> None:
    scenario = with_settings(small_scenario, **TWO, **changes)
    one, other = stopped_and_resumed(scenario, "movable", tmp_path)
    assert one == other and len(one) == 4


@pytest.mark.slow
@pytest.mark.parametrize("scheme", [name for name, one in SCHEMES.items() if one.client_arrays])
def test_every_scheme_that_is_let_in_runs_and_resumes(small_scenario, tmp_path, scheme) -> None:
    one, other = stopped_and_resumed(with_settings(small_scenario, **TWO), scheme, tmp_path)
    assert one == other


@pytest.mark.parametrize("reports", ["sequential", "joint"])
def test_a_round_in_which_nobody_is_left_is_booked(small_scenario, tmp_path, reports: str) -> None:
    scenario = with_settings(
        small_scenario,
        **TWO,
        faults__dropout={"share": 1.0},
        aggregation__scale_reports=reports,
    )
    execute(scenario, "fixed", tmp_path)
    lines = record.read_metrics(cell_of(tmp_path, "fixed"))[1:]
    pilots = 3 * 2 * scenario.radio.pilot_symbols_per_client / scenario.radio.bandwidth_hz
    assert [line["clients"] for line in lines] == [[]] * 3
    assert [line["round_latency_s"]["pilots"] for line in lines] == pytest.approx([pilots] * 3)


def test_the_shipped_schemes_that_are_let_in() -> None:
    several = {name for name, one in SCHEMES.items() if one.client_arrays}
    assert {"ideal", "movable", "fixed", "fixed-2n", "selection", "digital"} <= several
    assert not several & {"ris", "cotaf", "obda", "truncated", "non-coherent", "massive-digital"}


def test_one_antenna_by_name_is_the_default_bit_for_bit(small_scenario, tmp_path) -> None:
    adapters = []
    for name, more in (("plain", {}), ("named", {"clients__antennas": 1})):
        scenario = with_settings(small_scenario, training__rounds=2, **more)
        done = execute(scenario, "movable", tmp_path / name)
        lines = record.read_metrics(cell_of(tmp_path / name, "movable"))
        adapters.append((done.state.adapter, done.state.positions, lines[-1]["energy_j"]))
    assert np.array_equal(adapters[0][0], adapters[1][0])
    assert np.array_equal(adapters[0][1], adapters[1][1]) and adapters[0][2] == adapters[1][2]
