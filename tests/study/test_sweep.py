"""Sweeps on a problem with a known answer: every point a comparison, resumed, refused."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

from airtune import record
from airtune.commands import run
from airtune.errors import InputError
from airtune.report import sweep_figures
from airtune.scenario import Scenario
from airtune.study import cells, compare, sweep


@pytest.fixture
def scenario(small_scenario: Scenario) -> Scenario:
    return small_scenario.model_copy(update={"schemes": ("movable", "fixed"), "seeds": 2})


def swept(scenario: Scenario, folder: Path, *vary: str) -> sweep.Sweep:
    made = sweep.create(scenario, sweep.parse_axes(scenario, vary), folder)
    sweep.execute(made)
    return made


def without_history(entry: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in entry.items() if name != "history"}


def test_every_point_is_a_comparison_of_its_own(scenario, quadratic, tmp_path) -> None:
    made = swept(scenario, tmp_path / "sweep", "clients.tx_power_dbm=-20,0", "array.antennas=2")
    results = sweep.summarise(made)
    assert results == record.read_json(made.folder / "results.json")
    settings = [tuple(point["settings"].values()) for point in results["points"]]
    assert settings == [(-20.0, 2), (0.0, 2)]
    changed = scenario.model_copy(
        update={
            "clients": scenario.clients.model_copy(update={"tx_power_dbm": 0.0}),
            "array": scenario.array.model_copy(update={"antennas": 2}),
        }
    )
    folder = record.create(tmp_path / "alone", compare.check(changed, "compare"), "compare")
    cells.execute(folder)
    alone = compare.summarise(folder)
    point = results["points"][1]
    assert point["finished"] == point["cells"] == 6
    assert point["schemes"] == {k: without_history(v) for k, v in alone["schemes"].items()}
    for name in ("headline", "paired", "target_loss"):
        assert point[name] == alone[name]
    assert len(alone["paired"]["schemes"]["fixed"]["final_loss"]["differences"]) == 2


def test_points_share_one_learner_for_each_seed(scenario, quadratic, tmp_path, monkeypatch) -> None:
    made: list[int] = []

    def prepare(settings: Scenario, seed: int, progress: object = None) -> object:
        made.append(seed)
        return quadratic(settings, seed)

    monkeypatch.setattr("airtune.learning.learner.prepare", prepare)
    swept(scenario, tmp_path / "radio", "array.antennas=2,3", "training.learning_rate=0.1,0.3")
    assert made == [1, 2]
    made.clear()
    swept(scenario, tmp_path / "data", "clients.count=2,3")
    assert made == [1, 1, 2, 2]


def test_a_point_resumes_where_it_stopped(scenario, quadratic, tmp_path) -> None:
    whole = swept(scenario, tmp_path / "whole", "array.antennas=2,3")
    part = sweep.create(scenario, whole.axes, tmp_path / "part")

    class Stop:
        def __init__(self, rounds: int) -> None:
            self.left = rounds

        def round_done(self, *_: object) -> None:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt

        def preparing(self, *_: object) -> None: ...
        def cell_done(self, *_: object) -> None: ...
        def point_started(self, *_: object) -> None: ...

    for rounds in (3, 9, 20):
        with pytest.raises(KeyboardInterrupt):
            sweep.execute(part, Stop(rounds))
    opened = sweep.open_sweep(record.open_folder(part.folder))
    assert opened.axes == whole.axes
    sweep.execute(opened)
    assert sweep.summarise(opened)["points"] == sweep.summarise(whole)["points"]


@pytest.mark.parametrize("begun", [False, True])
def test_a_file_of_a_point_stays_as_it_was(scenario, quadratic, tmp_path, begun: bool) -> None:
    """Named by a value of an axis and not by the scenario: also before its point has begun."""
    files = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for file in files:
        file.write_text("Once upon a time.\n")
    vary = f"data.pretraining_corpus={files[0]},{files[1]}"
    made = sweep.create(scenario, sweep.parse_axes(scenario, [vary]), tmp_path / "sweep")
    if begun:  # by a version that has no digests in the head
        for point in made.points:
            record.create_within(point.run)
        document = record.read_json(made.folder / "run.json")
        document["swept_files"] = []
        document = {name: x for name, x in document.items() if name != "sha256"}
        record.write_json(made.folder / "run.json", document)
    for change in ("has been changed", "is gone"):
        if change == "is gone":
            files[1].unlink()
        else:
            files[1].write_text("Once upon another time.\n")
        with (
            warnings.catch_warnings(action="ignore"),
            pytest.raises(InputError, match=rf"pretraining_corpus = .*b\.txt: .*{change}"),
        ):
            run.resume(made.folder, False, lambda: False)
    assert not any(cell.folder.exists() for cell in made.cells)


def test_a_report_tells_what_its_figures_lack(scenario, quadratic, tmp_path, capsys) -> None:
    from airtune.commands.run import rebuild_reports

    made = swept(scenario, tmp_path / "sweep", "budget.latency_s=1e-6,1000")
    rebuild_reports([made.folder])
    assert capsys.readouterr().err == ""  # no plan keeps the first budget, which is told elsewhere
    lost = made.points[1].run.cells[-1]
    lost.finished_file.unlink()
    rebuild_reports([made.folder])
    said = capsys.readouterr()
    cells = 2 * len(made.points[1].run.cells)
    where = lost.folder.relative_to(made.folder)
    assert f": 1 of {cells} cells are unfinished, the first is {where}; " in said.err
    assert said.err.endswith(f"go on with: airtune resume {made.folder}\n")
    assert said.out.splitlines()[-1].endswith("report.html")


def test_points_that_cannot_keep_a_budget_are_told(scenario, quadratic, tmp_path) -> None:
    made = swept(scenario, tmp_path / "sweep", "budget.latency_s=1e-6,1000")
    first, second = sweep.summarise(made)["points"]
    assert "raise budget.latency_s" in first["infeasible"][0]
    assert first["finished"] == 0
    assert second["finished"] == 6
    page = sweep.publish(made).read_text()
    assert "raise budget.latency_s" in page
    axes = sweep.parse_axes(scenario, ["budget.latency_s=1e-6"])
    (tmp_path / "empty").mkdir()
    for name, stays in (("none", False), ("empty", True)):
        with (
            pytest.raises(InputError, match="raise budget"),
            sweep.begin(scenario, axes, tmp_path / name) as none,
        ):
            sweep.execute(none, locked=True)
            sweep.summarise(none)
        assert (tmp_path / name).exists() is stays
    assert not list((tmp_path / "empty").iterdir())


def test_damage_is_no_budget_that_cannot_be_kept(scenario, quadratic, tmp_path) -> None:
    made = swept(scenario, tmp_path / "sweep", "array.antennas=2,3")
    cell = made.cells[0]
    for name in ("finished.json", "checkpoint/state.json", "checkpoint/previous.json"):
        if name == "finished.json":
            (cell.folder / name).unlink()
        else:
            (cell.folder / name).write_text("{")
    with pytest.raises(InputError, match="checkpoint"):
        sweep.execute(sweep.open_sweep(record.open_folder(made.folder)))
    assert not list(made.folder.rglob("infeasible-*.json"))


def test_a_link_for_a_point_is_refused(scenario, quadratic, tmp_path) -> None:
    made = swept(scenario, tmp_path / "sweep", "array.antennas=2,3")
    point = made.points[1].run.folder
    outside = point.rename(tmp_path / "outside")
    (outside / "infeasible-0.json").write_text("{}")
    for path in outside.rglob("finished.json"):
        path.unlink()
    before = {path: path.stat().st_mtime_ns for path in outside.rglob("*")}
    point.symlink_to(outside)
    with pytest.raises(InputError, match="is a link"):
        sweep.execute(sweep.open_sweep(record.open_folder(made.folder)))
    assert {path: path.stat().st_mtime_ns for path in outside.rglob("*")} == before


def test_figures_are_one_column_wide_and_the_page_holds_them(scenario, quadratic, tmp_path) -> None:
    made = swept(scenario, tmp_path / "sweep", "aggregation.normalise=block,global")
    sweep.summarise(made)
    page = sweep.publish(made).read_text()
    files = sorted((made.folder / "figures").glob("*.pdf"))
    names = [path.stem for path in files]
    assert "final-loss-over-aggregation.normalise" in names
    assert "mse-db-over-aggregation.normalise" in names
    for path in files:
        box = path.read_bytes().split(b"/MediaBox [")[1].split(b"]")[0].split()
        assert float(box[2]) == pytest.approx(3.5 * 72, abs=0.01)
        assert path.with_suffix(".png").is_file()
    assert page.count("<figure>") == len(files)
    assert "normalise global" in page
    assert "http" not in page.replace("http-equiv", "")


def test_axis_positions() -> None:
    assert sweep_figures.positions([1, 2, 8]) == ([1.0, 2.0, 8.0], True, True)
    assert sweep_figures.positions([0.0, 5.0]) == ([0.0, 5.0], True, False)
    assert sweep_figures.positions(["a", "b"]) == ([0.0, 1.0], False, False)
    assert sweep_figures.positions([[1, 2], [3, 4]]) == ([0.0, 1.0], False, False)


@pytest.mark.parametrize(
    ("vary", "told"),
    [
        ("array.antenas=2", "did you mean array.antennas"),
        ("array.antennas=0,2", "array.antennas = 0"),
        ("array.antennas=2,2", "appears twice"),
        ("array.antennas=", "names no value"),
        ("array.antennas", "must have the form"),
        ("array.region=[2,2],[4", "not valid YAML"),
        ("array={antennas: 2}", "not a section"),
        ("schemes=movable", "use --schemes"),
        ("seed=1,2", "use --seeds"),
        ("seed.a=1", "seed is no section"),
    ],
)
def test_bad_values_are_refused(scenario: Scenario, vary: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        sweep.parse_axes(scenario, [vary])


def test_axes_are_read_as_yaml_and_validated(scenario: Scenario) -> None:
    texts = [
        "array.region=[2,2],[4, 0]",
        "radio.bandwidth_hz=1e6,2000000",
        "budget.latency_s=null,5",
    ]
    region, bandwidth, latency = sweep.parse_axes(scenario, texts)
    assert region.values == ([2.0, 2.0], [4.0, 0.0])
    assert bandwidth.values == (1e6, 2e6)
    assert latency.values == (None, 5.0)
    with pytest.raises(InputError, match="varied twice"):
        sweep.parse_axes(scenario, ["array.antennas=2", "array.antennas=3"])


def test_a_value_may_need_another_varied_setting(scenario: Scenario) -> None:
    """Concurrency below the number of clients is refused while everybody is selected."""
    concurrency, selection = "clients.concurrency=1,2", "clients.selection=random,best-channel"
    for texts in ([concurrency, selection], [selection, concurrency]):
        axes = sweep.parse_axes(scenario, texts)
        assert {axis.setting: axis.values for axis in axes} == {
            "clients.concurrency": (1, 2),
            "clients.selection": ("random", "best-channel"),
        }
    with pytest.raises(InputError, match=r"--vary clients\.concurrency=1: .*selection = all"):
        sweep.parse_axes(scenario, [concurrency, "array.antennas=2,3"])


def test_damaged_sweep_folder_is_refused(scenario, tmp_path) -> None:
    made = sweep.create(scenario, sweep.parse_axes(scenario, ["array.antennas=2"]), tmp_path / "s")
    (made.folder / "run.json").write_text(json.dumps({"kind": "sweep", "vary": 3}))
    with pytest.raises(InputError, match="does not say what is varied"):
        sweep.open_sweep(record.open_folder(made.folder))


@pytest.mark.parametrize("values", [list(range(2, 12)), []])
def test_a_grid_without_end_is_refused_before_it_is_made(scenario, tmp_path, values) -> None:
    settings = ("array.antennas", "training.rounds", "clients.count", "threads", "model.lora.rank")
    vary = [{"setting": name, "values": values} for name in settings]
    facts = {"vary": vary, "swept_files": []}
    folder = record.create(tmp_path / "s", scenario, "sweep", facts).folder
    with pytest.raises(InputError, match=r"run\.json: damaged; .* must make 1 to 10000 points"):
        sweep.open_sweep(record.open_folder(folder))


def test_terminal_shows_every_point_and_the_progress(scenario, quadratic, tmp_path, capsys) -> None:
    from rich.console import Console

    from airtune.report.sweep_table import terminal_table
    from airtune.study.sweep_progress import SweepProgress

    one_seed = scenario.model_copy(update={"seeds": 1})
    axes = sweep.parse_axes(one_seed, ["array.antennas=2,3"])
    made = sweep.create(one_seed, axes, tmp_path / "sweep")
    with SweepProgress(made) as progress:
        sweep.execute(made, progress)
    assert "6/6" in capsys.readouterr().err
    stopped = sweep.create(one_seed, axes, tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt), SweepProgress(stopped, lambda: True) as progress:
        sweep.execute(stopped, progress)
    console = Console(width=110, record=True)
    console.print(terminal_table(sweep.summarise(made)))
    text = console.export_text()
    assert "antennas 2" in text
    assert "antennas 3" in text
    assert text.count("movable") == 2
