"""The planner against brute force, its certificate, and what it says of impossible budgets."""

import copy
import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.allocation import Effort, allocate
from airtune.errors import InputError
from airtune.planning.problem_file import parse, plan_problem, resource_problem
from allocation.brute import brute_force
from allocation.problems import random_problem


def tiny(seed: int) -> dict:
    """Tiny problems of every kind of budget; free air, power and samples mixed in."""
    rng = np.random.default_rng([seed, 1])
    kind = seed % 6
    problem = random_problem(
        rng,
        int(rng.integers(1, 4)),
        rounds=int(rng.integers(1, 6)),
        batch=int(rng.integers(1, 5)),
        steps=int(rng.integers(0, 4)),
        batch0=int(rng.integers(1, 4)),
        per_client=kind in (0, 2, 3),
        total=kind in (1, 2, 4),
        latency=kind != 4 and rng.random() < 0.9,
        squeeze=(1, 1) if rng.random() < 0.3 else (0.5, 1.5),
    )
    if rng.random() < 0.15:
        problem["mse_star"] = 0.0
    if rng.random() < 0.15:
        problem["clients"][0]["tx_power_w"] = 0.0
    if rng.random() < 0.1:
        for client in problem["clients"]:
            client["tx_power_w"] = 0.0
    if rng.random() < 0.1:
        problem["bound"]["sigma_g_sq"] = 0.0
    if rng.random() < 0.1:
        problem["bound"]["sigma0_sq"] = 0.0
    if rng.random() < 0.2:
        problem.update(downlink_j=0.02, pilot_j=0.01)
    return problem


def overlapped(seed: int) -> dict:
    """Tiny problems in which antennas move beside computing, for about as long as that takes."""
    problem, rng = tiny(seed), np.random.default_rng([seed, 7])
    problem["overlap"] = True
    if problem["latency_budget_s"] is not None:
        rounds = int(rng.integers(1, problem["rounds_max"] + 1))
        fixed = sum(problem[name] for name in ("uplink_s", "downlink_s", "pilot_s"))
        left = max(0.01, problem["latency_budget_s"] / rounds - fixed)
        problem["move_s"] = left * rng.uniform(0.3, 1.1)
    return problem


def check_against_brute_force(seed: int, make: Callable[[int], dict] = tiny) -> bool:
    """Compare one problem; whether it was feasible."""
    problem = make(seed)
    expected = brute_force(problem)
    if expected is None:
        with pytest.raises(InputError, match="no plan meets the budgets"):
            plan_problem(problem)
        return False
    answer = plan_problem(problem)
    assert answer["bound"]["total"] == pytest.approx(expected[0], rel=1e-9), seed
    assert answer["energy_j"]["total"] <= expected[1] * (1 + 1e-6), seed
    assert answer["certificate"]["relative_gap"] <= 1e-6
    assert answer["certificate"]["lower_bound"] <= expected[0] * (1 + 1e-9)
    check_answer(problem, answer)
    return True


def check_answer(problem: dict, answer: dict) -> None:
    """Recompute costs and bound from the decisions alone, and test every budget and range."""
    rounds, steps = answer["rounds"]["finetuning"], answer["rounds"]["pretraining"]
    batch0, f0 = answer["batch"]["pretraining"], answer["frequency_hz"]["server"]
    server, rho = problem["server"], answer["power_backoff"]
    work0 = steps * batch0 * server["cycles_per_sample"]
    assert 1 <= rounds <= problem["rounds_max"]
    assert 0 <= steps <= server["rounds_max"]
    assert 1 <= batch0 <= server["batch_max"]
    assert server["f_min"] <= f0 <= server["f_max"]
    assert 1e-6 <= rho <= 1
    if steps == 0:
        assert (batch0, f0) == (1, server["f_min"])
    slowest, spent, noise = 0.0, 0.0, 0.0
    for k, client in enumerate(problem["clients"]):
        size, clock = answer["batch"]["clients"][k], answer["frequency_hz"]["clients"][k]
        assert isinstance(size, int)
        assert 1 <= size <= client["batch_max"]
        assert client["f_min"] <= clock <= client["f_max"]
        work = client["cycles_per_sample"] * size
        slowest = max(slowest, work / clock)
        compute = client["kappa"] * clock**2 * work
        energy = rounds * (compute + rho * client["tx_power_w"] * problem["uplink_s"])
        if client["energy_budget_j"] is not None:
            assert energy <= client["energy_budget_j"] * (1 + 1e-9)
        assert answer["energy_j"]["per_client"][k] == pytest.approx(energy)
        spent += energy
        noise += client["omega"] ** 2 / size
    fixed = sum(problem[name] for name in ("uplink_s", "downlink_s", "pilot_s"))
    overlap, way = problem.get("overlap", False), problem["move_s"]
    alone = max(0.0, way - slowest) if overlap else way
    assert answer["latency_s"]["compute"] == pytest.approx(rounds * slowest)
    assert answer["latency_s"]["movement"] == pytest.approx(rounds * alone)
    fixed += alone
    latency = work0 / f0 + rounds * (slowest + fixed)
    assert answer["latency_s"]["total"] == pytest.approx(latency)
    if problem["latency_budget_s"] is not None:
        assert latency <= problem["latency_budget_s"] * (1 + 1e-9)
    shared = problem["move_j"] + problem.get("downlink_j", 0) + problem.get("pilot_j", 0)
    total = spent + server["kappa"] * f0**2 * work0 + rounds * shared
    assert answer["energy_j"]["total"] == pytest.approx(total)
    if problem["energy_budget_j"] is not None:
        assert total <= problem["energy_budget_j"] * (1 + 1e-9)
    b, parts = problem["bound"], dict(answer["bound"])
    q, q0 = (1 - b["eta"] * b["mu"]) ** rounds, (1 - b["eta0"] * b["mu0"]) ** steps
    floor = b["L0"] * b["eta0"] * b["sigma0_sq"] / (2 * b["mu0"] * batch0)
    gain = (1 - q) / (b["eta"] * b["mu"]) * b["L"] * b["eta"] ** 2 / 2
    assert parts["initial_gap"] == pytest.approx(q * (q0 * b["delta_pre"] + (1 - q0) * floor))
    assert parts["shift"] == pytest.approx(2 * q * b["L_x"] * b["W1"])
    assert parts["batch_noise"] == pytest.approx(gain * b["sigma_g_sq"] * noise)
    assert parts["air_noise"] == pytest.approx(gain * b["G_sq"] * problem["mse_star"] / rho)
    assert parts.pop("total") == pytest.approx(sum(parts.values()))
    gap = (answer["bound"]["total"] - answer["certificate"]["lower_bound"]) / max(
        answer["bound"]["total"], 1e-300
    )
    assert answer["certificate"]["relative_gap"] == pytest.approx(gap, abs=1e-15)
    assert gap >= 0


def test_brute_force_agrees() -> None:
    feasible = [check_against_brute_force(seed) for seed in range(18)]
    assert 8 < sum(feasible) < 18


@pytest.mark.slow
def test_brute_force_agrees_on_hundreds() -> None:
    for seed in range(18, 500):
        check_against_brute_force(seed)


def test_brute_force_agrees_where_antennas_move_beside_computing() -> None:
    feasible = [check_against_brute_force(seed, overlapped) for seed in range(9)]
    assert 3 < sum(feasible) < 9


@pytest.mark.slow
def test_brute_force_agrees_beside_computing_on_hundreds() -> None:
    for seed in range(9, 500):
        check_against_brute_force(seed, overlapped)


def test_a_movement_shorter_than_computing_costs_no_time() -> None:
    problem = random_problem(
        np.random.default_rng(3), 2, rounds=4, batch=4, steps=0, batch0=1,
        per_client=False, total=False,
    )  # fmt: skip
    still = plan_problem({**problem, "move_s": 0.0})
    way = still["latency_s"]["compute"] / still["rounds"]["finetuning"] / 2
    beside = plan_problem({**problem, "move_s": way, "overlap": True})
    assert beside["bound"] == still["bound"]
    assert beside["latency_s"] == still["latency_s"]
    before = plan_problem({**problem, "move_s": way})
    assert before["bound"]["total"] > still["bound"]["total"]
    with pytest.raises(InputError, match="latency_budget_s"):
        plan_problem({**problem, "move_s": problem["latency_budget_s"], "overlap": True})


def check_both_kinds(seed: int) -> bool:
    """Budgets of each client and in total, around the costs of a random plan."""
    rng = np.random.default_rng([seed, 991])
    problem = random_problem(
        rng, int(rng.integers(1, 4)), rounds=int(rng.integers(2, 7)), batch=int(rng.integers(2, 6)),
        steps=int(rng.integers(0, 4)), batch0=int(rng.integers(1, 4)), per_client=True, total=True,
        latency=bool(rng.random() < 0.8), squeeze=(0.7, 1.3),
    )  # fmt: skip
    expected = brute_force(problem)
    if expected is None:
        with pytest.raises(InputError):
            plan_problem(problem)
        return False
    answer = plan_problem(problem)
    assert answer["bound"]["total"] == pytest.approx(expected[0], rel=1e-9), seed
    assert answer["certificate"]["relative_gap"] <= 1e-6
    assert answer["certificate"]["lower_bound"] <= expected[0] * (1 + 1e-9)
    return True


def test_brute_force_agrees_with_both_kinds_of_budget() -> None:
    assert sum(check_both_kinds(seed) for seed in range(8)) >= 4


@pytest.mark.slow
def test_brute_force_agrees_with_both_kinds_of_budget_on_hundreds() -> None:
    for seed in range(8, 300):
        check_both_kinds(seed)


@pytest.mark.slow
def test_brute_force_agrees_on_larger_batches() -> None:
    for seed in range(60):
        rng = np.random.default_rng([seed, 6])
        problem = random_problem(
            rng, 2, rounds=4, batch=16, steps=2, batch0=2, per_client=seed % 2 == 0, total=True,
            squeeze=(0.4, 1.2),
        )  # fmt: skip
        expected, message = brute_force(problem), complaint(problem)
        assert (expected is None) == (message is not None), message
        if expected is not None:
            answer = plan_problem(problem)
            assert answer["bound"]["total"] == pytest.approx(expected[0], rel=1e-9), seed
            assert answer["certificate"]["relative_gap"] <= 1e-6


def large(seed: int, clients: int, *, per_client: bool, total: bool) -> dict:
    rng = np.random.default_rng([seed, clients, 2])
    problem = random_problem(
        rng, clients, rounds=300, batch=64, steps=300, batch0=64, per_client=per_client,
        total=False, squeeze=(0.8, 1.2),
    )  # fmt: skip
    problem["server"]["cycles_per_sample"] *= 0.05
    if total:  # what a plan of moderate batches spends: the budget binds at the clients
        clock = 10 ** rng.uniform(8.5, 9.1)
        compute = sum(
            c["kappa"] * clock**2 * c["cycles_per_sample"] * rng.uniform(1, 20)
            for c in problem["clients"]
        )
        problem["energy_budget_j"] = float(rng.integers(20, 120) * (compute + 0.1))
    return problem


@pytest.mark.parametrize("clients", [10, 100])
def test_a_total_budget_is_proven(clients: int) -> None:
    for seed in range(4):
        problem = large(seed, clients, per_client=False, total=True)
        answer = plan_problem(problem)
        check_answer(problem, answer)
        assert answer["certificate"]["relative_gap"] <= (1e-6 if clients == 10 else 5e-4)


def test_a_proof_does_not_depend_on_the_effort() -> None:
    """With hardly any search the bound is weaker and the plan no better, but both stay valid."""
    for seed in range(4):
        problem = resource_problem(parse(large(seed, 10, per_client=False, total=True)))
        best = allocate(problem)
        lazy = allocate(problem, Effort(relaxations=0, nodes=1, total_nodes=1))
        assert lazy.bound.total >= best.bound.total * (1 - 1e-9)
        assert lazy.lower_bound <= best.bound.total * (1 + 1e-12)


def test_a_slack_total_budget_changes_nothing() -> None:
    """The two searches are independent: with a budget that cannot bind they must agree."""
    for seed in range(3):
        problem = large(seed, 6, per_client=True, total=False)
        separable = plan_problem(problem)
        problem["energy_budget_j"] = separable["energy_j"]["total"] * 1e6
        joint = plan_problem(problem)
        assert joint["bound"]["total"] == pytest.approx(separable["bound"]["total"], rel=1e-9)


@given(seed=st.integers(0, 10_000), which=st.sampled_from(["latency", "energy", "client"]))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_a_larger_budget_is_never_worse(seed: int, which: str) -> None:
    rng = np.random.default_rng([seed, 3])
    problem = random_problem(
        rng, 3, rounds=12, batch=8, steps=8, batch0=4, per_client=True, total=True
    )
    before = plan_problem(problem)
    wider = copy.deepcopy(problem)
    if which == "client":
        wider["clients"][1]["energy_budget_j"] *= 1.3
    else:
        wider[f"{which}_budget_{'s' if which == 'latency' else 'j'}"] *= 1.3
    after = plan_problem(wider)
    assert after["certificate"]["lower_bound"] <= before["bound"]["total"] * (1 + 1e-12)
    assert after["bound"]["total"] <= before["bound"]["total"] * (1 + 1e-6)


def test_without_a_latency_budget_clocks_are_lowest() -> None:
    problem = large(1, 5, per_client=False, total=True)
    problem["latency_budget_s"] = None
    answer = plan_problem(problem)
    assert answer["frequency_hz"]["clients"] == [c["f_min"] for c in problem["clients"]]
    assert answer["frequency_hz"]["server"] == problem["server"]["f_min"]


def test_samples_that_do_not_count_are_not_computed() -> None:
    problem = large(1, 5, per_client=False, total=False)
    problem["bound"].update(sigma_g_sq=0.0, G_sq=0.0)
    answer = plan_problem(problem)
    assert answer["batch"]["clients"] == [1] * 5
    assert answer["power_backoff"] == 1e-6  # power that does not count is not sent
    for client in problem["clients"]:
        client["tx_power_w"] = 0.0
    assert plan_problem(problem)["power_backoff"] == 1.0


def test_rounds_that_change_nothing_are_left_out() -> None:
    problem = large(2, 4, per_client=False, total=False)
    problem["bound"].update(mu=problem["bound"]["L"], eta=1 / problem["bound"]["L"])
    answer = plan_problem(problem)
    assert answer["rounds"] == {"pretraining": 0, "finetuning": 1}


def named_budgets(message: str) -> list[tuple[str, float]]:
    pattern = r"([\w\[\].]+) = \S+ must be at least ([0-9.e+-]+)"
    return [(name, float(value)) for name, value in re.findall(pattern, message)]


def complaint(problem: dict) -> str | None:
    try:
        plan_problem(problem)
    except InputError as error:
        return str(error)
    return None


def with_budget(problem: dict, name: str, value: float) -> dict:
    changed = copy.deepcopy(problem)
    client = re.match(r"clients\[(\d+)\]", name)
    if client:
        changed["clients"][int(client[1])]["energy_budget_j"] = value
    else:
        changed[name] = value
    return changed


def test_the_least_budget_that_would_do_is_exact() -> None:
    checked = set()
    for seed in range(60):
        rng = np.random.default_rng([seed, 4])
        problem = random_problem(
            rng, 3, rounds=3, batch=3, steps=2, batch0=2, per_client=True, total=True,
            squeeze=(0.02, 1.0),
        )  # fmt: skip
        message = complaint(problem)
        if message is None:
            continue
        named = named_budgets(message)
        assert named
        if "must be raised together" in message:
            fixed = problem
            for name, value in named:
                fixed = with_budget(fixed, name, value)
            check_answer(fixed, plan_problem(fixed))
            for name, value in named:
                with pytest.raises(InputError):
                    plan_problem(with_budget(fixed, name, value * (1 - 1e-8)))
            checked.add("set")
            continue
        for name, value in named:
            check_answer(
                with_budget(problem, name, value), plan_problem(with_budget(problem, name, value))
            )
            with pytest.raises(InputError):
                plan_problem(with_budget(problem, name, value * (1 - 1e-8)))
            checked.add("client" if name.startswith("clients") else name)
    assert checked == {"set", "client", "latency_budget_s", "energy_budget_j"}
