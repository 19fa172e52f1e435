"""Commands whose models diverge: what they print, write and exit with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from airtune.commands.app import app
from airtune.report import sweep_page
from airtune.scenario import Scenario

Command = Callable[..., Result]


@pytest.fixture
def airtune(
    small_scenario: Scenario, quadratic: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    Path("small.yaml").write_text(yaml.safe_dump(small_scenario.to_dict()))

    def command(name: str, *options: str) -> Result:
        return CliRunner().invoke(app, [name, "small.yaml", *options, "--out", "run"])

    return command


def diverging(scheme: str) -> tuple[str, str]:
    return "--set", f"training.learning_rates={{{scheme}: 1e300}}"


def flags() -> dict[str, bool]:
    schemes = json.loads(Path("run/results.json").read_text())["schemes"]
    return {name: entry["diverged"] for name, entry in schemes.items()}


def test_a_run_that_diverged_fails_and_says_so(airtune: Command) -> None:
    done = airtune("run", "--scheme", "fixed", *diverging("fixed"))
    assert done.exit_code == 1, done.output
    assert "fixed: 5 rounds, diverged" in done.stdout
    why = "its loss did not fall, and 5 of 5 rounds had no finite update or step."
    assert f"airtune: failed: fixed diverged: {why}" in done.stderr
    assert "warning: fixed, seed 0, round 1: the server's step was not finite" in done.stderr
    assert "warning: fixed: 5 of 5 rounds had no finite update or step" in done.stderr
    assert flags() == {"fixed": True}
    entry = json.loads(Path("run/results.json").read_text())["schemes"]["fixed"]
    assert (entry["rounds_not_finite"], entry["diverged_seeds"]) == (5, [0])
    assert "5 of 5 rounds had no finite update or step" in Path("run/report.html").read_text()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airtune.study.compare.publish", lambda run: run.folder)
        again = CliRunner().invoke(app, ["resume", "run"])
        assert again.exit_code == 1, "the same run, the same end"
        assert CliRunner().invoke(app, ["report", "run"]).exit_code == 0


def test_a_baseline_that_diverged_is_a_result(airtune: Command) -> None:
    done = airtune("compare", "--schemes", "fixed", *diverging("fixed"))
    assert done.exit_code == 0, done.output
    assert flags() == {"ideal": False, "fixed": True}
    document = json.loads(Path("run/results.json").read_text())
    fixed = document["schemes"]["fixed"]
    assert fixed["rounds_to_target"] is fixed["time_to_target_s"] is None
    assert fixed["energy_to_target_j"] is None
    assert fixed["final_loss"] == fixed["initial_loss"]
    assert "failed" not in done.stderr
    assert "fixed diverged: its loss did not fall" in done.stdout
    assert '<span class="spread">diverged</span></th>' in Path("run/report.html").read_text()


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out figures and page, which take seconds and which other tests look at."""
    monkeypatch.setattr("airtune.study.compare.publish", lambda run: run.folder / "report.html")
    monkeypatch.setattr("airtune.study.sweep.publish", lambda sweep: sweep.folder / "report.html")


@pytest.mark.usefixtures("undrawn")
def test_a_comparison_without_its_reference_fails(airtune: Command) -> None:
    done = airtune("compare", "--schemes", "movable,fixed", "--json", *diverging("ideal"))
    assert done.exit_code == 1, done.output
    assert flags() == {"ideal": True, "movable": False, "fixed": False}
    document = json.loads(done.stdout)
    assert document["target_loss"] is None
    assert (
        document["schemes"]["movable"]["final_loss"]
        < document["schemes"]["movable"]["initial_loss"]
    ), "the others have been finished"
    assert "airtune: failed: ideal diverged" in done.stderr


@pytest.mark.usefixtures("undrawn")
def test_a_sweep_goes_on_and_names_the_point(airtune: Command) -> None:
    rates = "training.learning_rate=0.3,1e300"
    done = airtune("sweep", "--vary", rates, "--schemes", "fixed")
    assert done.exit_code == 1, done.output
    results = json.loads(Path("run/results.json").read_text())
    points = results["points"]
    assert [p["schemes"]["fixed"]["diverged"] for p in points] == [False, True]
    page = sweep_page.render(results, [])
    assert "learning rate 1e+300: fixed diverged" in page
    assert '<span class="spread">diverged</span></th>' in page
    assert "airtune: failed: point-01: ideal diverged" in done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("airtune:")]
    assert not any("point-00" in line for line in said)
    assert "learning rate 1e+300: fixed diverged" in done.stdout


@pytest.mark.usefixtures("undrawn")
def test_a_sweep_in_which_baselines_diverge_is_done(airtune: Command) -> None:
    vary = ("--vary", "training.learning_rate=0.3,0.2")
    done = airtune("sweep", *vary, "--schemes", "fixed", *diverging("fixed"))
    assert done.exit_code == 0, done.output
    points = json.loads(Path("run/results.json").read_text())["points"]
    assert [p["schemes"]["fixed"]["diverged"] for p in points] == [True, True]
    assert [p["schemes"]["ideal"]["diverged"] for p in points] == [False, False]


@pytest.mark.usefixtures("undrawn")
def test_seeds_that_diverged_are_listed(airtune: Command, quadratic: Any, monkeypatch: Any) -> None:
    def prepare(scenario: Scenario, seed: int, progress: object = None) -> Any:
        broken = {(t, k): seed == 2 for t in range(1, 6) for k in range(3)}
        return quadratic(scenario, seed, broken=broken)

    monkeypatch.setattr("airtune.learning.learner.prepare", prepare)
    done = airtune("compare", "--schemes", "fixed", "--seeds", "2")
    assert done.exit_code == 1, "the reference diverged in one of the seeds"
    document = json.loads(Path("run/results.json").read_text())
    assert document["schemes"]["fixed"]["diverged_seeds"] == [1]
    assert document["schemes"]["fixed"]["rounds_not_finite"]["p90"] > 0
    assert "ideal diverged in seed 1 of 2: its loss" in done.stderr
