"""What run folders of version 1 were made with."""

from __future__ import annotations

from dataclasses import replace

from airtune import record
from airtune.record.version_1 import UNNAMED
from airtune.scenario import Scenario
from airtune.scenario import file as scenario_file


def test_what_a_file_names_is_not_replaced(tmp_path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text("planning: {overlap: true}\nradio: {hardware: {lo_w: 0.3}}\n")
    scenario = scenario_file.load(file, unnamed=UNNAMED)
    assert scenario.planning.overlap
    hardware = scenario.radio.hardware
    assert (hardware.lo_w, hardware.profile) == (0.3, "radiated")
    assert scenario_file.load(file).radio.hardware.profile == "small-cell"


def test_selection_of_a_version_1_folder_is_the_compact_one(tmp_path) -> None:
    run = record.create(tmp_path / "run", Scenario(schemes=("selection", "movable")), "compare")
    (now,) = [cell for cell in run.cells if "selection" in cell.scheme]
    old = replace(run, version=1)
    (then,) = [cell for cell in old.cells if "selection" in cell.scheme]
    assert (now.scheme, then.scheme) == ("selection", "selection-compact")
    assert now.folder == then.folder
