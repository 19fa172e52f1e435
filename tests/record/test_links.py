"""Links within a run folder never change a file outside."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from airtune import record
from airtune.errors import InputError
from airtune.record import documents, names
from airtune.scenario import Scenario


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside" / "precious"
    path.parent.mkdir()
    path.write_text("mine")
    return path


@pytest.fixture
def cell(tmp_path: Path) -> record.Cell:
    return record.Cell(tmp_path / "run" / "fixed" / "seed-0", "fixed", 0)


def test_a_link_for_the_lock_is_refused(tmp_path: Path, outside: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / names.LOCK).symlink_to(outside)
    with pytest.raises(InputError, match="lock: is a link"), record.lock(folder):
        pass
    with pytest.raises(InputError, match="lock: is a link"):
        record.create(folder, Scenario(), "run")
    assert outside.read_text() == "mine"


def test_documents_replace_links(tmp_path: Path, outside: Path) -> None:
    folder = tmp_path / "run"
    record.create(folder, Scenario(seed=1), "run")
    for name in (names.SCENARIO, f"{names.SCENARIO}.tmp", names.RUN):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(outside)
    record.create(folder, Scenario(seed=2), "run")
    assert record.open_folder(folder).scenario.seed == 2
    assert outside.read_text() == "mine"


def test_metrics_are_not_appended_through_a_link(cell: record.Cell, outside: Path) -> None:
    cell.folder.mkdir(parents=True)
    cell.metrics_file.symlink_to(outside)
    with pytest.raises(InputError, match=r"metrics\.jsonl: is a link"):
        record.append_metrics(cell, {"round": 0})
    with pytest.raises(InputError, match=r"metrics\.jsonl: is a link"):
        record.load_checkpoint(cell)
    assert outside.read_text() == "mine"


@pytest.mark.parametrize("part", ["fixed", "fixed/seed-0", "fixed/seed-0/checkpoint"])
def test_folders_of_a_cell_are_no_links(
    tmp_path: Path, cell: record.Cell, outside: Path, part: str
) -> None:
    link = tmp_path / "run" / part
    link.parent.mkdir(parents=True)
    link.symlink_to(outside.parent)
    with pytest.raises(InputError, match="is a link"):
        record.save_checkpoint(cell, 0, {"a": np.zeros(2)}, {})
    with pytest.raises(InputError, match="is a link"):
        record.load_checkpoint(cell)
    assert [path.name for path in outside.parent.iterdir()] == ["precious"]


def test_cleaning_follows_no_link(tmp_path: Path, cell: record.Cell, outside: Path) -> None:
    half = outside.with_name("plan.json.0123abcd.tmp")
    half.write_text("mine, too")
    cell.folder.parent.mkdir(parents=True)
    cell.folder.symlink_to(outside.parent)
    record.clean_folder(tmp_path / "run", [cell])
    assert half.read_text() == "mine, too"


def test_the_run_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    record.create(tmp_path / "run", Scenario(), "run")
    assert (tmp_path / "disk" / names.RUN).is_file()


def test_figures_are_not_drawn_through_links(tmp_path: Path, outside: Path) -> None:
    from airtune.report import style

    for suffix in style.SUFFIXES:
        (tmp_path / f"one{suffix}").symlink_to(outside)
    style.save(style.new_figure(1.0), tmp_path / "one")
    assert outside.read_text() == "mine"
    assert not (tmp_path / "one.pdf").is_symlink()


def test_a_document_is_written_where_a_link_was(tmp_path: Path, outside: Path) -> None:
    path = tmp_path / names.HOLDINGS
    path.symlink_to(outside)
    record.write_document(path, documents.HoldingsDocument, {"labels": [], "counts": []})
    assert not path.is_symlink()
    assert outside.read_text() == "mine"


def test_pipes_are_neither_read_nor_written(cell: record.Cell) -> None:
    record.append_metrics(cell, {"round": 0})
    record.save_checkpoint(cell, 0, {"a": np.zeros(2)}, {})
    (arrays,) = cell.checkpoint_folder.glob("*.safetensors")
    arrays.unlink()
    os.mkfifo(arrays)
    with pytest.raises(InputError, match="it is no file"):  # and no process waits for the other end
        record.load_checkpoint(cell)
    cell.metrics_file.unlink()
    os.mkfifo(cell.metrics_file)
    for work in (
        lambda: record.append_metrics(cell, {"round": 1}),
        lambda: record.read_metrics(cell),
    ):
        with pytest.raises(InputError, match=r"metrics\.jsonl: cannot be"):
            work()


@pytest.mark.parametrize("part", ["point-00", "point-00/fixed", "point-00/fixed/seed-0"])
def test_cleaning_follows_no_link_of_a_sweep(tmp_path: Path, outside: Path, part: str) -> None:
    cell = record.Cell(tmp_path / "sweep" / "point-00" / "fixed" / "seed-0", "fixed", 0)
    link = tmp_path / "sweep" / part
    link.parent.mkdir(parents=True)
    link.symlink_to(outside.parent)
    below = cell.folder.relative_to(link)
    (outside.parent / below / "adapter.tmp").mkdir(parents=True)
    (outside.parent / below / "plan.json.tmp").write_text("mine, too")
    (outside.parent / "results.json.tmp").write_text("mine, too")
    before = sorted(outside.parent.rglob("*"))
    record.clean_folder(tmp_path / "sweep", [cell])
    assert sorted(outside.parent.rglob("*")) == before


def test_cleaning_stays_below_the_folder(tmp_path: Path) -> None:
    victim = tmp_path / "victim" / "seed-0" / "plan.json.tmp"
    victim.parent.mkdir(parents=True)
    victim.write_text("mine")
    for folder in (tmp_path / "run" / ".." / "victim" / "seed-0", victim.parent):
        record.clean_folder(tmp_path / "run", [record.Cell(folder, "fixed", 0)])
        assert victim.read_text() == "mine"


def test_the_report_of_a_forged_folder_removes_nothing_outside(tmp_path: Path) -> None:
    from airtune.commands import run as jobs
    from airtune.record.inputs import digest

    victim = tmp_path / "victim" / "seed-0"
    (victim / "adapter.tmp").mkdir(parents=True)
    (victim / "plan.json.tmp").write_text("mine")
    folder = tmp_path / "run"
    record.create(folder, Scenario(schemes=("fixed",)), "run")
    scenario = (folder / names.SCENARIO).read_text().replace("- fixed", "- ../victim")
    (folder / names.SCENARIO).write_text(scenario)
    content = record.read_json(folder / names.RUN)
    del content["sha256"]
    record.write_document(
        folder / names.RUN,
        documents.RunDocument,
        {**content, "settings": digest(scenario)},
        sealed=True,
    )
    for work in (
        lambda: jobs.rebuild_reports([folder]),
        lambda: jobs.resume(folder, False, lambda: False),
    ):
        with pytest.raises(InputError, match=r"'?schemes.* = \"\.\./victim\": must have letters"):
            work()
    assert sorted(path.name for path in victim.iterdir()) == ["adapter.tmp", "plan.json.tmp"]
