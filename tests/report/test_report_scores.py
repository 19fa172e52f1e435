"""Preference accuracy, exact match, token accuracy and ROUGE-L: which is shown, and how."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from airtune.report import figures, headline, page, run_folder, scores
from airtune.report.table import scheme_rows, terminal_table

INTERVAL = {"low": 0.7, "high": 0.9}


def of_pairs(results: dict[str, Any]) -> dict[str, Any]:
    """The results as those of preference pairs: no text is scored."""
    for entry in results["schemes"].values():
        entry |= {
            "preference_accuracy": 0.8,
            "initial_preference_accuracy": 0.0,
            "preference_accuracy_interval": INTERVAL,
            **dict.fromkeys(("exact_match", "initial_exact_match", "final_perplexity")),
        }
    return results


def of_free_text(results: dict[str, Any]) -> dict[str, Any]:
    """The results as those of long answers: none is exactly right."""
    for entry in results["schemes"].values():
        entry |= {"exact_match": 0.0, "initial_exact_match": 0.0, "token_accuracy": 0.42}
        entry |= {"rouge_l": 0.31, "initial_rouge_l": 0.2, "initial_token_accuracy": 0.4}
    return results


def printed(results: dict[str, Any]) -> str:
    out = io.StringIO()
    Console(file=out, width=80).print(terminal_table(results))
    return out.getvalue()


def test_pairs_have_preference_accuracy_and_no_perplexity(make_results) -> None:
    results = of_pairs(make_results())
    assert scores.main_score(results) is scores.PREFERENCE
    columns = scheme_rows(results).columns
    assert "Preference accuracy [%]" in columns
    assert not {"Perplexity", "Exact match [%]"} & set(columns)
    text = printed(results)
    assert "70.0 to 90.0" in text
    assert "preference accuracy with its 95 % interval" in " ".join(text.split())
    assert "Exact" not in text
    results["target_loss"] = None
    told = " ".join(headline.sentences(results))
    assert "preferred the better answer in 80.0\u00a0% of the pairs" in told
    assert "right" not in told


def test_free_text_has_token_accuracy_in_the_place_of_exact_match(make_results) -> None:
    results = of_free_text(make_results())
    assert "Token accuracy [%]" in scheme_rows(results).columns
    assert "Exact match [%]" not in scheme_rows(results).columns
    sheet = scores.score_rows(results)
    assert sheet.columns == ("Exact match [%]", "Token accuracy [%]", "ROUGE-L [%]")
    assert [row.label for row in sheet.rows][:2] == ["Untuned model", "Ideal"]
    assert [cell.text for cell in sheet.rows[0].cells] == ["0.0", "40.0", "20.0"]
    assert [cell.text for cell in sheet.rows[1].cells] == ["0.0", "42.0", "31.0"]


def test_an_interval_stands_below_one_seed_and_a_range_below_several(make_results) -> None:
    for seeds, spread in ((1, "50.0 to 64.0"), (4, "51.7 to 68.9")):
        results = make_results(seeds=seeds)
        entry = results["schemes"]["movable"]
        entry["exact_match_interval"] = {"low": 0.5, "high": 0.64}
        assert scores.score_cell(entry, scores.EXACT).spread == spread
        assert scores.has_interval(results, scores.EXACT) == (seeds == 1)


@pytest.mark.parametrize("kind", [of_pairs, of_free_text, lambda results: results])
def test_every_table_fits_80_columns_whole(make_results, kind: Any) -> None:
    results = kind(make_results())
    lines = printed(results).splitlines()
    assert max(map(len, lines)) <= 80
    for name in results["schemes"]:
        row = next(line for line in lines if f" {name} " in f" {line}")
        assert len(row.split()) >= 7
    assert "…" not in "".join(lines)


def test_page_and_figure_of_pairs_never_speak_of_right_answers(write_run) -> None:
    import json

    folder = write_run(("ideal", "movable", "fixed"))
    path = folder / "results.json"
    path.write_text(json.dumps(of_pairs(json.loads(path.read_text()))))
    for lines in folder.glob("*/seed-*/metrics.jsonl"):
        lines.write_text(lines.read_text().replace("exact_match", "preference_accuracy"))
    drawn = figures.draw_all(run_folder.load(folder))
    assert "preference-accuracy" in drawn
    assert not (folder / "figures" / "exact-match.png").exists()
    text = page.render(run_folder.load(folder)).lower()
    assert "preference accuracy" in text
    assert "exactly right" not in text
    assert "exact match" not in text
    assert "<dt>perplexity" not in text
    assert "perplexity</th>" not in text
