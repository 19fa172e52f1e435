"""What a tracker is told of: every round once, also over an interruption."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest
from typer.testing import CliRunner

from airtune import record
from airtune.commands import run as command
from airtune.commands.app import app
from airtune.errors import InputError
from airtune.record import open_folder
from airtune.registry import TRACKERS
from airtune.scenario import Scenario
from airtune.study.tracking import figures_of, parameters

SCHEMES = ("ideal", "fixed")


class Recorded:
    """Keeps what it is told, by cell; a cell that is begun again begins anew."""

    cells: ClassVar[dict[str, dict]] = {}
    begun: ClassVar[list[str]] = []
    fail_at: ClassVar[int | None] = None

    def __init__(self, folder: Path) -> None:
        assert folder.is_dir()
        self.folder = folder

    def begin(self, cell) -> None:
        self.begun.append(cell.name)
        self.now = self.cells[cell.name] = {"cell": cell, "rounds": [], "ends": []}

    def log(self, round_index, figures) -> None:
        if round_index == self.fail_at:
            print("about to fail")
            raise SystemExit("no space left")
        self.now["rounds"].append((round_index, dict(figures)))

    def end(self, results) -> None:
        self.now["ends"].append(results)


@pytest.fixture
def recorded(quadratic, no_figures):
    TRACKERS.add("recorded", Recorded)
    Recorded.cells.clear()
    Recorded.begun.clear()
    yield Recorded
    Recorded.fail_at = None
    TRACKERS.remove("recorded")


@pytest.fixture
def scenario(small_scenario: Scenario) -> Scenario:
    return small_scenario.model_copy(update={"schemes": SCHEMES, "name": "two-cells"})


def start(scenario: Scenario, folder: Path, track: str | None, interrupted=lambda: False) -> None:
    assert command.start("compare", scenario, folder, True, interrupted, track)


def rounds_of(name: str) -> list[int]:
    return [index for index, _ in Recorded.cells[name]["rounds"]]


def metrics(folder: Path, scheme: str) -> list[dict]:
    """Lines of a cell but for what differs from run to run."""
    lines = (folder / scheme / "seed-0/metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(x).items() if not k.endswith("_wall_s")} for x in lines]


def names_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_a_tracker_is_told_settings_rounds_and_results(recorded, scenario, tmp_path) -> None:
    start(scenario, tmp_path / "run", "recorded")
    assert recorded.begun == ["ideal/seed-0", "fixed/seed-0"]
    results = json.loads((tmp_path / "run/results.json").read_text())["schemes"]["fixed"]
    told = recorded.cells["fixed/seed-0"]
    cell = told["cell"]
    assert (cell.study, cell.group, cell.scheme, cell.seed) == ("two-cells", "run", "fixed", 0)
    assert cell.parameters["clients.count"] == 3
    assert json.loads(cell.parameters["schemes"]) == list(SCHEMES)
    assert rounds_of("fixed/seed-0") == list(range(6))
    lines = (tmp_path / "run/fixed/seed-0/metrics.jsonl").read_text().splitlines()
    for line, (index, figures) in zip(map(json.loads, lines), told["rounds"], strict=True):
        assert line["round"] == index
        for name in ("loss", "mse_db", "time_s", "energy_j", "transmitted", "share"):
            assert figures.get(name) == line.get(name), name
        for part, joules in line.get("round_energy_j", {}).items():
            assert figures[f"round_energy_j/{part}"] == joules
    (final,) = told["ends"]
    assert final["final/final_loss"] == results["final_loss"]
    assert final["final/energy_j/uplink"] == results["energy_j"]["uplink"]
    assert final["final/targets/90/time_s"] == results["targets"]["90"]["time_s"]


def test_tracking_changes_no_file_of_a_cell(recorded, scenario, tmp_path) -> None:
    start(scenario, tmp_path / "one", "recorded")
    start(scenario, tmp_path / "two", None)
    for scheme in SCHEMES:
        assert metrics(tmp_path / "one", scheme) == metrics(tmp_path / "two", scheme)
        cells = [tmp_path / run / scheme / "seed-0" for run in ("one", "two")]
        kept = [{p.name: p.read_bytes() for p in cell.rglob("*") if p.is_file()} for cell in cells]
        differ = {n for n in kept[0].keys() | kept[1].keys() if kept[0].get(n) != kept[1].get(n)}
        # Wall times, and digests of them.
        assert differ <= {"metrics.jsonl", "digests.json", "state.json", "previous.json"}
        assert len(kept[0].keys() - differ) >= 2
    results = [json.loads((tmp_path / run / "results.json").read_text()) for run in ("one", "two")]
    for document in results:
        del document["environment"]
    assert results[0] == results[1]
    more = names_in(tmp_path / "one") ^ names_in(tmp_path / "two")
    assert more == {"track", "track/recorded", "track/recorded.json"}


def test_a_resumed_run_has_every_round_once(recorded, scenario, tmp_path) -> None:
    seen = iter(range(100))
    with pytest.raises(KeyboardInterrupt):
        start(scenario, tmp_path / "run", "recorded", lambda: next(seen) >= 7)
    assert recorded.cells["ideal/seed-0"]["ends"] != [None]
    assert recorded.cells["fixed/seed-0"]["ends"] == [None]
    assert len(rounds_of("fixed/seed-0")) < 6
    assert command.resume(tmp_path / "run", True, lambda: False)
    assert recorded.begun == ["ideal/seed-0", "fixed/seed-0", "fixed/seed-0"]
    assert rounds_of("fixed/seed-0") == list(range(6))
    assert len(recorded.cells["fixed/seed-0"]["ends"]) == 1


def test_a_tracker_that_fails_does_not_end_the_run(recorded, scenario, tmp_path, capsys) -> None:
    recorded.fail_at = 2
    start(scenario, tmp_path / "run", "recorded")
    said = capsys.readouterr()
    assert json.loads(said.out)["schemes"].keys() == set(SCHEMES)
    assert said.err.count("--track recorded failed (SystemExit: no space left)") == 1
    assert recorded.begun == ["ideal/seed-0"], "it is left alone after a failure"
    recorded.fail_at = None
    assert command.resume(tmp_path / "run", True, lambda: False)
    for name in ("ideal/seed-0", "fixed/seed-0"):
        assert rounds_of(name) == list(range(6))
        assert recorded.cells[name]["ends"][0]["final/rounds"] == 5
    assert command.resume(tmp_path / "run", True, lambda: False)
    assert len(recorded.begun) == 3, "what is told in full is not told again"


def test_a_folder_that_is_a_link_is_not_written(recorded, scenario, tmp_path, capsys) -> None:
    seen = iter(range(100))
    with pytest.raises(KeyboardInterrupt):
        start(scenario, tmp_path / "run", "recorded", lambda: next(seen) >= 1)
    other = tmp_path / "other"
    (tmp_path / "run/track").rename(other)
    (tmp_path / "run/track").symlink_to(other)
    recorded.begun.clear()
    assert command.resume(tmp_path / "run", True, lambda: False)
    assert not recorded.begun
    assert "--track recorded failed" in capsys.readouterr().err


@pytest.mark.parametrize("where", ["", "ideal", "ideal/seed-0"])
def test_a_link_out_of_the_folder_ends_the_tracking_before_anything_is_removed(
    recorded, scenario, tmp_path, capsys, where
) -> None:
    seen = iter(range(100))
    with pytest.raises(KeyboardInterrupt):
        start(scenario, tmp_path / "run", "recorded", lambda: next(seen) >= 1)
    other, place = tmp_path / "other", tmp_path / "run/track/recorded" / where
    other.mkdir()
    if place.is_dir():
        place.rmdir()
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(other)
    recorded.begun.clear()
    assert command.resume(tmp_path / "run", True, lambda: False)
    assert not recorded.begun
    assert "is a link" in " ".join(capsys.readouterr().err.split())


def test_a_link_within_the_folder_of_the_tracker_is_its_own(recorded, scenario, tmp_path) -> None:
    seen = iter(range(100))
    with pytest.raises(KeyboardInterrupt):
        start(scenario, tmp_path / "run", "recorded", lambda: next(seen) >= 1)
    (tmp_path / "run/track/recorded/latest").symlink_to("of-the-cell")
    assert command.resume(tmp_path / "run", True, lambda: False)
    assert rounds_of("fixed/seed-0") == list(range(6))


@pytest.mark.parametrize("stop", [1, 1000])
def test_a_run_is_resumed_where_its_tracker_is_no_longer_there(
    recorded, scenario, tmp_path, capsys, stop
) -> None:
    seen = iter(range(10**6))
    try:
        start(scenario, tmp_path / "run", "recorded", lambda: next(seen) >= stop)
    except KeyboardInterrupt:
        assert stop == 1
    (tmp_path / "run/track/recorded.json").unlink(missing_ok=True)
    TRACKERS.remove("recorded")
    try:
        assert command.resume(tmp_path / "run", True, lambda: False)
    finally:
        TRACKERS.add("recorded", Recorded)
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("--track recorded failed (InputError: --track = 'recorded': must be") == 1


def test_a_tracker_whose_folder_is_removed_is_told_all_again(recorded, scenario, tmp_path) -> None:
    start(scenario, tmp_path / "run", "recorded")
    recorded.cells.clear()
    (tmp_path / "run/track/recorded").rmdir()
    assert command.resume(tmp_path / "run", True, lambda: False)
    for name in ("ideal/seed-0", "fixed/seed-0"):
        assert rounds_of(name) == list(range(6))
    noted = json.loads((tmp_path / "run/track/recorded.json").read_text())
    assert noted["cells"] == ["fixed/seed-0", "ideal/seed-0"]


def test_trackio_is_kept_from_other_machines(monkeypatch, tmp_path) -> None:
    class Run:
        def _get_username(self) -> str:
            raise AssertionError("it asks who the user is")

    package, runs, utils = (ModuleType(f"trackio{x}") for x in ("", ".run", ".utils"))
    runs.Run, utils.TRACKIO_DIR = Run, tmp_path
    for module in (package, runs, utils):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setenv("TRACKIO_DIR", "elsewhere")
    sends = ("TRACKIO_BUCKET_ID", "TRACKIO_DATASET_ID", "SPACE_REPO_NAME", "TRACKIO_SPACE_ID")
    for variable in sends:
        monkeypatch.setenv(variable, "me/mine")
    TRACKERS["trackio"](tmp_path)
    assert not any(variable in os.environ for variable in sends)
    assert Run()._get_username() is None


def test_an_unknown_tracker_is_refused_before_any_work(scenario, tmp_path) -> None:
    with pytest.raises(InputError, match="--track = 'paper': must be one of tensorboard, "):
        start(scenario, tmp_path / "run", "paper")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "typed", [["compare", "quickstart"], ["run", "quickstart", "--scheme", "fixed"]]
)
def test_the_option_is_one_of_compare_and_run(typed, tmp_path) -> None:
    done = CliRunner().invoke(app, [*typed, "--track", "paper", "--out", str(tmp_path / "run")])
    assert isinstance(done.exception, InputError)
    assert str(done.exception).startswith("--track = 'paper': must be one of ")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["tensorboard", "trackio", "mlflow", "wandb"])
def test_a_missing_library_is_refused_with_what_to_install(
    name, scenario, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("airtune.track.base.find_spec", lambda package: None)
    with pytest.raises(InputError, match=rf"--track {name}: .* pip install 'airtune\[{name}\]'"):
        start(scenario, tmp_path / "run", name)
    assert not (tmp_path / "run").exists()


def test_a_run_that_cannot_begin_leaves_no_folder(recorded, scenario, tmp_path) -> None:
    budget = scenario.budget.model_copy(update={"latency_s": 1e-9})
    with pytest.raises(InputError):
        start(scenario.model_copy(update={"budget": budget}), tmp_path / "run", "recorded")
    assert not (tmp_path / "run").exists()


def test_the_run_folder_names_its_tracker(scenario, tmp_path) -> None:
    run = record.create(tmp_path / "run", scenario, "compare", {"track": "mlflow"})
    assert run.track == "mlflow"
    assert open_folder(tmp_path / "run") == run
    assert record.create(tmp_path / "plain", scenario, "compare").track is None


def test_settings_are_flat_and_plain() -> None:
    flat = parameters(Scenario().to_dict())
    assert flat["planning.overlap"] is True
    assert all(isinstance(value, bool | int | float | str) for value in flat.values())
    assert all("." in name or name in Scenario().to_dict() for name in flat)


def test_figures_are_finite_numbers() -> None:
    line = {"round": 1, "loss": math.nan, "mse_db": math.inf, "clients": [0, 1], "missing": [1]}
    nested = {"domains": {"sums": {"loss": 0.5}}, "gain_map": {"shape": [1, 2], "top_db": 3.0}}
    assert figures_of(line | nested) == {"missing": 1, "domains/sums/loss": 0.5}
