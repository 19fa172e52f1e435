"""The runs of a folder: their states, and what is handed out of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airtune import record
from airtune.errors import InputError
from airtune.scenario import Scenario
from airtune.ui import views
from airtune.ui.processes import Process
from airtune.ui.runs import Run, Runs


def begun(root: Path, name: str, scenario: Scenario) -> Path:
    with record.begin(root / name, scenario, "compare"):
        pass
    return root / name


@pytest.fixture
def root(tmp_path: Path, small_scenario: Scenario) -> Path:
    scenario = small_scenario.model_copy(update={"schemes": ("ideal", "movable")})
    begun(tmp_path, "one", scenario)
    return tmp_path


def finish(folder: Path, scheme: str, rounds: int, finished: bool = True) -> None:
    cell = folder / scheme / "seed-0"
    cell.mkdir(parents=True, exist_ok=True)
    lines = [
        {
            "round": t,
            "loss": 3.0 - 0.1 * t if t % 2 == 0 else None,
            "time_s": 2.0 * t,
            "energy_j": t,
        }
        for t in range(rounds + 1)
    ]
    (cell / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if finished:
        (cell / "finished.json").write_text("{}")


def test_a_run_goes_through_its_states(root: Path) -> None:
    runs = Runs(root)
    run = runs.one("one")
    assert (run.state, run.finished_cells, len(run.cells)) == ("unfinished", 0, 2)
    finish(root / "one", "ideal", 5)
    finish(root / "one", "movable", 3, finished=False)
    (run,) = runs.all()
    assert (run.state, run.finished_cells) == ("unfinished", 1)
    now = run.cells[1]
    assert (now.name, now.rounds, now.loss, now.time_s) == ("movable", 3, 2.8, 6.0)
    with record.lock(root / "one"):
        assert runs.one("one").state == "elsewhere"
        with pytest.raises(InputError, match="must be unfinished"):
            runs.resume("one")
    assert runs.one("one").state == "unfinished"
    finish(root / "one", "movable", 5)
    (root / "one" / "results.json").write_text("{}")
    assert runs.one("one").state == "finished"


@pytest.mark.parametrize(
    ("code", "begun_says", "unbegun_says"),
    [
        (2, "no such data", "no such data"),
        (130, "", "It was stopped before it began."),
        (-2, "", "It was stopped before it began."),
    ],
)
def test_what_a_run_said_last_is_shown_where_it_failed(
    root: Path, monkeypatch: pytest.MonkeyPatch, code: int, begun_says: str, unbegun_says: str
) -> None:
    runs = Runs(root)
    monkeypatch.setattr(runs.processes, "names", lambda: {"one", "none"})
    monkeypatch.setattr(runs.processes, "of", lambda name: Process(False, code))
    monkeypatch.setattr(runs.processes, "tail", lambda name: "no such data\n")
    assert (runs.one("one").state, runs.one("one").message) == ("unfinished", begun_says)
    assert (runs.one("none").state, runs.one("none").message) == ("failed", unbegun_says)


@pytest.mark.skipif(not Path("/proc/locks").is_file(), reason="the system does not list locks")
def test_looking_takes_no_lock_that_is_free(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with record.lock(root / "one"):
        assert Runs(root).one("one").state == "elsewhere"
    taken: list[Path] = []
    monkeypatch.setattr(record, "lock_if_free", taken.append)
    assert (root / "one" / "lock").is_file()
    assert Runs(root).one("one").state == "unfinished"
    assert taken == []


def test_a_run_that_ended_unseen_without_a_folder_is_told(root: Path) -> None:
    notes = root / ".airtune-ui"
    notes.mkdir()
    (notes / "lost.json").write_text('{"pid": 1, "born": "gone", "code": null}')
    (notes / "lost.log").write_text("airtune: no such data\n")
    runs = Runs(root)
    assert runs.one("lost").state == "failed"
    assert runs.one("lost").message.endswith("airtune: no such data")
    assert {run.name for run in runs.all()} == {"one", "lost"}
    runs.processes.forget("lost")
    assert [run.name for run in runs.all()] == ["one"]


def test_a_damaged_run_is_told_and_others_are_shown(root: Path, small_scenario: Scenario) -> None:
    begun(root, "two", small_scenario)
    (root / "two" / "scenario.yaml").write_text("name: [")
    states = {run.name: run.state for run in Runs(root).all()}
    assert states == {"one": "unfinished", "two": "damaged"}
    assert "scenario.yaml" in Runs(root).one("two").message


def test_what_is_no_run_and_what_is_a_link_is_left_out(root: Path, tmp_path: Path) -> None:
    (root / "notes").mkdir()
    (root / "linked").symlink_to(root / "one")
    runs = Runs(root)
    assert [run.name for run in runs.all()] == ["one"]
    for name in ("linked", "notes", "..", ".", "", "one/..", "/etc"):
        with pytest.raises(InputError):
            runs.folder(name)
        with pytest.raises(InputError):
            runs.one(name)


def test_files_of_the_folder_are_handed_out_and_nothing_else(root: Path) -> None:
    folder = root / "one"
    (folder / "report.html").write_text("page")
    (folder / "figures").mkdir()
    (folder / "figures" / "a.png").write_bytes(b"png")
    (folder / "weights.safetensors").write_bytes(b"")
    (root / "secret.json").write_text("{}")
    (folder / "out.json").symlink_to(root / "secret.json")
    (folder / "away").symlink_to(root)
    runs = Runs(root)
    assert runs.file("one", "report.html")[1].startswith("text/html")
    assert runs.file("one", "figures/a.png")[0].read_bytes() == b"png"
    refused = [
        "../secret.json", "figures/../../secret.json", "/etc/passwd", "out.json",
        "away/secret.json", "weights.safetensors", "figures", "figures//a.png", "lock",
        "./report.html", "missing.png", "..\\secret.json", "report.html\0.png", "",
        "a/" * 3000 + "x.html", "a" * 300 + ".html",
    ]  # fmt: skip
    for path in refused:
        with pytest.raises(InputError):
            runs.file("one", path)


def test_a_folder_that_is_not_there_has_no_runs(tmp_path: Path) -> None:
    assert Runs(tmp_path / "none").all() == []


def test_names_of_folders_are_shown_as_they_are() -> None:
    name = "<img src=x onerror=alert(1)>"
    run = Run(name, "failed", message="</pre><script>alert(2)</script>")
    assert "side by side" not in views.missing_page(name, "is not there")
    for text in (
        views.runs_rows([run]),
        views.run_page(run, ""),
        views.missing_page(name, name + "<script>"),
    ):
        assert "<img" not in text
        assert "<script" not in text
        assert "&lt;img src=x" in text
