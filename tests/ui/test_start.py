"""A comparison from the page: the command that is started, and the paths of who was moved."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from airtune.errors import FailedError, InputError
from airtune.radio.channels.path_file import FileChannel, read_paths
from airtune.scenario import file
from airtune.ui.cell import Spot, open_cell
from airtune.ui.runs import Runs
from airtune.ui.start import Wish, begin

WISH = Wish("mine", ("movable", "fixed"), seeds=2, rounds=3)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    monkeypatch.setattr(
        "airtune.ui.processes.Processes.start", lambda self, *given: found.append(given)
    )
    return found


def test_the_command_is_what_a_person_would_type(
    commands: list[tuple[str, ...]], tmp_path: Path
) -> None:
    cell = open_cell("quickstart").changed("array.antennas", 6)
    assert begin(Runs(tmp_path), cell, WISH) == "mine"
    assert commands == [
        (
            "mine", "compare", "quickstart",
            "--set", "array.antennas=6", "--set", "training.rounds=3",
            "--schemes", "movable,fixed", "--seeds", "2", "--out", str(tmp_path / "mine"),
        )
    ]  # fmt: skip


def test_who_was_moved_is_there_in_every_round(
    commands: list[tuple[str, ...]], tmp_path: Path
) -> None:
    cell = open_cell("quickstart").with_station("clients", 2, Spot(80.0, 10.0, 0.0))
    begin(Runs(tmp_path), cell, WISH)
    ((_, _, source, *arguments),) = commands
    settings = [value for flag, value in pairwise(arguments) if flag == "--set"]
    scenario = file.load(source, settings)
    run = FileChannel(scenario.radio, scenario.clients, scenario.seed)
    for round_index in range(4):
        wanted = cell.channel().block(round_index).true
        met = run.block(round_index).true
        np.testing.assert_allclose(met.clients.gains, wanted.clients.gains)
        np.testing.assert_allclose(met.interferers.directions, wanted.interferers.directions)


def test_settings_of_the_run_count_for_who_was_moved(
    commands: list[tuple[str, ...]], tmp_path: Path
) -> None:
    cell = open_cell("quickstart").with_station("clients", 9, Spot(80.0, 10.0, 0.0))
    for setting, says in (("clients.count=5", "number 10 was moved"), ("radio.channel=umi", "umi")):
        with pytest.raises(InputError, match=says):
            begin(Runs(tmp_path), cell, Wish("x", ("fixed",), 1, 3, (setting,)))
    assert commands == []
    calm = Wish("calm", ("fixed",), 1, 3, ("radio.shadowing_db=0",))
    begin(Runs(tmp_path), cell, calm)
    begin(Runs(tmp_path), cell, Wish("other", ("fixed",), 1, 3))
    gains = [
        np.abs(read_paths(tmp_path / f"{name}.npz").blocks[1].clients.gains)
        for name in ("calm", "other")
    ]
    assert not np.allclose(gains[0], gains[1])


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        (Wish("../up", ("fixed",), 1, 3), "name = "),
        (Wish("taken", ("fixed",), 1, 3), "taken"),
        (Wish("x", (), 1, 3), "schemes"),
        (Wish("x", ("fly",), 1, 3), "fly"),
        (Wish("x", ("fixed",), 1, 3, ("nothing",)), "section.setting=value"),
        (Wish("x", ("fixed",), 1, 3, ("array.antennas=-1",)), "antennas"),
        (Wish("x", ("fixed",), 0, 3), "seeds"),
    ],
)
def test_what_cannot_be_run_is_refused_before_a_process(
    commands: list[tuple[str, ...]], tmp_path: Path, wish: Wish, says: str
) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(InputError, match=says):
        begin(Runs(tmp_path), open_cell("quickstart"), wish)
    assert commands == []


def test_a_file_whose_name_begins_with_a_dash_is_no_option(
    commands: list[tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-o.yaml").write_text("extends: quickstart\n")
    begin(Runs(tmp_path), open_cell("-o.yaml"), WISH)
    assert commands[0][2] == "./-o.yaml"


def test_a_name_is_free_again_where_the_process_did_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: object, *given: str) -> None:
        raise FailedError("cannot be started")

    monkeypatch.setattr("airtune.ui.processes.Processes.start", fails)
    cell = open_cell("quickstart").with_station("clients", 2, Spot(80.0, 10.0, 0.0))
    for _ in range(2):
        with pytest.raises(FailedError):
            begin(Runs(tmp_path), cell, WISH)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    cell = open_cell("quickstart").with_station("clients", 2, Spot(80.0, 10.0, 0.0))
    with pytest.raises(FailedError, match="cannot be written"):
        begin(Runs(tmp_path / "runs"), cell, WISH)
    with pytest.raises((FailedError, InputError)):
        begin(Runs(tmp_path / "runs"), open_cell("quickstart"), WISH)
