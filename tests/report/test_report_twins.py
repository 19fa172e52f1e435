"""Whose costs figures are stands wherever they are shown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from airtune.commands.app import app
from airtune.report import twins

TWIN = ["--set", "costs.model=openllama-3b-qv"]
SAID = "costs of a twin: openllama-3b-qv"


def written(scenario: Any, name: str) -> str:
    import yaml

    Path(name).write_text(yaml.safe_dump(scenario.to_dict() | {"name": "s"}))
    return name


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def scenario(small_scenario: Any, quadratic: Any, tmp_path: Path, monkeypatch: Any) -> str:
    monkeypatch.chdir(tmp_path)
    changes = {"schemes": ("ideal", "fixed"), "plan": "own"}
    return written(small_scenario.model_copy(update=changes), "s.yaml")


def test_page_tables_and_results_of_a_comparison_name_the_twin(scenario: str) -> None:
    shown = run("compare", scenario, *TWIN, "--out", "run")
    assert SAID in " ".join(shown.split())
    results = json.loads(Path("run/results.json").read_text())
    assert results["cost_twin"] == {
        "name": "openllama-3b-qv",
        "parameters": 3_426_473_600,
        "entries": 2_662_400,
        "matrices": 104,
    }
    page = Path("run/report.html").read_text()
    captions = re.findall(r"<caption id=\"([a-z-]+)\">(.*?)</caption>", page)
    named = {name for name, caption in captions if SAID in caption}
    assert {"key-figures", "energy-table", "latency-table"} <= named
    assert "score-table" not in named
    for title in ("convergence", "energy", "latency"):
        start = page.index(f'<figure id="{title}"')
        assert f"C{SAID[1:]}." in page[start : page.index("</figure>", start)], title
    start = page.index('<figure id="antennas"')
    assert "twin" not in page[start : page.index("</figure>", start)]
    assert twins.EXPLAINED in page


def test_without_a_twin_nothing_is_said(scenario: str) -> None:
    shown = run("run", scenario, "--scheme", "ideal", "--out", "run")
    assert "twin" not in shown
    assert "cost_twin" not in json.loads(Path("run/results.json").read_text())
    page = Path("run/report.html").read_text()
    assert "twin" not in page.partition('<h2 id="setup">')[0]


@pytest.mark.slow
def test_a_run_and_its_plan_name_the_twin(scenario: str) -> None:
    shown = run("run", scenario, "--scheme", "fixed", *TWIN, "--out", "run")
    assert f"C{SAID[1:]}" in shown
    plan = run("plan", scenario, "--scheme", "fixed", *TWIN, "--out", "plan")
    assert f"C{SAID[1:]}." in " ".join(plan.split())
    assert json.loads(Path("plan/plan.json").read_text())["cost_twin"]["matrices"] == 104


@pytest.mark.slow
def test_a_sweep_over_twins_says_which_points_have_them(scenario: str) -> None:
    vary = "costs.model=none,openllama-3b-qv"
    shown = " ".join(run("sweep", scenario, "--vary", vary, "--out", "sweep").split())
    assert "Costs of a twin where a point names it: openllama-3b-qv." in shown
    plain, twinned = json.loads(Path("sweep/results.json").read_text())["points"]
    assert "cost_twin" not in plain
    assert twinned["cost_twin"]["name"] == "openllama-3b-qv"
    one, other = (point["schemes"]["fixed"] for point in (plain, twinned))
    assert one["final_loss"] == other["final_loss"]
    assert other["latency_s"]["uplink"] == pytest.approx(one["latency_s"]["uplink"] * 1331200 / 54)
    assert "where a point names it" in Path("sweep/report.html").read_text()


def test_an_unknown_twin_is_refused_before_any_work(scenario: str) -> None:
    command = ["compare", scenario, "--set", "costs.model=gpt", "--out", "run"]
    done = CliRunner().invoke(app, command)
    assert "costs.model = 'gpt': must be none, openllama-3b-qv" in str(done.exception)
    assert not Path("run").exists()
