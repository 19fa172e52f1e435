"""Faults, groups and electrical books on at once: each keeps what it promises alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from airtune.costs import PROFILES, FrontEnd
from airtune.rounds.federated import FederatedRun
from airtune.scenario import Scenario
from airtune.schemes import AirInterface
from quadratic import QuadraticLearner, run_with
from rounds.test_faults import EVERYTHING
from rounds.test_federated import with_settings

POISON = {"kind": "scaling", "share": 0.2, "scale": 3.0}
SMALL = PROFILES["small-cell"]


def together(scenario: Scenario, **changes: Any) -> Scenario:
    return with_settings(
        scenario,
        clients__count=6,
        clients__tx_power_dbm=0.0,
        array__antennas=4,
        array__field_pilots=3,
        faults=EVERYTHING | {"poison": POISON},
        aggregation__groups=2,
        aggregation__repetition=2,
        aggregation__scale_reports="joint",
        radio__hardware__profile="small-cell",
        radio__pilot_rule="by-array",
        radio__silent_symbols=None,
        planning__overlap=True,
        **changes,
    )


def begun(scenario: Scenario, scheme: str) -> FederatedRun:
    return run_with(scenario, scheme, 1, QuadraticLearner(scenario, 1))


@pytest.mark.parametrize("scheme", ["movable", "selection", "ris", "digital", "cotaf", "obda"])
@pytest.mark.parametrize("rule", ["none", "median"])
def test_components_are_finite_and_add_up(small_scenario, scheme: str, rule: str) -> None:
    run = begun(together(small_scenario, aggregation__robust=rule), scheme)
    phase_1_s, phase_1_j = run.state.latency_s.total, run.state.energy_j.total
    lines = [run.run_round() for _ in range(5)]
    assert {True, False} == {line["faults"]["restarted"] for line in lines}
    ports = 16 if scheme == "selection" else 0
    chains = 3  # the dead one is off
    station = SMALL.station_w(FrontEnd(chains, ports, surface=scheme == "ris"))
    times, joules, at_station = phase_1_s, phase_1_j, phase_1_j
    for line in lines:
        latency, energy, radiated = (
            line[name] for name in ("round_latency_s", "round_energy_j", "round_radiated_j")
        )
        assert all(math.isfinite(x) and x >= 0 for part in (latency, energy) for x in part.values())
        assert math.isfinite(line["loss"])
        times, joules = times + sum(latency.values()), joules + sum(energy.values())
        assert (line["time_s"], line["energy_j"]) == pytest.approx((times, joules))
        # what of the antennas' way is not beside computing, once however often it is computed
        often = 2 if line["faults"]["restarted"] else 1
        beside = max(0.0, line["move_s"] - latency["compute"] / often)
        assert latency["movement"] == pytest.approx(beside, abs=1e-12)
        assert energy["downlink"] == pytest.approx(
            radiated["downlink"] / 0.4 + station * latency["downlink"]
        )
        for name in ("uplink", "pilots"):
            circuits = energy[name] - radiated[name] / 0.4 - station * latency[name]
            assert -1e-12 <= circuits <= 6 * 0.1 * latency[name] * (1 + 1e-9)
        at_station += energy["movement"] + energy["downlink"]
        at_station += station * (latency["uplink"] + latency["pilots"])
    assert run.state.client_energy_j.sum() + at_station == pytest.approx(joules)


def test_learning_does_not_depend_on_the_books(small_scenario) -> None:
    books = {
        "radio__hardware__profile": "radiated",
        "radio__pilot_rule": "equal",
        "radio__silent_symbols": 0,
        "planning__overlap": False,
    }
    one = begun(together(small_scenario), "movable")
    other = begun(with_settings(together(small_scenario), **books), "movable")
    for _ in range(4):
        one.run_round()
        other.run_round()
    assert np.array_equal(one.state.adapter, other.state.adapter)
    assert one.state.energy_j.uplink > 2.5 * other.state.energy_j.uplink


@pytest.mark.parametrize("scheme", ["movable", "digital"])
def test_a_run_goes_on_where_it_was(small_scenario, scheme: str) -> None:
    scenario = together(small_scenario, aggregation__robust="trimmed-mean")
    whole = begun(scenario, scheme)
    for _ in range(2):
        whole.run_round()
    state = whole.state
    totals = {
        "latency_s": state.latency_s.to_dict(),
        "energy_j": state.energy_j.to_dict(),
        "move_s": state.move_s,
    }
    resumed = begun(scenario, scheme)
    resumed.state.load(2, {name: a.copy() for name, a in state.arrays().items()}, totals)
    for _ in range(2):
        one, other = whole.run_round(), resumed.run_round()
        assert {**one, "round_wall_s": 0.0} == {**other, "round_wall_s": 0.0}


def test_the_broadcast_comes_from_where_the_antennas_stood(small_scenario, monkeypatch) -> None:
    links = []
    booked = AirInterface.overheads

    def overheads(self, broadcast, upload, *others):
        links.append((broadcast, upload))
        return booked(self, broadcast, upload, *others)

    monkeypatch.setattr(AirInterface, "overheads", overheads)
    run = begun(together(small_scenario), "movable")
    links.clear()
    for _ in range(3):
        assert run.state.faults.carriages is not None
        commanded, actual = run.state.positions.copy(), run.state.faults.carriages.actual
        run.run_round()
        broadcast, upload = links.pop()
        assert np.array_equal(broadcast.positions, commanded)
        assert np.array_equal(broadcast.true_positions, actual)
        assert np.array_equal(upload.true_positions, run.state.faults.carriages.actual)
        assert not np.array_equal(upload.true_positions, actual)
