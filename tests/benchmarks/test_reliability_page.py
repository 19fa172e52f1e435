"""The page of reliability says what the committed results say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import reliability_page
from trials.results import Results


def test_the_page_is_up_to_date(tmp_path: Path) -> None:
    copy = tmp_path / "page.md"
    copy.write_text(reliability_page.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    reliability_page.write(copy)
    assert copy.read_text(encoding="utf-8") == reliability_page.PAGE.read_text(encoding="utf-8")


def test_a_failure_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = {"try": 3, "kind": "check: edges", "failure": "traceback", "said": ""}
    part = {"planned": 20, "tried": 10, "longest_s": 1.25, "most_memory_mib": 300}
    part |= {"ends": {"exit 1": 1, "exit 2": 9}, "failures": [failed]}
    place = {"cpu_count": 2, "processor": "x86", "python": "3.12", "commit": "abcdef0123"}
    document = {"parts": {"commands": part}, "environment": place}
    (tmp_path / "reliability-inputs.json").write_text(json.dumps(document))
    monkeypatch.setattr(reliability_page, "RESULTS", tmp_path)
    text = "\n".join(reliability_page.inputs())
    assert "| commands | 10 of 20 | 1 | 1: 1, 2: 9 | 1.2 | 300 |" in text
    assert "What failed: commands, check: edges: traceback." in text
    assert "not run yet" in "\n".join(reliability_page.disturbed())


def test_what_was_refused_otherwise_and_what_ended_early_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(part: str, tries: list[dict[str, object]]) -> None:
        results = Results(tmp_path / f"reliability-{part}.json", part)
        for number, one in enumerate(tries):
            results.attempt(str(number), "run", lambda one=one: one)

    write("kills", [{"kills": 0}, {"kills": 1}, {"kills": 3}])
    write("two-processes", [{"locked": 1, "taken": 0}, {"locked": 0, "taken": 1}])
    monkeypatch.setattr(reliability_page, "RESULTS", tmp_path)
    text = "\n".join(reliability_page.disturbed())
    assert "| kills | run | 3 | 3 | 4 kills, 1 ended before their kill |" in text
    assert "The 4 kills are of 3 tries: 1 of these ended before their kill, and 1 were" in text
    assert "| 2 | 2 | 1 refused by the lock, 1 because a run is there |" in text
    said = "Of the 2 tries with two processes 1 were refused by the lock and 1 because"
    assert said in text
    assert "of a time" not in text
    tries = [*({"locked": n % 2} for n in range(4)), {"locked": 0}]
    for number, one in enumerate(tries):
        one |= {"name": str(number), "of": "run, then resume" if number < 3 else "run, then run"}
        one["passed"] = number < 4  # what went wrong was not refused as it should be
    (said,) = reliability_page._refused({"tries": tries})
    assert "5 tries with two processes 2 were refused by the lock, 0 because a run" in said
    assert "and 2 were a `resume` that began before there was a run folder. The camp" in said
