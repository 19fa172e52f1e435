"""`airtune plan SCENARIO` as a user types it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_the_plan_is_the_one_that_a_run_executes(compared, airtune: Run, tiny, tmp_path) -> None:
    folder, _ = compared
    out = tmp_path / "plan"
    done = airtune("plan", "quickstart", *tiny, "--json", "--out", out)
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    executed = json.loads((folder / "movable" / "seed-0" / "plan.json").read_text())
    own = {"radio", "schema_version", "sha256"}
    assert {name: plan[name] for name in executed if name not in own} == {
        name: executed[name] for name in executed if name not in own
    }
    assert plan["radio"]["positions"] == executed["radio"]["positions"]
    assert plan["radio"]["worst_gain"] == pytest.approx(1 / plan["radio"]["mse_star"])
    assert sum(plan["bound"][part] for part in plan["bound"] if part != "total") == pytest.approx(
        plan["bound"]["total"]
    )
    assert plan["margins"]["tightest"] in plan["margins"]["bound_change"]
    assert json.loads((out / "plan.json").read_text()) == {
        name: value for name, value in plan.items() if name != "files"
    }
    assert plan["schema_version"] == executed["schema_version"]
    for path in plan["files"]:
        assert Path(path).stat().st_size > 0
    assert {Path(path).name for path in plan["files"]} == {
        "bound-rounds.pdf",
        "bound-rounds.png",
        "plan.json",
    }


@pytest.mark.slow
def test_the_plan_reads_well_and_says_what_limits_it(airtune: Run, tiny, tmp_path) -> None:
    done = airtune(
        "plan", "quickstart", *tiny, "--scheme", "digital", "--out", tmp_path / "plan",
        "--set", "planning.rounds=planned", "--set", "training.rounds=40",
        "--set", "budget.latency_s=60",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for words in ("'digital'", "rounds T", "power back-off", "Change of data", "What limits it"):
        assert words in done.stdout
    assert str(tmp_path / "plan" / "bound-rounds.png") in done.stdout


@pytest.mark.slow
def test_pretraining_is_done_as_planned(airtune: Run, tiny, tmp_path) -> None:
    out = tmp_path / "run"
    done = airtune(
        "run", "quickstart", *tiny, "--scheme", "movable", "--out", out,
        "--set", "planning.pretraining=planned", "--set", "pretraining.charge=true",
        "--set", "pretraining.steps=6", "--set", "pretraining.batch_size=4",
        "--set", "bound.sigma0_sq=400", "--set", "budget.latency_s=2",
        "--set", f"cache={tmp_path / 'cache'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    plan = json.loads((out / "movable" / "seed-0" / "plan.json").read_text())
    (facts,) = (tmp_path / "cache").glob("small-*/airtune.json")
    made = json.loads(facts.read_text())["pretraining"]
    assert made["steps"] == plan["rounds"]["pretraining"]
    assert made["batch_size"] == plan["batch"]["pretraining"]
    assert 0 <= made["steps"] < 6
