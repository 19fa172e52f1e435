"""Rounds on recorded updates: those of the run, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airtune.engines import LocalEngine
from airtune.errors import FailedError
from airtune.learning.sizes import sizes_of
from airtune.scenario import Scenario
from airtune.study.claims.replay import Recorded, Recorder, Replayed, keep, kept, run_rounds
from quadratic import QuadraticLearner


def with_(scenario: Scenario, section: str, **changes: Any) -> Scenario:
    return scenario.model_copy(
        update={section: getattr(scenario, section).model_copy(update=changes)}
    )


def recorded_run(scenario: Scenario, scheme: str) -> tuple[list[dict[str, Any]], Recorded]:
    learner = QuadraticLearner(scenario, 1)
    engine = LocalEngine.over(learner)  # type: ignore[arg-type]
    recorder = Recorder.of(engine, sizes_of(learner))  # type: ignore[arg-type]
    lines, _ = run_rounds(scenario, scheme, 1, recorder, recorder.recorded.sizes)
    return lines, recorder.recorded


def again(
    scenario: Scenario, scheme: str, kept: Recorded, *, exact: bool = True
) -> list[dict[str, Any]]:
    return run_rounds(scenario, scheme, 1, Replayed(kept, exact), kept.sizes)[0]


def without_wall(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if not k.endswith("_wall_s")} for line in lines]


@pytest.mark.parametrize("scheme", ["movable", "digital"])
def test_a_replay_is_the_run_to_the_last_bit(small_scenario: Scenario, scheme: str) -> None:
    scenario = with_(small_scenario, "digital", bits=4, quantizer="uniform", error_feedback=False)
    lines, kept = recorded_run(scenario, scheme)
    assert without_wall(again(scenario, scheme, kept)) == without_wall(lines)


def test_what_is_kept_on_disk_is_what_was_recorded(
    small_scenario: Scenario, tmp_path: Path
) -> None:
    """With a coding that remembers entries, in another air, from the file as from memory."""
    chosen = {"bits": 4, "quantizer": "top-k", "top_share": 0.1, "error_feedback": True}
    scenario = with_(small_scenario, "digital", **chosen)
    _, recorded = recorded_run(scenario, "digital")
    keep(recorded, tmp_path / "one.npz")
    assert [file.name for file in tmp_path.iterdir()] == ["one.npz"]
    read = kept(tmp_path / "one.npz", recorded.sizes)
    other = with_(scenario, "clients", tx_power_dbm=-5.0)
    losses = [line["loss"] for line in again(other, "digital", recorded)]
    found = again(other, "digital", read)
    assert [line["loss"] for line in found] == losses
    run, _ = recorded_run(other, "digital")
    for name in ("loss", "time_s", "energy_j"):
        assert [line[name] for line in found] == [line[name] for line in run]


def test_digital_learns_the_same_on_any_air(small_scenario: Scenario) -> None:
    """So one run a seed and coding is enough: the replay is what a run of its own would be."""
    scenario = with_(small_scenario, "digital", bits=4, quantizer="uniform", error_feedback=False)
    _, kept = recorded_run(scenario, "digital")
    other = with_(with_(scenario, "clients", tx_power_dbm=-5.0), "radio", bandwidth_hz=5e6)
    run, _ = recorded_run(other, "digital")
    replayed = again(other, "digital", kept)
    assert without_wall(replayed) == without_wall(run)
    moved = again(other, "digital-movable", kept)
    assert [line["loss"] for line in moved] == [line["loss"] for line in run]
    assert moved[-1]["time_s"] != run[-1]["time_s"]


def test_another_error_is_refused(small_scenario: Scenario) -> None:
    _, kept = recorded_run(small_scenario, "movable")
    noisier = with_(small_scenario, "radio", noise_figure_db=20.0)
    with pytest.raises(FailedError, match="learning is not the same"):
        again(noisier, "movable", kept)


def test_a_forecast_has_books_and_errors_and_no_loss(small_scenario: Scenario) -> None:
    _, kept = recorded_run(small_scenario, "ideal")
    lines = again(small_scenario, "movable", kept, exact=False)
    assert all(line["loss"] is None for line in lines)
    assert all(line["mse"] > 0 and line["round_energy_j"]["uplink"] > 0 for line in lines[1:])
    real, _ = recorded_run(small_scenario, "movable")
    assert lines[1]["mse_predicted_db"] == pytest.approx(real[1]["mse_predicted_db"])


def test_more_rounds_than_were_recorded_are_refused(small_scenario: Scenario) -> None:
    _, kept = recorded_run(small_scenario, "ideal")
    longer = with_(small_scenario, "training", rounds=6)
    with pytest.raises(FailedError, match="has no round 6"):
        again(longer, "ideal", kept)


def test_an_adapter_that_was_not_evaluated_is_refused(small_scenario: Scenario) -> None:
    _, kept = recorded_run(small_scenario, "ideal")
    with pytest.raises(FailedError, match="is none of the recorded run"):
        Replayed(kept).evaluate(kept.initial + 1)


def test_other_clients_are_refused(small_scenario: Scenario) -> None:
    _, kept = recorded_run(small_scenario, "ideal")
    some = kept.updates[1].clients[:1]
    with pytest.raises(FailedError, match="other clients"):
        Replayed(kept, exact=False).updates(kept.initial, some, some, 1, 1)
