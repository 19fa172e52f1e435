"""Planning problem files: what is read, what is refused, what comes back."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from airtune.cli import app
from airtune.commands.plan_problem import plan_file, plan_problem
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
    told = {name: float(x) for name, x in (part.split() for part in parts)}
    assert told == pytest.approx({n: answer["bound"][n] for n in told}, rel=1e-3)
    assert sum(told.values()) == pytest.approx(answer["bound"]["total"], rel=1e-3)


def test_shared_energy_is_booked_by_component(problem: dict[str, Any]) -> None:
    problem.update(downlink_j=0.03, pilot_j=0.02, energy_budget_j=None, latency_budget_s=None)
    answer = plan_problem(problem)
    rounds = answer["rounds"]["finetuning"]
    assert answer["energy_j"]["downlink"] == pytest.approx(rounds * 0.03)
    assert answer["energy_j"]["pilots"] == pytest.approx(rounds * 0.02)
    assert answer["energy_j"]["movement"] == pytest.approx(rounds * problem["move_j"])


def test_whole_numbers_may_be_written_as_floats(problem: dict[str, Any]) -> None:
    expected = plan_problem(problem)["bound"]
    problem["rounds_max"] = float(problem["rounds_max"])
    problem["clients"][0]["energy_budget_j"] = problem["clients"][0].pop("energy_budget_j")
    assert plan_problem(problem)["bound"] == expected


def changed(problem: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    copied = copy.deepcopy(problem)
    target: Any = copied
    *parents, last = path.split("/")
    for part in parents:
        target = target[int(part) if part.isdigit() else part]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return copied


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("rounds_max", 0, r"^rounds_max = 0: input should be greater than or equal to 1"),
        ("rounds_max", 2.5, r"^rounds_max = 2\.5: .* integer"),
        ("rounds_max", True, r"^rounds_max = true: .* integer"),
        ("mse_star", -0.1, r"^mse_star = -0\.1: .* greater than or equal to 0"),
        ("mse_star", "0.1", r'^mse_star = "0\.1": .* number'),
        ("mse_star", ..., r"^mse_star: is missing"),
        ("latency_budget_s", -1, r"^latency_budget_s = -1"),
        ("uplink", 1.0, r"^uplink: is not a known field"),
        ("bound/zeta", 1.0, r"^bound\.zeta: is not a known field"),
        ("bound/mu", 0, r"^bound\.mu = 0: .* greater than 0"),
        ("bound/eta", 1e6, r"^bound\.eta \* bound\.mu = .*: must be <= 1"),
        ("bound/eta0", 1e6, r"^bound\.eta0 \* bound\.mu0 = .*: must be <= 1"),
        ("clients", [], r"^clients = \[\]: .* at least 1 item"),
        ("clients/1/batch_max", 0, r"^clients\[1\]\.batch_max = 0"),
        ("clients/2/f_min", 0, r"^clients\[2\]\.f_min = 0: .* greater than 0"),
        ("clients/0/f_max", 1.0, r"^clients\[0\]\.f_max = 1: must be >= clients\[0\]\.f_min = 2"),
        ("clients/0/omega", 0.9, r"^clients\[\]\.omega add up to .*: they must add up to 1"),
        ("clients/0/tx_power_w", None, r"^clients\[0\]\.tx_power_w = null"),
        ("server/f_max", 1.0, r"^server\.f_max = 1: must be >= server\.f_min"),
        ("server/rounds_max", -1, r"^server\.rounds_max = -1"),
    ],
)
def test_a_wrong_field_is_named(
    problem: dict[str, Any], path: str, value: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        plan_problem(changed(problem, path, value))


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


def test_free_computing_and_weightless_clients(problem: dict[str, Any]) -> None:
    problem["clients"][0]["kappa"] = 0.0
    problem["clients"][1]["omega"] += problem["clients"][2]["omega"]
    problem["clients"][2]["omega"] = 0.0
    answer = plan_problem(problem)
    assert answer["batch"]["clients"][2] == 1
    radio = answer["power_backoff"] * problem["clients"][0]["tx_power_w"] * problem["uplink_s"]
    spent = answer["energy_j"]["per_client"][0]
    assert spent == pytest.approx(answer["rounds"]["finetuning"] * radio)


def test_equal_weights_give_the_larger_batches_to_the_cheaper_clients() -> None:
    rng = np.random.default_rng(12)
    problem = random_problem(
        rng, 4, rounds=5, batch=12, steps=2, batch0=2, per_client=False, total=True
    )
    for k, client in enumerate(problem["clients"]):
        client.update(omega=0.25, batch_max=12, cycles_per_sample=1e8, kappa=1e-28 * (1 + k))
    batches = plan_problem(problem)["batch"]["clients"]
    assert batches == sorted(batches, reverse=True)
