"""The rounded broadcast: what clients have, what it costs, and runs that go on after a stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airtune import record
from airtune.record import Cell
from airtune.rounds import cell_io
from airtune.rounds.federated import FederatedRun
from airtune.scenario import Scenario
from quadratic import QuadraticLearner, run_with


def rounded(scenario: Scenario, bits: int = 2, **more: Any) -> Scenario:
    data = scenario.to_dict()
    data["radio"] |= {"downlink_quantizer": "lloyd-max", "downlink_bits": bits}
    for section, values in more.items():
        data[section] |= values
    return Scenario.model_validate(data)


@pytest.mark.parametrize("name", ["fixed", "digital", "cotaf"])
def test_clients_compute_at_what_they_have_received(small_scenario: Scenario, name: str) -> None:
    run = run_with(rounded(small_scenario), name, 1, QuadraticLearner(small_scenario, 1))
    seen: list[np.ndarray] = []
    asked = run.engine.updates

    def updates(adapter: np.ndarray, *rest: Any) -> Any:
        seen.append(adapter.copy())
        return asked(adapter, *rest)

    run.engine.updates = updates  # type: ignore[method-assign]
    server = []
    for _ in range(4):
        server.append(run.state.adapter.copy())
        run.run_round()
        assert np.array_equal(run.state.clients_copy, seen[-1])
    assert np.array_equal(seen[0], server[0])  # all start from the same
    for at, before, copy in zip(server[1:], seen[:-1], seen[1:], strict=True):
        change, left = at - before, at - copy
        assert 0 < np.linalg.norm(left) < 0.5 * np.linalg.norm(change)


def test_nothing_is_lost_in_the_end(small_scenario: Scenario) -> None:
    data = rounded(small_scenario).to_dict()
    data["training"] |= {"rounds": 40}
    scenario = Scenario.model_validate(data)
    learner = QuadraticLearner(scenario, 1, noise=0.0)
    run = run_with(scenario, "digital", 1, learner)
    plain_data = scenario.to_dict()
    plain_data["radio"] |= {"downlink_quantizer": "none", "downlink_bits": 16}
    plain = run_with(Scenario.model_validate(plain_data), "digital", 1, learner)
    for _ in range(40):
        run.run_round()
        plain.run_round()
    ends = [np.linalg.norm(one.state.adapter - learner.optimum) for one in (run, plain)]
    assert ends[0] < 2 * ends[1] + 1e-3 * np.linalg.norm(learner.optimum)


def test_the_reference_is_not_rounded(small_scenario: Scenario) -> None:
    learner = QuadraticLearner(small_scenario, 1)
    runs = [run_with(s, "ideal", 1, learner) for s in (small_scenario, rounded(small_scenario))]
    for _ in range(3):
        lines = [run.run_round() for run in runs]
        assert lines[0]["loss"] == lines[1]["loss"]
    assert runs[1].state.clients_copy is None


def downlink(run: FederatedRun) -> list[float]:
    return [float(run.run_round()["round_latency_s"]["downlink"]) for _ in range(3)]


def test_the_bits_are_booked_at_the_rate_of_the_weakest_of_all(small_scenario: Scenario) -> None:
    """Selected or not: one of three transmits, and all of them have to follow."""
    learner = QuadraticLearner(small_scenario, 1)
    few = {"clients": {"concurrency": 1, "selection": "best-channel"}}
    everybody = downlink(run_with(rounded(small_scenario), "fixed", 1, learner))
    one = downlink(run_with(rounded(small_scenario, **few), "fixed", 1, learner))
    assert one == pytest.approx(everybody, rel=1e-9)
    entries, headers = 107, 3 * 33
    finer = downlink(run_with(rounded(small_scenario, bits=4), "fixed", 1, learner))
    ratio = (4 * entries + headers) / (2 * entries + headers)
    assert finer[1:] == pytest.approx([ratio * x for x in everybody[1:]], rel=1e-9)
    # the first change is 0: headers only
    assert everybody[0] < everybody[1]


def test_the_plan_counts_the_rounded_broadcast(small_scenario: Scenario) -> None:
    learner = QuadraticLearner(small_scenario, 1)
    data = {"plan": "own"}
    scenarios = [
        Scenario.model_validate(s.to_dict() | data)
        for s in (rounded(small_scenario, bits=4), small_scenario)
    ]
    times = [
        run_with(s, "fixed", 1, learner).current.joint.expected.costs.downlink_s for s in scenarios
    ]
    assert times[0] / times[1] == pytest.approx((4 * 107 + 3 * 33) / (16 * 107), rel=1e-9)


def test_missed_changes_are_sent_again(small_scenario: Scenario) -> None:
    scenario = rounded(small_scenario, faults={"broadcast": {"share": 0.5}})
    run = run_with(scenario, "fixed", 1, QuadraticLearner(scenario, 1))
    plain = run_with(rounded(small_scenario), "fixed", 1, QuadraticLearner(scenario, 1))
    times, as_usual, behind = [], [], []
    for index in range(1, 6):
        received = run.state.faults.received
        before = np.zeros(3, int) if received is None else received.copy()
        times.append(float(run.run_round()["round_latency_s"]["downlink"]))
        as_usual.append(float(plain.run_round()["round_latency_s"]["downlink"]))
        now = run.state.faults.received
        hears = now == index
        behind.append(index - 1 - int(before[hears].min()) if hears.any() else 0)
    assert any(behind)
    for seconds, usual, missed in zip(times[1:], as_usual[1:], behind[1:], strict=True):
        assert seconds == pytest.approx(usual * (1 + missed), rel=1e-6)


@pytest.mark.parametrize("name", ["fixed", "digital"])
def test_a_run_goes_on_bit_for_bit(small_scenario: Scenario, tmp_path: Path, name: str) -> None:
    scenario, folder = rounded(small_scenario), tmp_path / name
    learner = QuadraticLearner(scenario, 1)
    whole = run_with(scenario, name, 1, learner)
    cell_io.execute(whole, Cell(folder / "whole", name, 0), lambda line: None)

    class StopError(Exception):
        pass

    def stop(line: dict[str, Any]) -> None:
        if line["round"] == 2:
            raise StopError

    halted = Cell(folder / "halted", name, 0)
    with pytest.raises(StopError):
        cell_io.execute(run_with(scenario, name, 1, learner), halted, stop)
    again = run_with(scenario, name, 1, learner)
    cell_io.execute(again, halted, lambda line: None)
    assert np.array_equal(again.state.adapter, whole.state.adapter)
    assert np.array_equal(again.state.clients_copy, whole.state.clients_copy)
    lines = [record.read_metrics(c)[-1] for c in (halted, Cell(folder / "whole", name, 0))]
    for line in lines:
        line.pop("round_wall_s")
    assert lines[0] == lines[1]
