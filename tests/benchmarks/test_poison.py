"""The benchmark of poisoned clients: its grid, going on where it stopped, its table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import poison


def test_the_grid_names_settings_that_exist() -> None:
    cells = list(poison.grid())
    assert len({cell.name for cell in cells}) == len(cells) <= 66
    for cell in cells:
        scenario = cell.scenario()
        assert scenario.faults.poison.active == (cell.kind != "none")
        assert scenario.faults.poison.from_round == 6
        assert (scenario.aggregation.robust == "none") == (
            cell.defence in ("none", "clipping", "anomaly stop")
        )


def test_finished_cells_are_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def run(cell: poison.Cell, learners: Any, *more: str) -> dict[str, Any]:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(cell.name)
        return {"losses": [4.0, 2.0], "rejected_rounds": 0, "cell_wall_s": 0.0}

    monkeypatch.setattr(poison, "run", run)
    cells, result = list(poison.grid())[:4], tmp_path / "poison.json"
    with pytest.raises(KeyboardInterrupt):
        poison.measure(result, cells, None)
    first = list(done)
    done.clear()
    found = poison.measure(result, cells, 1)
    assert len(first) == 2
    assert len(done) == 1
    assert set(found["cells"]) == {*first, *done}
    assert found["strengths"]["defences"]["5 groups, median"][0] == "aggregation.groups=5"
    assert "processor" in found["environments"][0]
    assert [cell["environment"] for cell in found["cells"].values()] == [0, 0, 0]
    older = {**found, "environment": {"commit": "before"}}
    del older["environments"]
    result.write_text(json.dumps(older))
    done.clear()
    found = poison.measure(result, cells, 1)
    assert found["environments"][0] == {"commit": "before"}
    assert found["cells"][done[0]]["environment"] == 1


def test_the_table_tells_loss_rounds_and_rounds_left_out() -> None:
    def figures(*losses: float | None, rejected: int = 0) -> dict[str, Any]:
        return {"losses": list(losses), "rejected_rounds": rejected}

    cells = {
        poison.Cell("ideal").name: figures(5.0, 3.0, 1.0),
        poison.Cell("movable", "anomaly stop", "scaling", 0.3).name: figures(5, 4, 4, rejected=1),
        poison.Cell("digital", "median", "random", 0.3).name: figures(5.0, 1.2, None),
    }
    text = poison.table({"cells": cells})
    assert "| own domain each | ideal | none | 1.00 (2) |" in text
    assert "4.00 (never, 1 left out)" in text
    assert "diverged (1)" in text
    assert poison.table({"cells": {}}) == "Not measured yet."


def test_the_manual_says_what_the_results_say() -> None:
    """Also at which states of the program they were made."""
    found = json.loads(poison.RESULT.read_text(encoding="utf-8"))
    page = poison.MANUAL.read_text(encoding="utf-8")
    assert page.split("<!-- poison -->\n")[1].split("\n<!-- end of poison -->")[
        0
    ] == poison.section(found)
    for place in found["environments"]:
        assert place["commit"][:7] in poison.section(found)
