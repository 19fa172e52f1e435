"""Why a cell ended early, intervals of shares, and what the results hold of samples and data."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.record.documents import (
    FinishedDocument,
    LeftOutDocument,
    MetricsLine,
    PlanDocument,
    Sample,
)
from airtune.scenario import Scenario
from airtune.study import outcomes
from airtune.study.ends import stopped_by
from airtune.study.statistics import share_interval


def finished(rounds: int, seconds: float, joules: float, clients: list[float]) -> FinishedDocument:
    return FinishedDocument(
        rounds=rounds,
        latency_s={"compute": seconds, "pretraining": 0.0},
        energy_j={"compute": joules, "pretraining": 0.0},
        participation=[rounds] * len(clients),
        client_energy_j=clients,
        within_latency_budget=True,
        within_client_energy_budget=True,
    )


def asked(rounds: int, **budget: Any) -> Scenario:
    return Scenario.model_validate({"training": {"rounds": rounds}, "budget": budget})


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        ({"latency_s": 12.0}, "latency_s"),
        ({"latency_s": 14.0}, "plan"),
        ({"energy_j": 31.0}, "energy_j"),
        ({"client_energy_j": 5.5}, "client_energy_j"),
        ({"latency_s": 12.0, "energy_j": 30.1}, "energy_j"),
        ({}, "plan"),
    ],
)
def test_the_budget_without_room_for_another_round_is_named(budget: Any, told: str) -> None:
    totals = finished(3, seconds=10.0, joules=30.0, clients=[5.0, 1.0])
    assert stopped_by(totals, None, asked(30, **budget)) == told
    assert stopped_by(totals, None, asked(3, **budget)) is None


def test_what_was_planned_counts_where_less_was_booked() -> None:
    totals = finished(3, seconds=6.0, joules=1.0, clients=[1.0])
    plan = PlanDocument(
        rounds={},
        batch={},
        frequency_hz={},
        bound={},
        latency_s={"total": 11.0},
        energy_j={"total": 1.0, "per_client": [1.0]},
    )
    assert stopped_by(totals, None, asked(30, latency_s=12.0)) == "plan"
    assert stopped_by(totals, plan, asked(30, latency_s=12.0)) == "latency_s"


def test_the_budget_that_ended_a_run_is_told_in_any_case() -> None:
    totals = finished(3, seconds=1.0, joules=1.0, clients=[1.0])
    ended = totals.model_copy(update={"stopped_by": "energy_j"})
    assert stopped_by(ended, None, asked(30, latency_s=12.0)) == "energy_j"


@settings(deadline=None)
@given(st.integers(1, 5000), st.floats(0, 1))
def test_an_interval_holds_its_share(records: int, share: float) -> None:
    hits = round(share * records)
    interval = share_interval(hits / records, records)
    assert interval is not None
    assert 0 <= interval["low"] <= hits / records + 1e-12
    assert hits / records - 1e-12 <= interval["high"] <= 1
    # the score test at the ends: p is off by 1.96 standard deviations of a share p
    for p in (interval["low"], interval["high"]):
        if 0 < p < 1:
            z = abs(hits / records - p) / (p * (1 - p) / records) ** 0.5
            assert z == pytest.approx(1.959964, rel=1e-4)


def test_an_unknown_share_has_no_interval() -> None:
    assert share_interval(None, 10) is share_interval(0.5, None) is share_interval(0.5, 0) is None


def cell(**last: Any) -> outcomes.CellHistory:
    lines = [
        MetricsLine(round=0, evaluated=True, loss=5.0, perplexity=9.0, records=40, **last),
        MetricsLine(round=1, evaluated=True, loss=4.0, perplexity=8.0, records=40, **last),
    ]
    return outcomes.CellHistory(
        lines,
        finished(1, 1.0, 1.0, [1.0]),
        None,
        [Sample(rouge_l_before=0.25, rouge_l_after=0.5), Sample(rouge_l_after=1.0), Sample()],
        LeftOutDocument(count=3),
    )


def test_figures_hold_the_scores_and_what_is_left_out() -> None:
    figures = outcomes.cell_figures(cell(exact_match=0.25, token_accuracy=0.5), {}, asked(2))
    assert figures["rouge_l"] == 0.75
    assert figures["initial_rouge_l"] == 0.25
    assert figures["token_accuracy"] == figures["history"][-1]["token_accuracy"] == 0.5
    assert figures["initial_perplexity"] == 9.0
    assert figures["left_out_records"] == 3
    assert figures["exact_match_interval"] == share_interval(0.25, 40)
    assert figures["preference_accuracy"] is figures["preference_accuracy_interval"] is None
    assert (figures["rounds"], figures["stopped_by"]) == (1, "plan")


def test_figures_of_several_seeds_merge() -> None:
    one = outcomes.cell_figures(cell(exact_match=0.25), {}, asked(2))
    other = outcomes.cell_figures(cell(exact_match=0.75), {}, asked(1))
    merged = outcomes.over_seeds([one, other])
    assert merged["exact_match_interval"]["low"]["median"] == pytest.approx(
        (share_interval(0.25, 40)["low"] + share_interval(0.75, 40)["low"]) / 2
    )
    assert merged["preference_accuracy_interval"] is None
    assert merged["stopped_by"] == "plan"
    assert merged["rouge_l"]["median"] == 0.75


def test_seeds_that_ended_before_others_merge_by_rounds() -> None:
    """Validated every second round; one seed has ended after round 3, where it was validated."""
    whole = outcomes.cell_figures(cell(), {}, asked(1))
    line = whole["history"][0]
    rounds = [{**line, "round": i, "loss": 4.0 - i} for i in (0, 2, 4)]
    short = [{**line, "round": i, "loss": 6.0 - i} for i in (0, 2, 3)]
    one = {**whole, "history": rounds}
    other = {**whole, "history": short, "ended": "budget", "stopped_by": "latency_s"}
    merged = outcomes.over_seeds([one, other])
    assert [(x["round"], x["loss"]) for x in merged["history"]] == [(0, 5.0), (2, 3.0)]
    assert (merged["ended"], merged["stopped_by"]) == ("budget", "latency_s")
    assert outcomes.over_seeds([one, one])["ended"] == "plan"


def test_errors_over_seeds_are_of_those_that_have_one() -> None:
    """By hand: median of -20 and -10 dB is -15 dB; a seed without an error is none that failed."""
    known = outcomes.cell_figures(cell(exact_match=0.25), {}, asked(2))
    seeds = [{**known, "mse_db": error} for error in (-20.0, None, -10.0)]
    merged = outcomes.over_seeds(seeds)["mse_db"]
    assert merged == {"median": -15.0, "p10": -19.0, "p90": -11.0}
    assert outcomes.over_seeds([seeds[0], seeds[2]])["mse_db"] == merged
    assert outcomes.over_cells(dict(enumerate(seeds)))["mse_db_seeds"] == 2
    assert "mse_db_seeds" not in outcomes.over_cells({0: seeds[0], 1: seeds[2]})
    assert "mse_db_seeds" not in outcomes.over_cells({0: seeds[1], 1: seeds[1]})
    assert outcomes.over_seeds([seeds[1], seeds[0]])["mse_db"]["median"] == -20.0
    assert outcomes.over_seeds([seeds[1], seeds[1]])["mse_db"] == dict.fromkeys(
        ("median", "p10", "p90")
    )
    line = known["history"][-1]
    rounds = [[{**line, "mse_db": error}] for error in (None, -30.0, -10.0)]
    merged = outcomes.over_seeds([{"history": lines} for lines in rounds])
    assert merged["history"][0]["mse_db"] == -20.0
