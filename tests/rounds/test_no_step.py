"""Rounds in which the server makes no step: what the bound books of them, and how they count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airtune import record
from airtune.bound.faults import joint_bias
from airtune.record import RunFolder
from airtune.rounds import card, cell_io
from airtune.scenario import Scenario
from airtune.study import histories, outcomes
from quadratic import QuadraticLearner, run_with
from rounds.test_federated import cell_of, execute, with_settings

ZETA = 0.7
"""Of the bound: what a round without any client books, min(1, 4 (1 - 0)^2) zeta^2."""

PHASES = {"phase_deg": 20.0}
POISON = {"kind": "scaling", "share": 0.3, "scale": 1000.0, "from_round": 7}


def with_phases(scenario: Scenario, **changes: Any) -> Scenario:
    """Clients are misaligned and miss broadcasts, so a round that steps books both biases."""
    settings = {
        "bound__zeta_sq": ZETA,
        "faults__synchronisation": PHASES,
        "faults__broadcast": {"share": 0.4},
        **changes,
    }
    return with_settings(scenario, **settings)


def rounds_of(
    scenario: Scenario, scheme: str, count: int, learner: QuadraticLearner | None = None
) -> list[dict[str, Any]]:
    run = run_with(scenario, scheme, 1, learner or QuadraticLearner(scenario, 1))
    return [run.run_round() for _ in range(count)]


@pytest.mark.parametrize("unbiased", [False, True])
def test_a_round_that_the_anomaly_stop_rejects_books_what_an_empty_one_does(
    small_scenario, unbiased: bool
) -> None:
    """By hand: zeta^2 without a step; the root sum of the line's own terms with one."""
    sampled = {"clients__count": 4, "clients__concurrency": 3, "clients__selection": "random"}
    scenario = with_phases(
        small_scenario,
        training__rounds=9,
        training__anomaly_stop=8.0,
        faults__poison=POISON,
        **(sampled if unbiased else {}),
        clients__unbiased=unbiased,
    )
    lines = rounds_of(scenario, "fixed", 9)
    rejected = [line for line in lines if line["rejected"]]
    assert rejected and len(rejected) < 4
    for line in lines:
        assert line["transmitted"] == len(line["clients"]) > 0
        assert line["stepped"] is not line["rejected"]
        told = line["faults"]
        if line["rejected"]:
            assert line["bias"] == pytest.approx(ZETA)
            assert (told["squared_bias"], told["stale_bias"], told["poison_bias"]) == (0, 0, 0)
            continue
        assert told["squared_bias"] > 0
        absent = 0.0 if unbiased else 1 - line["share"]
        parts = (told["squared_bias"], told["stale_bias"], told["poison_bias"])
        booked = joint_bias(min(1, 4 * absent**2) * ZETA, *parts)
        assert line["bias"] == pytest.approx(booked, rel=1e-9)
    if not unbiased:
        assert {line["share"] for line in lines} == {1.0}, "who transmitted stays told"


def refused(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Break what is decoded: the step by it is not finite."""
    combine = type(run.scheme.air).combine

    def broken(self: Any, *given: Any) -> Any:
        received = combine(self, *given)
        return replace(received, mean=np.full_like(received.mean, np.nan))

    monkeypatch.setattr(type(run.scheme.air), "combine", broken)


def unread(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the sum arrive and be paid for, and not be read, as of a masked one that lacks a node."""
    combine = type(run.scheme.air).combine

    def lost(self: Any, uploads: Any, *given: Any) -> Any:
        received = combine(self, uploads, *given)
        nobody = np.zeros(len(uploads.clients), dtype=bool)
        mean = np.zeros_like(received.mean)
        return replace(received, mean=mean, transmitted=nobody, lost=True)

    monkeypatch.setattr(type(run.scheme.air), "combine", lost)


@pytest.mark.parametrize("how", ["refused", "unread", "nobody"])
@pytest.mark.parametrize(
    ("scheme", "changes", "squared"),
    [
        ("fixed", {}, 0.0),
        ("fixed", {"aggregation__groups": 3}, 0.0),
        ("fixed", {"aggregation__groups": 3, "aggregation__robust": "median"}, None),
        ("massive-digital", {}, 0.0),
        ("massive-digital", {"aggregation__groups": 3, "aggregation__robust": "median"}, None),
        ("obda", {}, None),
        ("digital", {}, None),
        ("ideal", {}, None),
    ],
)
def test_every_round_without_a_step_books_one_bias(
    small_scenario, monkeypatch, how: str, scheme: str, changes: dict[str, Any], squared: float
) -> None:
    gone = {"faults__dropout": {"share": 1.0}} if how == "nobody" else {}
    scenario = with_phases(small_scenario, **changes, **gone)
    run = run_with(scenario, scheme, 1, QuadraticLearner(scenario, 1))
    if how == "nobody":
        line = run.run_round()
    else:
        with monkeypatch.context() as patch:
            (refused if how == "refused" else unread)(run, patch)
            line = run.run_round()
    assert line["stepped"] is False
    assert line["transmitted"] == (3 if how == "refused" else 0)
    assert line["bias"] == pytest.approx(ZETA)
    assert line["faults"]["squared_bias"] == squared
    assert line["faults"]["stale_bias"] == 0
    if how != "nobody":  # a round with a step has the figure that the empty one has, or has none
        after = run.run_round()
        assert after["stepped"] is True
        assert (after["faults"]["squared_bias"] is None) == (squared is None)


def test_without_faults_a_refused_step_books_nobody_too(small_scenario) -> None:
    """Who is sampled without bias has transmitted, and is told; nothing of it is in the adapter."""
    scenario = with_settings(
        small_scenario,
        bound__zeta_sq=ZETA,
        training__learning_rate=1e300,
        clients__count=6,
        clients__concurrency=2,
        clients__selection="random",
        clients__unbiased=True,
    )
    for line in rounds_of(scenario, "movable", 3):
        assert (line["not_finite"], line["stepped"]) == ("step", False)
        assert line["transmitted"] == len(line["clients"]) == 2
        assert 0 < line["share"] < 1
        assert line["bias"] == pytest.approx(ZETA)


def figures_of(scenario: Scenario, scheme: str, folder: Path) -> outcomes.CellFigures:
    execute(scenario, scheme, folder)
    return outcomes.cell_figures(histories.read_cell(cell_of(folder, scheme)), {})


@pytest.mark.parametrize("scheme", ["fixed", "ideal", "digital"])
def test_rounds_in_which_all_drop_out_are_counted(
    small_scenario, tmp_path: Path, scheme: str
) -> None:
    scenario = with_settings(
        small_scenario, faults__dropout={"share": 0.7}, training__rounds=6, bound__zeta_sq=ZETA
    )
    figures = figures_of(scenario, scheme, tmp_path)
    lines = histories.read_cell(cell_of(tmp_path, scheme)).rounds[1:]
    empty = [line for line in lines if not line.clients]
    assert 0 < len(empty) < 6
    assert [line.stepped for line in lines] == [bool(line.clients) for line in lines]
    assert figures["rounds_without_step"] == len(empty)
    assert (figures["rounds_not_finite"], figures["rejected_rounds"]) == (0, 0)
    assert (figures["never_stepped"], figures["diverged"]) == (False, False)
    assert [line.number("bias") for line in empty] == pytest.approx([ZETA] * len(empty))
    booked = [line.number("bias") or 0.0 for line in lines]
    assert figures["faults"]["bias"] == pytest.approx(np.mean(booked))


@pytest.mark.parametrize(
    "faults",
    [
        {"dropout": {"share": 1.0}},
        {"stragglers": {"share": 1.0, "slowdown": 5.0, "deadline": 2.0}},
    ],
)
def test_a_run_in_which_nobody_is_heard_never_stepped_and_has_not_diverged(
    small_scenario, tmp_path: Path, faults: dict[str, Any]
) -> None:
    changes = {f"faults__{name}": section for name, section in faults.items()}
    figures = figures_of(with_settings(small_scenario, **changes), "fixed", tmp_path)
    assert (figures["rounds_without_step"], figures["rounds"]) == (5, 5)
    assert (figures["never_stepped"], figures["diverged"]) == (True, False)
    assert figures["final_loss"] == figures["initial_loss"]


def test_a_resumed_run_counts_the_same_rounds(small_scenario, tmp_path: Path) -> None:
    scenario = with_settings(small_scenario, faults__dropout={"share": 0.7}, training__rounds=6)
    whole = figures_of(scenario, "fixed", tmp_path / "whole")

    def stop(line: dict[str, object]) -> None:
        if line["round"] == 3:
            raise KeyboardInterrupt

    cell = cell_of(tmp_path / "again", "fixed")
    with pytest.raises(KeyboardInterrupt):
        cell_io.execute(run_with(scenario, "fixed", 1, QuadraticLearner(scenario, 1)), cell, stop)
    assert figures_of(scenario, "fixed", tmp_path / "again") == whole
    one, other = (
        [line | {"round_wall_s": 0} for line in record.read_metrics(cell_of(folder, "fixed"))]
        for folder in (tmp_path / "whole", tmp_path / "again")
    )
    assert one == other
    run = RunFolder(tmp_path / "again", scenario, "run")
    assert "rounds made no step" in card.text(card.of_run(run.scenario, cell), cell.adapter_folder)


def test_lines_of_earlier_versions_leave_it_unknown(small_scenario, tmp_path: Path) -> None:
    scenario = with_settings(small_scenario, faults__dropout={"share": 1.0})
    known = figures_of(scenario, "ideal", tmp_path)
    history = histories.read_cell(cell_of(tmp_path, "ideal"))
    old = [line.model_copy(update={"stepped": None}) for line in history.rounds]
    unknown = outcomes.cell_figures(replace(history, rounds=old), {})
    assert (unknown["rounds_without_step"], unknown["never_stepped"]) == (None, None)
    # A run that was begun by an earlier version and has stepped since has stepped.
    mixed = [*old[:-1], old[-1].model_copy(update={"stepped": True})]
    some = outcomes.cell_figures(replace(history, rounds=mixed), {})
    assert (some["rounds_without_step"], some["never_stepped"]) == (None, False)
    merged = outcomes.over_cells({0: known, 1: unknown})
    assert (merged["rounds_without_step"], merged["never_stepped"]) == (None, True)
    assert merged["never_stepped_seeds"] == [0]
    assert outcomes.over_cells({0: some, 1: unknown})["never_stepped"] is None
    both = outcomes.over_cells({0: known, 1: known})
    assert both["rounds_without_step"] == {"median": 5.0, "p10": 5.0, "p90": 5.0}
