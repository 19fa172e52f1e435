"""The day of a run, which chat templates may ask for."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from airtune import record
from airtune.errors import DamageWarning
from airtune.scenario import Scenario
from airtune.study import sweep as sweeps


def test_a_run_is_told_the_day_on_which_it_was_begun(tmp_path: Path) -> None:
    began = record.create(tmp_path / "run", Scenario(), "run")
    path = tmp_path / "run" / "run.json"
    document = json.loads(path.read_text())
    assert document["date"] == datetime.date.today().isoformat()
    document["date"] = "2025-02-03"
    del document["sha256"]
    path.write_text(json.dumps(document))
    with pytest.warns(DamageWarning, match="has no seal"):
        later = record.open_folder(tmp_path / "run")
    assert later.dated_scenario.data.date == datetime.date(2025, 2, 3)
    # What the user has set stays, in the settings and in what is run.
    assert later.scenario == began.scenario
    own = Scenario.model_validate({"data": {"date": "2024-01-01"}})
    run = record.create(tmp_path / "own", own, "run")
    assert run.dated_scenario == own


def test_a_sweep_tells_its_points_the_day(tmp_path: Path) -> None:
    scenario = Scenario()
    made = sweeps.create(
        scenario, sweeps.parse_axes(scenario, ["array.antennas=2,3"]), tmp_path / "s"
    )
    again = sweeps.open_sweep(record.open_folder(tmp_path / "s"))
    dates = {point.run.dated_scenario.data.date for point in (*made.points, *again.points)}
    assert dates == {made.date} and made.date is not None
