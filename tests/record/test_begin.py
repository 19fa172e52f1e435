"""A new run folder is made under its lock, and only what was made here is removed again."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from airtune import record
from airtune.errors import FailedError, InputError
from airtune.record import documents, names
from airtune.scenario import Scenario


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("seed", [1, 2])
def test_a_second_process_changes_nothing_of_the_first(tmp_path: Path, seed: int) -> None:
    with record.begin(tmp_path / "run", Scenario(seed=1), "run"):
        before = contents(tmp_path / "run")
        with (
            pytest.raises(InputError, match="another process is writing this run"),
            record.begin(tmp_path / "run", Scenario(seed=seed), "compare"),
        ):
            pytest.fail("the folder was given twice")
        assert contents(tmp_path / "run") == before
    assert record.open_folder(tmp_path / "run").scenario.seed == 1


def test_compare_into_a_folder_in_use_keeps_the_run(tmp_path: Path) -> None:
    from airtune.commands import run as jobs

    scenario = Scenario(schemes=("ideal", "fixed"))
    with record.begin(tmp_path / "run", scenario, "compare") as run:
        before = contents(run.folder)
        with pytest.raises(InputError, match="another process"):
            jobs.start("compare", scenario, run.folder, False, lambda: False)
        assert contents(run.folder) == before


def test_bad_input_frees_the_name_again(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="no plan"),
        record.begin(tmp_path / "new", Scenario(), "run"),
    ):
        raise InputError("no plan")
    assert not (tmp_path / "new").exists()
    (tmp_path / "empty").mkdir()
    with (
        pytest.raises(InputError, match="no plan"),
        record.begin(tmp_path / "empty", Scenario(), "run"),
    ):
        raise InputError("no plan")
    assert contents(tmp_path / "empty") == {}


def test_what_has_been_computed_stays(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="later"),
        record.begin(tmp_path / "run", Scenario(), "run") as run,
    ):
        record.append_metrics(run.cells[0], {"round": 0})
        raise InputError("later")
    assert record.read_metrics(run.cells[0]) == [{"round": 0}]
    for other in (FailedError, KeyboardInterrupt):
        with (
            pytest.raises(other),
            record.begin(tmp_path / other.__name__, Scenario(), "run"),
        ):
            raise other
        assert record.open_folder(tmp_path / other.__name__)


def test_a_scenario_of_the_user_is_no_rest_of_a_run(tmp_path: Path) -> None:
    mine = tmp_path / names.SCENARIO
    mine.write_text("seed: 3\n")
    with pytest.raises(InputError, match="new or an empty folder"):
        record.create(tmp_path, Scenario(), "run")
    record.discard_unused(tmp_path)
    assert mine.read_text() == "seed: 3\n"
    assert [path.name for path in tmp_path.iterdir()] == [names.SCENARIO]


def test_what_a_killed_process_began_is_begun_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    record.create(folder, Scenario(seed=1), "run")
    (folder / names.RUN).unlink()  # killed before it
    (folder / f"{names.RUN}.0123abcd.tmp").write_text("{")
    with pytest.raises(InputError, match="is not a run folder"):
        record.open_folder(folder)
    run = record.create(folder, Scenario(seed=2), "run")
    record.clean_folder(folder, run.cells)
    assert record.open_folder(folder).scenario.seed == 2
    assert set(contents(folder)) == {*names.HEAD, names.LOCK}


def test_overwriting_is_done_under_the_lock(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run = record.create(folder, Scenario(seed=1), "run")
    record.append_metrics(run.cells[0], {"round": 0})
    with (
        record.lock(folder),
        pytest.raises(InputError, match="another process"),
        record.begin(folder, Scenario(), "run", overwrite=True),
    ):
        pytest.fail("it was overwritten")
    assert record.read_metrics(run.cells[0]) == [{"round": 0}]
    with record.begin(folder, Scenario(seed=2), "run", overwrite=True) as new:
        assert not new.cells[0].folder.exists()
        with pytest.raises(InputError, match="another process"), record.lock(folder):
            pass


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def filled(folder: Path, scenario: Scenario, kind: str = "run") -> None:
    """Write what runs write into a folder, half written files among it."""
    run = record.create(folder, scenario, kind)
    for name in (names.RESULTS, names.PAGE, names.INPUTS, "pilots-0.json", "run.json.tmp"):
        (folder / name).write_text("{}")
    (folder / names.FIGURES).mkdir()
    (folder / names.FIGURES / "loss.pdf").write_text("")
    for cell in run.cells:
        record.append_metrics(cell, {"round": 0})
        record.save_checkpoint(cell, 0, {"a": np.zeros(2)}, {})
        record.save_checkpoint(cell, 1, {"a": np.zeros(2)}, {})
        for name in (names.PLAN, names.FINISHED, names.LOCK, "samples.json.0123abcd.tmp"):
            (cell.folder / name).write_text("{}")
        cell.adapter_folder.mkdir()
        (cell.adapter_folder / "README.md").write_text("")


@pytest.mark.parametrize("readable", [True, False])
def test_overwriting_leaves_what_is_not_of_the_run(tmp_path: Path, readable: bool) -> None:
    folder, scenario = tmp_path / "run", Scenario(schemes=("ideal", "fixed"), seeds=2)
    filled(folder, scenario)
    filled(folder / "point-00", scenario)  # of a sweep that was there before
    mine = {"notes.txt", "data/seed-0/plan.json", "fixed/seed-1/mine.txt", "figures/mine.svg"}
    for name in mine:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "plan.json").write_text("mine")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "ideal" / "seed-2").symlink_to(tmp_path / "elsewhere")
    if not readable:
        (folder / names.SCENARIO).write_text("schemes: 3")
    with (
        pytest.raises(InputError, match="no plan"),
        record.begin(folder, scenario, "run", overwrite=True),
    ):
        assert all((folder / name).read_text() == "mine" for name in mine)
        raise InputError("no plan")
    above = {parent.as_posix() for name in mine for parent in Path(name).parents} - {"."}
    assert everything(folder) == {*mine, *above, "linked"}
    assert (tmp_path / "elsewhere" / "plan.json").read_text() == "mine"
    record.write_document(folder / names.RUN, documents.RunDocument, {"kind": "run"})
    with (
        pytest.raises(InputError, match="later"),
        record.begin(folder, scenario, "run", overwrite=True) as run,
    ):
        record.append_metrics(run.cells[1], {"round": 0})
        raise InputError("later")
    assert record.read_metrics(run.cells[1]) == [{"round": 0}]
    assert record.open_folder(folder) == run


@pytest.mark.parametrize("how", ["discarded", "removed"])
def test_the_lock_is_what_goes_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Whoever begins in the folder as soon as its lock is gone keeps all that it writes."""
    folder, unlink, iterdir, later = tmp_path / "run", os.unlink, Path.iterdir, []

    def unlinked(path: object, *more: object, **others: object) -> None:
        unlink(path, *more, **others)
        if Path(str(path)).name == names.LOCK and not later:
            later.append(record.open_folder(record.create(folder, Scenario(seed=2), "run").folder))

    def lock_first(path: Path) -> list[Path]:
        return sorted(iterdir(path), key=lambda each: each.name != names.LOCK)

    record.create(folder, Scenario(seed=1), "run")
    if how == "removed":
        (folder / "figures").mkdir()
    monkeypatch.setattr(os, "unlink", unlinked)
    monkeypatch.setattr(Path, "iterdir", lock_first)
    if how == "removed":
        record.remove(folder)
    else:
        record.discard_unused(folder)
    monkeypatch.undo()
    assert [run.scenario.seed for run in later] == [2]
    assert record.open_folder(folder).scenario.seed == 2


def test_a_lock_that_is_taken_can_be_gone_without(tmp_path: Path) -> None:
    with record.lock_if_free(tmp_path) as mine, record.lock_if_free(tmp_path) as other:
        assert (mine, other) == (True, False)
    with record.lock(tmp_path):
        pass


def test_names_that_are_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of a run may have one, and no document holds it; the working folder may not."""
    name = os.fsdecode(b"a\xff")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["airtune", "run", "--out", name])
    run = record.create(Path(name), Scenario(schemes=("fixed",)), "run")
    assert record.open_folder(run.folder) == run
    assert record.read_environment(run.folder)["command"] == r"airtune run --out $'a\xff'"
    Path(name, "here").mkdir()
    monkeypatch.chdir(Path(name, "here"))
    with pytest.raises(InputError, match="is not in UTF-8"):
        record.create(Path("run"), Scenario(schemes=("fixed",)), "run")
    assert not Path("run").exists()
