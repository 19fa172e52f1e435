"""The gallery of recipes says what the files of results say."""

from __future__ import annotations

import json
from statistics import median

import pytest

import recipes
from airtune.scenario.file import shipped


def test_the_page_is_what_the_script_writes() -> None:
    page = recipes.PAGE.read_text(encoding="utf-8")
    table = page.partition("<!-- recipes -->\n")[2].partition("\n<!-- end of recipes -->")[0]
    assert table == recipes.markdown(), "run python benchmarks/recipes.py"
    assert all(f"`airtune compare {name}`" in table for name in shipped())


def test_a_study_counts_the_cells_of_its_scenario() -> None:
    one = recipes.measured()["paper-v1"]
    lines = (recipes.RESULTS / one.source).read_text(encoding="utf-8").splitlines()
    sums: dict[int, float] = {}
    finals = []
    for cell in map(json.loads, lines):
        shown = cell.get("scheme") in ("ideal", "movable", "fixed", "random-position", "digital")
        if cell["point"] == "shared-plan" and shown:
            sums[cell["seed"]] = sums.get(cell["seed"], 0.0) + cell["wall_s"] / 60
            finals += [cell["history"]["loss"][-1]] if cell["scheme"] == "movable" else []
    assert one.minutes == pytest.approx(median(sums.values()))
    assert one.losses is not None and one.losses[1] == median(finals)
    assert one.seeds == len(sums) == 5
