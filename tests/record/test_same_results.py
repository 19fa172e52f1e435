"""Two runs of one scenario have the same files, but for those that the manual names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from airtune import compare
from airtune.scenario import Scenario

MANUAL = Path(__file__).parents[2] / "docs" / "runs.md"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_only_the_files_that_the_manual_names_differ(
    small_scenario: Scenario, quadratic: Any, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        compare(small_scenario, folder)
    first, second = contents(one), contents(two)
    assert set(first) == set(second)
    differ = {name for name in first if first[name] != second[name]}
    section = MANUAL.read_text(encoding="utf-8").split("## The same results")[1]
    named = re.findall(r"`([a-z*./]+\.(?:jsonl?|html))`", section.split("```")[0])
    assert len(named) == 6
    patterns = [re.escape(name).replace(r"\*", "[^/]*") for name in named]
    assert differ == {
        name for name in first if any(re.search(f"(^|/){one}$", name) for one in patterns)
    }
    assert any(name.endswith(".pdf") for name in first), "figures are among what is the same"
