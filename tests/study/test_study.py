"""Headline figures by their definitions, on runs written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airtune import record
from airtune.errors import InputError
from airtune.scenario import Scenario
from airtune.study import compare, outcomes, statistics

PARTS = {"compute": 1.0, "uplink": 2.0, "downlink": 0.5, "pilots": 0.25, "movement": 0.25}


def write_cell(
    cell: record.Cell, losses: list[float | None], seconds: float, joules: float
) -> None:
    """Write a finished cell whose rounds take `seconds` and `joules` each."""
    for index, loss in enumerate(losses):
        record.append_metrics(
            cell,
            {
                "round": index,
                "time_s": seconds * index,
                "energy_j": joules * index,
                "evaluated": True,
                "loss": loss,
                "perplexity": None if loss is None else float(np.exp(loss)),
                "exact_match": 0.5,
                "mse": 0.01 * index if index else None,
                "mse_db": None,
            },
        )
    rounds = len(losses) - 1
    totals = {name: seconds * rounds * share / 4 for name, share in PARTS.items()}
    record.write_json(
        cell.folder / "finished.json",
        {
            "rounds": rounds,
            "latency_s": totals | {"pretraining": 0.0},
            "energy_j": {k: v * joules / seconds for k, v in totals.items()} | {"pretraining": 0.0},
            "participation": [rounds] * 3 + [0],
            "within_latency_budget": True,
            "within_client_energy_budget": True,
        },
    )


def folder_of(tmp_path: Path, runs: dict[str, list[list[float | None]]], **speed: float) -> Any:
    seeds = len(next(iter(runs.values())))
    scenario = Scenario(schemes=tuple(runs), seeds=seeds)
    folder = record.create(tmp_path / "run", scenario, "compare")
    for cell in folder.cells:
        seconds = speed.get(cell.scheme, 1.0)
        write_cell(cell, runs[cell.scheme][cell.seed], seconds, 10 * seconds)
    return folder


def test_target_is_nine_tenths_of_the_reference_s_improvement(tmp_path) -> None:
    runs = {
        "ideal": [[5.0, 3.0, 2.0, 1.0]],
        "movable": [[5.0, 3.0, 1.4, 1.2]],
        "fixed": [[5.0, 4.0, 3.0, 2.0]],
        "digital": [[5.0, 3.0, 2.0, 1.3]],
    }
    results = compare.summarise(folder_of(tmp_path, runs, digital=8.0))
    assert results["target_loss"] == pytest.approx(5.0 - 0.9 * 4.0)
    movable, digital = results["schemes"]["movable"], results["schemes"]["digital"]
    assert movable["rounds_to_target"] == 2
    assert movable["time_to_target_s"] == 2.0
    assert movable["energy_to_target_j"] == 20.0
    assert digital["time_to_target_s"] == 24.0
    assert results["target_losses"]["98"] == pytest.approx(5.0 - 0.98 * 4.0)
    # digital crosses 1.4 on its way from 2.0 to 1.3 in the third round, of 8 s and 80 J
    rounds = 2 + 0.6 / 0.7
    assert digital["targets"]["90"] == pytest.approx(
        {"rounds": rounds, "time_s": 8 * rounds, "energy_j": 80 * rounds}
    )
    assert digital["targets"]["98"] == {"rounds": None, "time_s": None, "energy_j": None}
    headline = results["headline"]
    assert headline["faster_pct"]["digital"] == pytest.approx(100 * (1 - 2 / (8 * rounds)))
    assert headline["less_energy_pct"]["digital"] == pytest.approx(100 * (1 - 20 / (80 * rounds)))
    # the reference crosses on its way from 2.0 to 1.0: what nobody can do much better than
    ceiling = 100 * (1 - 2.6 / (8 * rounds))
    assert headline["ceiling_faster_pct"]["digital"] == pytest.approx(ceiling)
    assert set(headline["ceiling_less_energy_pct"]) == {"fixed", "digital"}


def test_a_baseline_that_never_reaches_the_target_gives_a_lower_bound(tmp_path) -> None:
    runs = {"ideal": [[5.0, 1.0, 1.0]], "movable": [[5.0, 1.2, 1.1]], "fixed": [[5.0, 4.0, 3.0]]}
    results = compare.summarise(folder_of(tmp_path, runs))
    fixed = results["schemes"]["fixed"]
    assert fixed["time_to_target_s"] is fixed["energy_to_target_j"] is None
    # fixed had spent two seconds without reaching it; movable crossed 1.4 from 5.0 to 1.2
    assert results["headline"]["faster_pct"]["fixed"] == pytest.approx(50.0 * (2 - 3.6 / 3.8))
    assert results["headline"]["lower_bounds"] == ["fixed"]


def test_no_percentage_when_the_proposal_never_gets_there(tmp_path) -> None:
    runs = {"ideal": [[5.0, 1.0]], "movable": [[5.0, 4.0]], "fixed": [[5.0, 1.0]]}
    headline = compare.summarise(folder_of(tmp_path, runs))["headline"]
    assert headline["faster_pct"]["fixed"] is None


def test_no_target_when_the_reference_does_not_improve(tmp_path) -> None:
    runs = {"ideal": [[5.0, 6.0]], "movable": [[5.0, 4.0]]}
    results = compare.summarise(folder_of(tmp_path, runs))
    assert results["target_loss"] is None
    assert results["schemes"]["movable"]["rounds_to_target"] is None


def test_mse_is_averaged_before_it_is_put_in_decibels(tmp_path) -> None:
    results = compare.summarise(folder_of(tmp_path, {"ideal": [[5.0, 3.0, 2.0, 1.0]]}))
    assert results["schemes"]["ideal"]["mse_db"] == pytest.approx(10 * np.log10(0.02))


def test_several_seeds_give_quantiles(tmp_path) -> None:
    losses = [[5.0, 3.0, 1.0], [6.0, 3.0, 2.0], [7.0, 6.0, 3.0]]
    runs = {"ideal": losses, "movable": [[5.0, 1.0, 1.0], [6.0, 6.0, 2.0], [7.0, 7.0, 7.0]]}
    results = compare.summarise(folder_of(tmp_path, runs))
    final = results["schemes"]["ideal"]["final_loss"]
    assert final == {"median": 2.0, "p10": pytest.approx(1.2), "p90": pytest.approx(2.8)}
    # reached after 1 and 2 rounds and never: the never counts as infinite
    rounds = results["schemes"]["movable"]["rounds_to_target"]
    assert rounds == {"median": 2.0, "p10": pytest.approx(1.2), "p90": None}


def test_a_seed_without_a_saving_counts_as_the_worst(tmp_path) -> None:
    runs = {
        "ideal": [[5.0, 1.0]] * 3,
        "movable": [[5.0, 4.0], [5.0, 1.0], [5.0, 1.0]],
        "fixed": [[5.0, 1.0]] * 3,
    }
    faster = compare.summarise(folder_of(tmp_path, runs))["headline"]["faster_pct"]["fixed"]
    assert faster["p10"] is None
    assert faster["median"] == faster["p90"] == 0.0


def test_a_diverged_seed_is_not_hidden(tmp_path) -> None:
    runs = {"ideal": [[5.0, 1.0]] * 3, "fixed": [[5.0, 2.0], [5.0, None], [5.0, 3.0]]}
    fixed = compare.summarise(folder_of(tmp_path, runs))["schemes"]["fixed"]
    assert fixed["diverged"] is True
    assert fixed["history"][-1]["loss"] == 3.0
    assert fixed["history"][-1]["loss_p90"] is None
    assert fixed["diverged_seeds"] == [1]


def test_ending_above_the_start_is_divergence_and_marks_no_one_else(tmp_path) -> None:
    runs = {
        "ideal": [[5.0, 3.0, 1.0]],
        "movable": [[5.0, 1.2, 1.1]],
        "fixed": [[5.0, 1.2, 6.0]],
        "digital": [[5.0, 5.5, 5.0]],
        "selection": [[5.0, 5.5, 5.1]],
    }
    results = compare.summarise(folder_of(tmp_path, runs))
    schemes = results["schemes"]
    assert {name for name, entry in schemes.items() if entry["diverged"]} == {"fixed", "selection"}
    assert schemes["fixed"]["rounds_to_target"] == 1, "it was there before it diverged"
    assert schemes["selection"]["rounds_to_target"] is None
    assert schemes["selection"]["time_to_target_s"] is None
    assert set(results["headline"]["lower_bounds"]) == {"digital", "selection"}
    assert results["headline"]["faster_pct"]["selection"] == pytest.approx(
        100 * (1 - (3.6 / 3.8) / 2)
    )


def test_unfinished_schemes_are_left_out(tmp_path) -> None:
    folder = folder_of(tmp_path, {"ideal": [[5.0, 1.0]], "fixed": [[5.0, 1.0]]})
    (folder.folder / "fixed" / "seed-0" / "finished.json").unlink()
    assert set(compare.summarise(folder)["schemes"]) == {"ideal"}


def test_nothing_finished_is_said(tmp_path) -> None:
    folder = record.create(tmp_path / "run", Scenario(), "compare")
    with pytest.raises(InputError, match="no scheme has finished"):
        compare.summarise(folder)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20))
def test_jain_index_is_between_one_nth_and_one(counts: list[int]) -> None:
    index = statistics.jain_index(counts)
    assert 1 / len(counts) - 1e-12 <= index <= 1 + 1e-12


def test_jain_index_of_known_cases() -> None:
    assert statistics.jain_index([4, 4, 4]) == 1.0
    assert statistics.jain_index([1, 0, 0, 0]) == 0.25
    assert statistics.jain_index([0, 0]) == 1.0


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=12))
def test_quantiles_agree_with_numpy(values: list[float]) -> None:
    merged = outcomes.over_seeds(list(values))
    for name, share in (("median", 0.5), ("p10", 0.1), ("p90", 0.9)):
        assert merged[name] == pytest.approx(np.quantile(values, share), rel=1e-9, abs=1e-6)


def test_results_and_page_tell_what_was_booked_off_the_plan(
    small_scenario, quadratic, no_figures, tmp_path
) -> None:
    scenario = small_scenario.model_copy(update={"schemes": ("ideal", "movable"), "seeds": 1})
    results = compare.compare(scenario, tmp_path / "run")
    plan = results["schemes"]["movable"]["plan"]
    for name in ("latency_s", "energy_j"):
        booked = results["schemes"]["movable"][name]
        for part, difference in plan["booked_less_planned"][name].items():
            assert difference == pytest.approx(booked[part] - plan[name][part], abs=1e-9)
    # the plan counts the power limit, the air what alignment needs
    assert plan["booked_less_planned"]["energy_j"]["uplink"] < 0
    assert plan["booked_less_planned"]["latency_s"]["uplink"] == 0
    assert "Energy booked less planned" in (tmp_path / "run" / "report.html").read_text()


def test_differences_are_paired_seed_by_seed_and_shown(tmp_path) -> None:
    from airtune.report.paired import paired_caption, paired_rows

    runs = {
        "ideal": [[5.0, 1.0], [6.0, 2.0], [7.0, 3.0]],
        "movable": [[5.0, 1.25], [6.0, 2.25], [7.0, 3.25]],
        "fixed": [[5.0, 1.5], [6.0, 3.25], [7.0, 4.0]],
    }
    results = compare.summarise(folder_of(tmp_path, runs))
    fixed = results["paired"]["schemes"]["fixed"]["final_loss"]
    assert fixed["differences"] == [0.25, 1.0, 0.75]
    assert fixed["median"] == 0.75
    assert fixed["interval"] == {"low": 0.25, "high": 1.0, "coverage": pytest.approx(0.75)}
    assert fixed["sign_test_p"] == pytest.approx(0.25)
    row = next(row for row in paired_rows(results).rows if row.name == "fixed")
    assert [cell.text for cell in row.cells[:2]] == ["0.750", "0.25"]
    assert row.cells[0].spread == "0.250 to 1.000"
    # movable reaches the target in every seed, fixed never
    assert row.cells[2].text == "never"
    # where every seed says the same the interval is the median, and the caption says so
    row = next(row for row in paired_rows(results).rows if row.name == "ideal")
    assert (row.cells[0].text, row.cells[0].spread) == ("−0.250", "")
    told = "its 75 % interval below unless both its ends read as the median does"
    assert told in paired_caption(results)
