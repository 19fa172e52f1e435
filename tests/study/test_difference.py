"""What differs between runs: settings, environment, results side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from airtune import record
from airtune.commands.app import app
from airtune.errors import InputError
from airtune.scenario import Scenario
from airtune.study.difference import difference, differing

PARTS = {"compute": 1.0, "uplink": 2.5}


def made(folder: Path, version: int = 2, **schemes: float) -> Path:
    """A run folder with results; each scheme has a final loss."""
    settings = {"seed": len(schemes), "array": {"antennas": 2 + len(schemes)}}
    run = record.create(folder, Scenario.model_validate(settings), "compare")
    entries = {
        name: {"final_loss": loss, "rounds_to_target": None, "energy_j": PARTS}
        for name, loss in schemes.items()
    }
    written: dict[str, Any] = {"schema_version": version, "schemes": entries, "target_loss": 0.6}
    record.write_json(run.folder / "results.json", written)
    return run.folder


def test_settings_that_differ_and_figures_side_by_side(tmp_path: Path) -> None:
    one = made(tmp_path / "one", ideal=0.5, fixed=0.7)
    other = made(tmp_path / "other", ideal=0.5, fixed=0.8, movable=0.6)
    found = difference([one, other])
    assert found["settings"] == {"seed": [2, 3], "array.antennas": [4, 5]}
    assert found["environment"] == {}
    assert [run["folder"] for run in found["runs"]] == [str(one), str(other)]
    assert found["schemes"]["fixed"]["final_loss"] == [0.7, 0.8]
    assert found["schemes"]["movable"]["final_loss"] == [None, 0.6]
    assert found["schemes"]["fixed"]["energy_j.total"] == [3.5, 3.5]
    assert found["schemes"]["movable"]["energy_j.uplink"] == [None, 2.5]


def test_a_folder_of_version_1_has_the_names_of_today(tmp_path: Path) -> None:
    old = made(tmp_path / "old", version=1, selection=0.7)
    new = made(tmp_path / "new", **{"selection": 0.5, "selection-compact": 0.8})
    schemes = difference([old, new])["schemes"]
    assert schemes["selection-compact"]["final_loss"] == [0.7, 0.8]
    assert schemes["selection"]["final_loss"] == [None, 0.5]


def test_quantiles_have_no_total(tmp_path: Path) -> None:
    folders = [made(tmp_path / name, fixed=0.7) for name in ("a", "b")]
    document = json.loads((folders[0] / "results.json").read_text())
    quantiles = {"median": 2.0, "p10": 1.0, "p90": 3.0}
    document["schemes"]["fixed"] |= {"energy_j": {"uplink": quantiles}, "final_loss": quantiles}
    record.write_json(folders[0] / "results.json", document)
    fixed = difference(folders)["schemes"]["fixed"]
    assert fixed["energy_j.total"] == [None, 3.5]
    assert fixed["energy_j.uplink"] == [quantiles, 2.5]
    done = CliRunner().invoke(app, ["diff", *map(str, folders)])
    assert "2 " in done.output  # the median stands in the table


def test_entries_of_lists_and_empty_sections_differ_as_wholes() -> None:
    documents: list[dict[str, Any]] = [{"a": [1, 2], "b": {}}, {"a": [1, 3], "b": {"c": 1}}, {}]
    expected = {"a": [[1, 2], [1, 3], None], "b": [{}, None, None], "b.c": [None, 1, None]}
    assert differing(documents) == expected
    assert differing([{"a": {"b": 1}}] * 3) == {}


def test_the_command_prints_tables_or_one_document(tmp_path: Path) -> None:
    folders = [
        str(made(tmp_path / "[x]", fixed=0.7)),
        str(made(tmp_path / "y", fixed=0.8, ideal=0.5)),
    ]
    done = CliRunner().invoke(app, ["diff", *folders])
    assert done.exit_code == 0
    for text in ("[x]", "array.antennas", "final loss", "0.8"):
        assert text in done.output
    done = CliRunner().invoke(app, ["diff", *folders, "--json"])
    assert json.loads(done.output) == difference([Path(name) for name in folders])


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_folders_are_refused(tmp_path: Path, count: int) -> None:
    folders = [made(tmp_path / "one", fixed=0.7)][:count]
    with pytest.raises(InputError, match="two run folders or more"):
        difference(folders)


def test_what_is_no_run_with_results_is_named(tmp_path: Path) -> None:
    one = made(tmp_path / "one", fixed=0.7)
    unfinished = record.create(tmp_path / "unfinished", Scenario(), "compare").folder
    swept = record.create(tmp_path / "swept", Scenario(), "sweep").folder
    (tmp_path / "empty").mkdir()
    for folder, told in (
        (unfinished, "results.json"),
        (swept, "a sweep"),
        (tmp_path / "empty", "is not a run folder"),
    ):
        with pytest.raises(InputError, match=told) as caught:
            difference([one, folder])
        assert folder.name in str(caught.value)
