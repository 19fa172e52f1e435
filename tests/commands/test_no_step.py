"""Commands whose rounds make no step: what they print, write and exit with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from airtune.commands.app import app
from airtune.report import sweep_page
from commands.test_divergence import Command, airtune, undrawn  # noqa: F401

GONE = ("--set", "faults.dropout.share=1")
LATE = ("--set", "faults.stragglers={share: 1, slowdown: 5, deadline: 2}")
SILENT = ("--set", "aggregation.truncation_db=300")


def entries() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("run/results.json").read_text())["schemes"]
    return found


def failures(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if line.startswith("airtune: failed")]


@pytest.mark.usefixtures("no_figures")
def test_a_run_in_which_nobody_is_heard_fails_and_says_so(airtune: Command) -> None:  # noqa: F811
    done = airtune("run", "--scheme", "fixed", *GONE)
    assert done.exit_code == 1, done.output
    left = "5 of 5 rounds without a step (nothing received)"
    assert failures(done.stderr) == [f"airtune: failed: fixed never made a step: {left}."]
    assert f"airtune: warning: fixed: {left} left the adapter as it was" in done.stderr
    assert "fixed: 5 rounds, no step" in done.stdout
    assert left in done.stdout
    entry = entries()["fixed"]
    assert (entry["rounds_without_step"], entry["rounds_not_finite"]) == (5, 0)
    assert (entry["never_stepped"], entry["never_stepped_seeds"]) == (True, [0])
    assert (entry["diverged"], entry["diverged_seeds"]) == (False, [])
    page = Path("run/report.html").read_text()
    assert f"{left} left the adapter as it was." in page
    assert '<span class="spread">no step</span>' in page
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airtune.study.compare.publish", lambda run: run.folder)
        again = CliRunner().invoke(app, ["resume", "run"])
        assert again.exit_code == 1, "the same run, the same end"
        assert len(failures(again.stderr)) == 1
        assert CliRunner().invoke(app, ["report", "run"]).exit_code == 0


@pytest.mark.usefixtures("undrawn")
def test_a_run_in_which_all_are_late_fails(airtune: Command) -> None:  # noqa: F811
    done = airtune("run", "--scheme", "movable", *LATE)
    assert done.exit_code == 1, done.output
    assert "movable never made a step: 5 of 5 rounds" in done.stderr


@pytest.mark.usefixtures("undrawn")
def test_some_rounds_without_a_step_are_said_and_are_no_failure(
    airtune: Command,  # noqa: F811
) -> None:
    done = airtune("run", "--scheme", "fixed", "--set", "faults.dropout.share=0.7")
    assert done.exit_code == 0, done.output
    lost = entries()["fixed"]["rounds_without_step"]
    assert lost == 1
    assert not failures(done.stderr)
    assert f"fixed: {lost} of 5 rounds without a step (nothing received) left" in done.stderr


@pytest.mark.usefixtures("undrawn")
def test_a_baseline_that_is_silent_is_a_result(airtune: Command) -> None:  # noqa: F811
    done = airtune("compare", "--schemes", "fixed,truncated", *SILENT)
    assert done.exit_code == 0, done.output
    found = {name: entry["never_stepped"] for name, entry in entries().items()}
    assert found == {"ideal": False, "fixed": False, "truncated": True}
    assert "truncated never made a step: 5 of 5 rounds without a step" in done.stdout
    assert entries()["truncated"]["rounds_to_target"] is None
    alone = CliRunner().invoke(
        app, ["run", "small.yaml", "--scheme", "truncated", *SILENT, "--out", "alone"]
    )
    assert alone.exit_code == 1, alone.output


@pytest.mark.usefixtures("undrawn")
def test_a_comparison_in_which_nobody_is_heard_fails(airtune: Command) -> None:  # noqa: F811
    done = airtune("compare", "--schemes", "fixed", "--json", *GONE)
    assert done.exit_code == 1, done.output
    assert {name: e["never_stepped"] for name, e in entries().items()} == {
        "ideal": True,
        "fixed": True,
    }
    assert json.loads(done.stdout)["target_loss"] is None
    assert [line.split()[2] for line in failures(done.stderr)] == ["ideal", "fixed"]
    told = CliRunner().invoke(app, ["resume", "run"])
    assert "and ideal itself never made a step: 5 of 5 rounds" in " ".join(told.stdout.split())


@pytest.mark.usefixtures("undrawn")
def test_a_sweep_goes_on_and_names_the_point(airtune: Command) -> None:  # noqa: F811
    done = airtune("sweep", "--vary", "faults.dropout.share=0,1", "--schemes", "fixed")
    assert done.exit_code == 1, done.output
    results = json.loads(Path("run/results.json").read_text())
    assert [p["schemes"]["fixed"]["never_stepped"] for p in results["points"]] == [False, True]
    assert "airtune: failed: point-01: ideal never made a step" in done.stderr
    assert "point-00" not in done.stderr.partition("failed")[2]
    assert "share 1: fixed never made a step" in sweep_page.render(results, [])


@pytest.mark.usefixtures("undrawn")
def test_seeds_without_any_step_are_listed(airtune: Command) -> None:  # noqa: F811
    """Of a single round everybody drops out in the second seed."""
    some = ("--set", "faults.dropout.share=0.7", "--set", "training.rounds=1")
    done = airtune("run", "--scheme", "fixed", "--set", "seeds=2", *some)
    assert done.exit_code == 1, done.output
    entry = entries()["fixed"]
    assert (entry["never_stepped"], entry["never_stepped_seeds"]) == (True, [1])
    assert entry["rounds_without_step"]["median"] == 0.5
    assert failures(done.stderr) == [
        "airtune: failed: fixed made no step in any round of seed 1 of 2."
    ]
