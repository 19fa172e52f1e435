"""Rounds that a fade has taken from a budget come back with the air."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from airtune import record
from airtune.engines import LocalEngine
from airtune.planning import Repetition, plan_run
from airtune.planning.budgets import _goes_on
from airtune.planning.expected_radio import RadioTurn
from airtune.planning.known_rounds import KnownRounds
from airtune.radio.channels.base import Block, Channel
from airtune.rounds import cell_io
from airtune.rounds.federated import FederatedRun
from airtune.scenario import Scenario
from planning.test_budgets import NARROW, Worse, binding, finished, spent_over_budget
from planning.test_forecast_plan import PILOT
from quadratic import QuadraticLearner
from rounds.test_federated import with_settings


class Passing(Worse):
    """A fade of some rounds."""

    def __init__(self, paths: Channel, loss_db: float, since: int, until: int) -> None:
        super().__init__(paths, loss_db, since)
        self.until = until

    def block(self, round_index: int) -> Block:
        past = round_index > self.until
        return self.paths.block(round_index) if past else super().block(round_index)


def run_of(scenario: Scenario, scheme: str, loss_db: float, since: int, until: int) -> FederatedRun:
    learner = QuadraticLearner(scenario, 1)
    repetition = Repetition(scenario, 1, learner)  # type: ignore[arg-type]
    passing = Passing(repetition.paths, loss_db, since, until)
    repetition = replace(repetition, channel=passing, _schemes={})
    return FederatedRun(repetition, scheme, LocalEngine.over(learner))  # type: ignore[arg-type]


def faded(small: Scenario, **more: object) -> FederatedRun:
    still = {"radio__paths__doppler_hz": 0.0, "radio__paths__angle_drift_deg": 0.0}
    rounds = {"training__rounds": 8, "planning__rounds": "fixed"}
    scenario = binding(small, "digital", 1.0, "latency_s", **rounds | still | more)
    return run_of(scenario, "digital", 20.0, 3, 3)


@pytest.mark.parametrize(
    ("more", "least"),
    [
        ({}, 0.9),
        ({"clients__antennas": 2}, 0.6),  # at the largest batches
        pytest.param({"planning__rounds": "planned"}, 0.9, marks=pytest.mark.slow),
        pytest.param({"planning__replan_every": 100}, 0.9, marks=pytest.mark.slow),
    ],
)
def test_what_a_fade_has_left_is_spent(small_scenario, more: dict, least: float) -> None:
    run = faded(small_scenario, **more)
    lines = finished(run)
    told = [line["replanned"] for line in lines if "replanned" in line]
    assert all(one["accepted"] for one in told) and len(told) > 1
    assert run.state.round == 8 and run.current.cut_by is None
    assert least < spent_over_budget(run) <= 1.05


def test_rounds_come_back_after_the_last_one_that_was_left(small_scenario, tmp_path) -> None:
    """Also in a run that is stopped there, and then goes on bit for bit as one that is not."""

    def execute(folder: str, stop: int | None) -> tuple[FederatedRun, list[object]]:
        run, cell = faded(small_scenario), record.Cell(tmp_path / folder, "digital", 0)
        ends = []

        def done(line: dict[str, object]) -> None:
            ends.append(run.current.last_round)
            if line["round"] == stop:
                raise KeyboardInterrupt

        cell_io.execute(run, cell, done)
        cell_io.finish(run, cell, run.engine.samples(run.engine.initial_adapter(), 1))
        lines = [
            {k: v for k, v in line.items() if not k.endswith("_wall_s")}
            for line in record.read_metrics(cell)
        ]
        return run, [ends[-1], *lines, cell.finished_file.read_bytes()]

    whole, kept = execute("whole", None)
    cut = [line["replanned"] for line in kept[1:-1] if "replanned" in line]  # type: ignore
    assert cut[0]["rounds"] == 1  # of five that are left
    with pytest.raises(KeyboardInterrupt):
        execute("stopped", 4)
    resumed, again = execute("stopped", None)
    assert again == kept
    assert np.array_equal(resumed.state.adapter, whole.state.adapter)


def test_a_target_that_is_reached_asks_for_no_more_rounds(small_scenario) -> None:
    scenario = with_settings(
        small_scenario,
        **NARROW,
        training__server_optimizer="adam",
        planning__rounds="planned",
        planning__objective="energy-delay",
        planning__target_loss=1.5,
    )
    learner = QuadraticLearner(scenario, 1)
    repetition = Repetition(scenario, 1, learner, pilot=PILOT)  # type: ignore[arg-type]
    run = FederatedRun(repetition, "digital", LocalEngine.over(learner))  # type: ignore[arg-type]
    last = run.current.last_round
    cut, spent = replace(run.current, asked=last + 3, cut_by="latency_s"), run.state.spent()
    for loss, more in ((1.8, True), (1.2, False)):
        assert _goes_on(repetition, cut, replace(spent, round=last, loss=loss)) is more
    ended = replace(cut, ended=last)
    assert not _goes_on(repetition, ended, replace(spent, round=last, loss=1.8))


@pytest.mark.parametrize("scheme", ["digital", "selection"])
def test_known_rounds_are_met_on_average(small_scenario, scheme: str) -> None:
    scenario = with_settings(small_scenario, **NARROW, radio__paths__doppler_hz=0.5)
    repetition = Repetition(scenario, 1, QuadraticLearner(scenario, 1))  # type: ignore[arg-type]
    start, everybody = repetition.scheme(scheme).array.start(), np.ones(3, dtype=np.bool_)
    each = [RadioTurn(repetition, scheme, i, start).place(everybody) for i in (2, 3, 4)]
    found = KnownRounds(repetition, scheme, 4, start, known=3).place(everybody)
    assert found.mse_star == pytest.approx(np.mean([one.mse_star for one in each]))
    assert np.array_equal(found.positions, each[-1].positions)
    for name in ("uplink_s", "downlink_s", "pilot_s", "uplink_j", "pilot_j", "uplink_shared_j"):
        values = [getattr(one.costs, name) for one in each]
        np.testing.assert_allclose(getattr(found.costs, name), np.mean(values, axis=0))
    assert len({one.costs.downlink_s for one in each}) == 3
    alone = KnownRounds(repetition, scheme, 4, start).place(everybody)
    assert alone.costs.downlink_s == each[-1].costs.downlink_s
    few = KnownRounds(repetition, scheme, 2, start, known=6).place(everybody)
    assert few.costs.uplink_s < np.inf


@pytest.mark.parametrize("seed", [15, 23])
def test_the_rest_of_a_predicted_plan_is_made_for_the_rounds_that_are_known(seed: int) -> None:
    """The round ahead is far worse than those that may be drawn after it."""
    changes = {
        "training__rounds": 3,
        "training__learning_rate": 0.3,
        "planning__rounds": "fixed",
        "training__server_optimizer": "adam",
        "training__batch_size_max": 8,
        "planning__objective": "loss",
        "planning__overlap": False,
        "plan": "own",
        "digital__quantizer": "uniform",
        "digital__bits": 4,
        "digital__error_feedback": False,
        "array__antennas": 1,
        "array__field_pilots": 1,
        "clients__count": 3,
        "radio__bandwidth_hz": 100.0,
        "radio__paths__count": 4,
        "clients__tx_power_dbm": 30.0,
        "radio__hardware__profile": "radiated",
        "radio__pilot_rule": "equal",
        "radio__silent_symbols": 0,
        "aggregation__scale_reports": "sequential",
    }
    scenario = with_settings(Scenario(), **changes)
    learner = QuadraticLearner(scenario, seed)
    pilot = replace(PILOT, batches=(8, 8, 8))
    free = Repetition(scenario, seed, learner, pilot=pilot)  # type: ignore[arg-type]
    budget = 0.97 * plan_run(free, "digital").plan.latency_s.total
    bound = with_settings(scenario, budget__latency_s=budget)
    repetition = Repetition(bound, seed, learner, pilot=pilot)  # type: ignore[arg-type]
    run = FederatedRun(repetition, "digital", LocalEngine.over(learner))  # type: ignore[arg-type]
    spent = 0.0
    while run.state.round < run.current.last_round:
        spent = run.run_round()["time_s"]
    assert 0 < spent <= 1.05 * budget
