"""Why the target was not reached, in one sentence; totals of a run; what was left out."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from airtune.report import divergence, headline, totals
from airtune.report.reasons import reasons
from airtune.report.table import left_out_sentence

NONE = {"rounds_to_target": None, "mse_db": 3.0}


def entry(losses: list[float], **more: Any) -> dict[str, Any]:
    history = [{"round": index, "loss": loss} for index, loss in enumerate(losses)]
    ends = {"initial_loss": losses[0], "final_loss": losses[-1], "rounds": len(losses) - 1}
    return {**NONE, **ends, "history": history, **more}


def results(target: float | None, rounds: int = 4, **schemes: Any) -> dict[str, Any]:
    return {
        "target_loss": target,
        "seeds": 1,
        "scenario": {"training": {"rounds": rounds}},
        "schemes": schemes,
    }


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            entry([5.0, 4.0, 3.5, 3.0, 2.5]),
            "s's loss was still falling: 62 % of the way to the target after 4 rounds, "
            "aggregation error 3.0 dB.",
        ),
        (
            entry([5.0, 3.0, 2.0, 2.0, 2.0]),
            "s's loss had stopped falling: 75 % of the way to the target after 4 rounds, "
            "aggregation error 3.0 dB.",
        ),
        (
            entry([5.0, 2.0, 3.0, 4.0, 4.0], mse_db=None),
            "s's loss was least after round 1, 75 % of the way to the target, and rose again to "
            "25 % of the way after 4 rounds.",
        ),
        (
            entry([5.0, 5.2, 5.1, 5.3, 5.4]),
            "s's loss did not fall: 5.000 at the start, 5.400 at the end after 4 rounds, "
            "aggregation error 3.0 dB.",
        ),
        (
            entry([5.0, 4.0, 3.0], stopped_by="latency_s"),
            "s stopped after 2 of 4 rounds: the latency budget was used up, 50 % of the way to the "
            "target, aggregation error 3.0 dB.",
        ),
        (
            entry([5.0, 4.0, 3.0], stopped_by="plan", mse_db=None),
            "s stopped after 2 of 4 rounds: the plan took no more rounds, 50 % of the way to the "
            "target.",
        ),
        (
            entry([5.0, 4.0]) | {"final_loss": None, "diverged": True},
            "s diverged: its loss is not a number at the end.",
        ),
        (
            entry([5.0, 4.0, 7.5], diverged=True),
            "s diverged: its loss rose, 5.000 at the start, 7.500 at the end.",
        ),
        (
            entry([5.0, 5.0, 5.0], diverged=True, rounds_not_finite=2),
            "s diverged: its loss did not fall, and 2 of 2 rounds had no finite update or step.",
        ),
    ],
)
def test_a_scheme_that_misses_the_target(found: dict[str, Any], told: str) -> None:
    assert reasons(results(1.0, s=found)) == [told]


def test_who_reaches_the_target_needs_no_reason() -> None:
    assert reasons(results(1.0, s=entry([5.0, 0.9]) | {"rounds_to_target": 1})) == []


def test_who_reaches_the_target_and_diverges_then_is_told() -> None:
    found = entry([5.0, 0.9, 6.0], diverged=True) | {"rounds_to_target": 1}
    told = "s diverged: its loss rose, 5.000 at the start, 6.000 at the end."
    assert reasons(results(1.0, s=found)) == [told]


def test_a_reference_that_diverged_sets_no_target_and_the_others_are_told_too() -> None:
    bad = entry([5.0, 6.0], diverged=True)
    said = reasons(results(None, ideal=bad, fixed=bad, movable=entry([5.0, 4.0])))
    rose = "diverged: its loss rose, 5.000 at the start, 6.000 at the end."
    assert said == [
        f"The target is 90 % of ideal's gain, and ideal itself {rose}",
        f"fixed {rose}",
    ]
    assert reasons(results(None, fixed=bad)) == [f"fixed {rose}"]


def test_a_reference_that_hardly_gains_is_named() -> None:
    ideal = entry([5.0, 4.99]) | {"rounds_to_target": 1}
    said = reasons(results(4.991, rounds=1, ideal=ideal, fixed=entry([5.0, 4.998])))
    assert said[0] == "The target is 90 % of ideal's gain, and ideal itself gained only 0.01."
    assert len(said) == 2


@pytest.mark.parametrize(
    ("losses", "told"),
    [
        ([2.31, 2.321], "gained nothing: loss 2.310 at the start, 2.321 at the end."),
        ([2.31, 2.31000004], "gained nothing: loss 2.310000 at the start, 2.310000 at the end."),
    ],
)
def test_no_target(losses: list[float], told: str) -> None:
    both = results(None, ideal=entry(losses), fixed=entry([2.3, 2.4]))
    assert reasons(both) == [f"The target is 90 % of ideal's gain, and ideal itself {told}"]
    # one scheme by itself has no target to miss
    assert reasons(results(None, fixed=entry([2.3, 2.4]))) == []


@settings(deadline=None)
@given(st.lists(st.floats(0.5, 9.0), min_size=2, max_size=9), st.floats(0.01, 0.49))
def test_every_history_has_one_sentence(losses: list[float], target: float) -> None:
    (said,) = reasons(results(target, rounds=len(losses) - 1, s=entry(losses)))
    assert said.startswith("s's loss ")
    assert said.count("\n") == 0
    assert said.endswith(".")


def test_over_seeds_medians_are_told() -> None:
    found = entry([5.0, 4.0, 3.5, 3.0, 2.5])
    found |= {"rounds_to_target": {"median": None, "p10": 3, "p90": None}}
    found |= {"mse_db": {"median": -2.0, "p10": -3.0, "p90": 1.0}}
    (said,) = reasons(results(1.0, s=found))
    assert said.endswith("aggregation error −2.0 dB.")


def printed(document: dict[str, Any]) -> str:
    out = io.StringIO()
    console = Console(file=out, width=80)
    for part in totals.terminal_totals(document):
        console.print(part)
    return out.getvalue()


def test_totals_of_a_run_hold_every_figure_once(make_results) -> None:
    document = make_results(("movable",))
    document["schemes"]["movable"] |= {
        "exact_match_interval": {"low": 0.5, "high": 0.64},
        "initial_perplexity": 46.9,
        "token_accuracy": 0.81,
        "initial_token_accuracy": 0.3,
    }
    text = printed(document)
    assert max(map(len, text.splitlines())) <= 80
    assert "movable: 30 rounds" in text
    assert f"{document['schemes']['movable']['initial_loss']:.3f} → 1.573 nat" in text
    assert "46.9 → 4.82" in text
    assert "10.0 → 57.5 % (95 %: 50.0 to 64.0)" in text
    assert "30.0 → 81.0 %" in text
    assert "15 rounds, 91.0\u202fs, 196\u202fJ" in text
    for part in ("Pre-training", "Compute", "Uplink", "Downlink", "Pilots", "Movement", "Total"):
        assert text.count(part) == 1
    document["target_loss"] = None
    assert "to target" not in printed(document)
    document["target_loss"] = 0.1
    document["schemes"]["movable"] |= dict.fromkeys(
        ("rounds_to_target", "time_to_target_s", "energy_to_target_j")
    )
    assert "not reached" in printed(document)


def test_a_run_that_diverged_is_marked_in_its_title(make_results) -> None:
    document = make_results(("movable",))
    assert "diverged" not in printed(document)
    document["schemes"]["movable"]["diverged"] = True
    assert "movable: 30 rounds, diverged" in printed(document)


def test_a_run_tells_what_faults_have_done(make_results) -> None:
    document = make_results(("movable",))
    assert "faults" not in printed(document)
    document["schemes"]["movable"]["faults"] = {
        "left_out": 12,
        "participation": 0.8,
        "phase_rms_deg": 9.7,
        "bias": 0.02,
    }
    text = " ".join(printed(document).split())
    assert "faults participation 80.0 %, dropped before the upload 12, phase error 9.70 °" in text


def test_totals_over_seeds_are_medians(make_results) -> None:
    text = printed(make_results(("fixed",), seeds=4))
    assert "fixed: 30 rounds, medians of 4 seeds" in text
    assert "Total" not in text


def test_left_out_records_are_told_with_the_first_place() -> None:
    records = [{"place": "a.jsonl:3", "why": "the answer is empty."}, {"place": "b:1", "why": "x"}]
    told = left_out_sentence({"left_out": {"count": 1, "records": records[:1]}})
    assert told == "Left out 1 record, at a.jsonl:3 because the answer is empty."
    told = left_out_sentence({"left_out": {"count": 20, "records": records}})
    assert told == "Left out 20 records, first at a.jsonl:3 because the answer is empty."
    assert left_out_sentence({}) == left_out_sentence({"left_out": {"count": 0}}) == ""


NEVER = {"never_stepped": True, "rounds_without_step": 4, "rejected_rounds": 1}


def test_a_scheme_that_never_made_a_step_is_told_with_the_reasons() -> None:
    found = entry([5.0] * 5, rounds_not_finite=1, **NEVER)
    why = "4 of 4 rounds without a step (1 anomaly stop, 1 not finite, 2 nothing received)."
    assert reasons(results(1.0, s=found)) == [f"s never made a step: {why}"]
    assert reasons(results(None, ideal=found, s=entry([5.0, 4.0]))) == [
        f"The target is 90 % of ideal's gain, and ideal itself never made a step: {why}"
    ]
    reference = {"schemes": {"ideal": found, "s": found}}
    assert "the error-free reference never made a step." in headline.sentences(reference)[0]


def test_rounds_without_a_step_stand_beside_why_the_target_was_missed() -> None:
    found = entry([5.0, 3.0, 2.0, 2.0, 2.0], rounds_without_step=3, rejected_rounds=0)
    (said,) = reasons(results(1.0, s=found))
    assert said.endswith("; 3 of 4 rounds without a step (nothing received).")
    assert "without a step (nothing received)" in printed(results(1.0, s=found))
    lost = divergence.lost_rounds(results(1.0, s=found))
    assert lost == ["s: 3 of 4 rounds without a step (nothing received) left the adapter as it was"]
    finite = entry([5.0, 4.0, 3.0], rounds_without_step=2, rounds_not_finite=2)
    (lost_of_it,) = divergence.lost_rounds(results(1.0, s=finite))
    assert (
        lost_of_it == "s: 2 of 2 rounds had no finite update or step and left the adapter as it was"
    )
    unknown = entry([5.0, 3.0], rounds_without_step=None, never_stepped=None)
    assert divergence.lost_rounds(results(1.0, s=unknown)) == []
    assert divergence.mark(unknown) == ""


def test_rounds_lost_in_few_of_several_seeds_are_told() -> None:
    seeds = {"median": 0.0, "p10": 0.0, "p90": 3.0}
    some = {"rounds": {"median": 5.0, "p10": 5.0, "p90": 5.0}, "rounds_not_finite": seeds}
    (said,) = divergence.lost_rounds({"schemes": {"s": some}})
    assert said.startswith("s: ")
    without = some | {"rounds_not_finite": {"median": 0.0}, "rounds_without_step": seeds}
    (said,) = divergence.lost_rounds({"schemes": {"s": without}})
    assert "without a step" in said


def test_reasons_of_several_seeds_have_no_numbers() -> None:
    of = {"median": 2.0, "p10": 1.0, "p90": 3.0}
    both = {"rounds_without_step": of, "rounds": {"median": 5.0, "p10": 5.0, "p90": 5.0}}
    told = divergence.rounds_without_step
    assert told(both) == "2 of 5 rounds without a step (nothing received)"
    assert told(both | {"rejected_rounds": of}) == "2 of 5 rounds without a step (anomaly stop)"
    less = {"median": 1.0, "p10": 1.0, "p90": 1.0}
    assert told(both | {"rejected_rounds": less}) == "2 of 5 rounds without a step"
    found = {"diverged": True, "diverged_seeds": [1], "never_stepped_seeds": [0, 1, 2]}
    assert divergence.sentence("s", found | {"never_stepped": True}, 4) == (
        "s diverged in seed 1 of 4: its loss ended above its start or is not a number; "
        "no step was made in any round of seeds 0, 2 of 4."
    )
