"""Runs that diverge: the last finite adapter stays, the round is told, the cell is marked."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airtune import record
from airtune.record import Cell
from airtune.record.course import diverged
from airtune.registry import SCHEMES
from airtune.rounds import cell_io
from airtune.rounds.federated import FederatedRun
from airtune.scenario import Scenario
from quadratic import QuadraticLearner, run_with

OPTIMIZERS = ("sgd", "momentum", "adam", "yogi")


def scenario_with(scenario: Scenario, **training: Any) -> Scenario:
    data = scenario.to_dict()
    data["training"] |= training
    return Scenario.model_validate(data)


def executed(
    scenario: Scenario, scheme: str, folder: Path, broken: dict[tuple[int, int], bool] | None = None
) -> tuple[FederatedRun, list[record.documents.MetricsLine]]:
    """Run a cell to its end; numpy's warnings of overflow are errors."""
    learner = QuadraticLearner(scenario, 1, broken=broken or {})
    run = run_with(scenario, scheme, 1, learner)
    cell = Cell(folder / scheme / "seed-0", scheme, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        cell_io.execute(run, cell, lambda line: None)
        cell_io.finish(run, cell, learner.samples(learner.initial_adapter(), 1))
    return run, record.read_history(cell)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_step_that_is_not_finite_leaves_adapter_and_state(
    small_scenario, optimizer: str, tmp_path
) -> None:
    huge = scenario_with(small_scenario, server_optimizer=optimizer, learning_rate=1e300)
    run, lines = executed(huge, "ideal", tmp_path)
    assert [line.not_finite for line in lines] == [None, *["step"] * 5]
    fresh = run_with(huge, "ideal", 1, QuadraticLearner(huge, 1)).state
    assert np.array_equal(run.state.adapter, fresh.adapter)
    for name, value in fresh.optimizer_state.items():
        assert np.array_equal(run.state.optimizer_state[name], value), name
    assert run.state.participation.tolist() == [5] * 3, "they have transmitted, and paid for it"
    assert lines[-1].loss == lines[0].loss
    assert diverged(lines)


def test_one_step_that_is_refused_does_not_spoil_the_next(
    small_scenario, tmp_path, monkeypatch
) -> None:
    """The third reception is broken; the run ends as one whose third round never was."""
    run = run_with(small_scenario, "ideal", 1, QuadraticLearner(small_scenario, 1, noise=0.0))
    combine = run.scheme.air.combine
    from dataclasses import replace

    def broken(*given: Any) -> Any:
        received = combine(*given)
        if run.state.round != 2:
            return received
        return replace(received, mean=np.full_like(received.mean, np.nan))

    monkeypatch.setattr(type(run.scheme.air), "combine", lambda self, *given: broken(*given))
    lines = [run.run_round() for _ in range(5)]
    assert [line["not_finite"] for line in lines] == [None, None, "step", None, None]
    learner, theta = QuadraticLearner(small_scenario, 1), np.zeros(run.state.adapter.size)
    for _ in range(4):
        theta -= 0.3 * (theta - learner.optimum)
    assert np.allclose(run.state.adapter, theta, atol=1e-5)
    assert lines[-1]["loss"] < lines[0]["loss"]


def test_every_scheme_keeps_finite_numbers_under_huge_steps(small_scenario, tmp_path) -> None:
    """Steps up to the end of single precision: what is sent grows to 1e38 and beyond."""
    huge = scenario_with(small_scenario, learning_rate=1e12)
    for scheme in SCHEMES:
        run, lines = executed(huge, scheme, tmp_path)
        assert np.isfinite(run.state.adapter).all(), scheme
        assert all(np.isfinite(row).all() for row in run.state.memory.values()), scheme
        assert [line.round for line in lines] == list(range(6)), scheme


def test_adam_with_a_rate_of_a_million_is_marked(small_scenario, tmp_path) -> None:
    huge = scenario_with(small_scenario, server_optimizer="adam", learning_rate=1e6)
    _, lines = executed(huge, "movable", tmp_path)
    assert lines[-1].loss > lines[0].loss
    assert diverged(lines)


def test_rounds_without_any_finite_update_are_told(small_scenario, tmp_path) -> None:
    nobody = {(t, k): True for t in range(1, 6) for k in range(3)}
    _, lines = executed(small_scenario, "movable", tmp_path, nobody)
    assert [line.not_finite for line in lines[1:]] == ["updates"] * 5
    assert [line.dropped for line in lines[1:]] == [[0, 1, 2]] * 5
    assert diverged(lines), "nothing could be learnt"
    some = {(2, k): True for k in range(3)} | {(3, 0): True}
    _, lines = executed(small_scenario, "fixed", tmp_path, some)
    assert [line.not_finite for line in lines[1:]] == [None, "updates", None, None, None]
    assert not diverged(lines), "a lost round is no divergence where the loss falls"
