"""Planning problem files as the command reads and answers them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from airtune.commands.app import app
from airtune.commands.plan_problem import plan_file
from airtune.errors import InputError
from allocation.problems import random_problem


@pytest.fixture
def problem() -> dict[str, Any]:
    return random_problem(
        np.random.default_rng(7), 3, rounds=6, batch=8, steps=5, batch0=4, per_client=True,
        total=True,
    )  # fmt: skip


def test_a_file_becomes_a_json_answer(problem: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "problem.json"
    path.write_text(json.dumps(problem))
    answer = plan_file(path)
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    assert set(answer) >= {
        "rounds", "batch", "frequency_hz", "power_backoff", "bound", "latency_s", "energy_j",
        "certificate", "seconds",
    }  # fmt: skip
    assert set(answer["rounds"]) == {"pretraining", "finetuning"}
    parts = {"total", "initial_gap", "shift", "batch_noise", "air_noise", "bias"}
    assert set(answer["bound"]) == parts
    assert answer["bound"]["bias"] == 0
    components = {"compute", "uplink", "downlink", "pilots", "movement", "pretraining", "total"}
    assert set(answer["latency_s"]) == components
    assert set(answer["energy_j"]) == components | {"per_client"}
    again = plan_file(str(path))
    again.pop("seconds")
    answer.pop("seconds")
    assert again == answer


def test_the_command_prints_the_plan_for_people(problem: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "problem.json"
    path.write_text(json.dumps(problem))
    answer = plan_file(path)
    done = CliRunner().invoke(app, ["plan", "--problem", str(path)])
    assert done.exit_code == 0
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert str(answer["batch"]["clients"]) in lines["batches"]
    assert f"{answer['rounds']['finetuning']} fine-tuning" in lines["rounds"]
    for name, total in (("bound", answer["bound"]), ("latency", answer["latency_s"])):
        assert f"{total['total']:.6g}" in lines[name]
    parts = (x for line in lines.values() if line.startswith(" ") for x in line.split(", "))
    terms = {name: float(x) for name, x in (part.split() for part in parts)}
    assert terms == pytest.approx({n: answer["bound"][n] for n in terms}, rel=1e-3)
    assert sum(terms.values()) == pytest.approx(answer["bound"]["total"], rel=1e-3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not valid JSON"),
        ('{"mse_star": NaN}', "NaN is not a number"),
        ("[1, 2]", "a planning problem must be a JSON object"),
        ("\xff", "cannot be read"),
    ],
)
def test_a_file_that_is_no_problem(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "problem.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=message):
        plan_file(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.json: cannot be read"):
        plan_file(tmp_path / "nowhere.json")
