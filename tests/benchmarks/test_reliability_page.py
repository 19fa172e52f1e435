"""The page of reliability says what the committed results say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import reliability_page


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
