"""Planning problems: what is read, what is refused, what comes back."""

import copy
from typing import Any

import numpy as np
import pytest

from airtune.errors import InputError
from airtune.planning.problem_file import plan_problem
from allocation.problems import random_problem


@pytest.fixture
def problem() -> dict[str, Any]:
    return random_problem(
        np.random.default_rng(7), 3, rounds=6, batch=8, steps=5, batch0=4, per_client=True,
        total=True,
    )  # fmt: skip


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
