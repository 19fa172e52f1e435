"""`airtune plan` where the plan minimises what is predicted, on the quadratic learner."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from airtune.commands.plan import plan_and_show
from airtune.errors import InputError
from airtune.scenario import Scenario
from rounds.test_federated import with_settings


@pytest.fixture
def file(small_scenario: Scenario, quadratic: object, tmp_path: Path) -> str:
    scenario = with_settings(
        small_scenario,
        cache=str(tmp_path / "cache"),
        planning__objective="energy-delay",
        planning__rounds="planned",
        training__rounds=30,
        training__server_optimizer="adam",
        training__learning_rate=0.1,
    )
    path = tmp_path / "scenario.yaml"
    path.write_text(yaml.safe_dump(scenario.to_dict()))
    return str(path)


def test_the_plan_shows_forecast_limit_and_bound(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "plan"
    plan_and_show(file, [], None, out, False, pareto=True)
    shown = capsys.readouterr().out
    for text in (
        "predicted product of time and energy to the target",
        "target loss",
        "none: no scores of other seeds",
        "From a pilot of 8 rounds without errors (clients)",
        "The bound",
        "Time against energy to the target",
        "MSE at full power, mean of drawn rounds",
        "as in the mean of drawn rounds, and that to the first places once besides",
    ):
        assert text in " ".join(shown.split()), text
    names = {path.name for path in out.iterdir()}
    assert {"plan.json", "pilot.json", "forecast.pdf", "pareto.pdf", "pareto.png"} <= names
    # the pilot serves a later plan
    again = [f"planning.pilot={out}", "planning.forecast_scores=[0,0,0,0,0,0,0,0,0.1]"]
    plan_and_show(file, again, None, None, True)
    document = json.loads(capsys.readouterr().out)
    first = json.loads((out / "plan.json").read_text())
    assert document["forecast"]["rounds"] == first["forecast"]["rounds"]
    assert document["forecast"]["limit_rounds"] > document["forecast"]["rounds"]
    assert document["pilot"]["by"] == str(out)
    assert document["bound"]["total"] > 0


def test_drives_that_stay_are_told(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    dear = ["array.drive=custom", "array.speed_mps=0.5", "array.drive_power_w=1000"]
    plan_and_show(file, [*dear, "clients.tx_power_dbm=40"], None, None, False)
    shown = " ".join(capsys.readouterr().out.split())
    assert "│ longest way in a round │ none │" in shown


@pytest.mark.slow
def test_the_front_as_json(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    plan_and_show(file, [], None, None, True, pareto=True)
    front = json.loads(capsys.readouterr().out)["pareto"]
    assert {"time", "energy"} <= {point["objective"] for point in front}
    assert all(point["plan"]["forecast"]["time_s"] == point["time_s"] for point in front)


def test_a_front_is_of_what_is_predicted(file: str) -> None:
    with pytest.raises(InputError, match=r"--pareto: needs .* planning\.objective"):
        plan_and_show(file, ["planning.objective=bound"], None, None, True, pareto=True)
