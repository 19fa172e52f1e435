"""How fast and how exact the planner is, and how tight the convergence bound is.

Writes benchmarks/results/planning.json and the tables of docs/planning.md.  Run from the repository
with the package installed:

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/planning.py
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import manual

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from airtune import bound, record  # noqa: E402
from airtune.planning import plan_problem  # noqa: E402
from airtune.scenario import Scenario  # noqa: E402
from allocation.problems import random_problem  # noqa: E402
from bound.sgd import Measured, logistic, quadratic  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "planning.json"
MANUAL = ROOT / "docs" / "planning.md"
CASES = {  # name: clients, per-client budgets, total budget, latency budget, instances
    "per-client budgets, K = 10": (10, True, False, True, 40),
    "per-client budgets, K = 100": (100, True, False, True, 40),
    "total budget, K = 10": (10, False, True, True, 40),
    "total budget, K = 100": (100, False, True, True, 40),
    "total budget, no latency budget, K = 10": (10, False, True, False, 40),
    "both budgets, K = 10": (10, True, True, True, 20),
}


def planning_problem(
    seed: int, clients: int, *, per_client: bool, total: bool, latency: bool
) -> dict[str, Any]:
    """Up to 300 rounds and 64 samples, budgets that bind at different places."""
    rng = np.random.default_rng([seed, clients, 77])
    problem: dict[str, Any] = random_problem(
        rng, clients, rounds=300, batch=64, steps=300, batch0=64, per_client=per_client,
        total=total, latency=latency, squeeze=(0.8, 1.2),
    )  # fmt: skip
    if seed % 2 == 0:  # the server as a random plan uses it
        return problem
    problem["server"]["cycles_per_sample"] *= 10 ** rng.uniform(-2.5, 0)
    rounds = int(rng.integers(10, 150))
    compute = sum(
        c["kappa"] * (10 ** rng.uniform(8.5, 9.1)) ** 2 * c["cycles_per_sample"]
        * rng.uniform(1, 20) + rng.uniform(0.1, 1) * c["tx_power_w"] * problem["uplink_s"]
        for c in problem["clients"]
    )  # fmt: skip
    if total:
        problem["energy_budget_j"] = float(rounds * (compute + 0.05) * rng.uniform(1, 2))
    if latency:
        slowest = max(c["cycles_per_sample"] for c in problem["clients"])
        per_round = slowest * rng.uniform(1, 15) / 1e9 + 0.6
        problem["latency_budget_s"] = float(rounds * per_round * rng.uniform(1, 2))
    return problem


def spread(values: list[float]) -> dict[str, float]:
    """Median, 90 % quantile and largest."""
    return {
        "median": float(np.median(values)),
        "p90": float(np.quantile(values, 0.9)),
        "max": float(np.max(values)),
    }


def time_case(case: tuple[int, bool, bool, bool, int]) -> dict[str, Any]:
    """Solve the instances of a case after one warm-up."""
    clients, per_client, total, latency, count = case
    kind = {"per_client": per_client, "total": total, "latency": latency}
    plan_problem(planning_problem(10_000, clients, **kind))
    plan_problem(planning_problem(10_001, clients, **kind))
    wall, cpu, gap = [], [], []
    for seed in range(count):
        problem = planning_problem(seed, clients, **kind)
        started = time.perf_counter(), time.process_time()
        answer = plan_problem(problem)
        wall.append(time.perf_counter() - started[0])
        cpu.append(time.process_time() - started[1])
        gap.append(answer["certificate"]["relative_gap"])
    return {
        "instances": count,
        "seconds_wall": spread(wall),
        "seconds_cpu": spread(cpu),
        "relative_gap": spread(gap),
        "proven_to_1e-6": int(np.sum(np.array(gap) <= 1e-6)),
    }


def bound_over_truth(
    solve: Callable[..., Measured], condition: float, settings: int
) -> dict[str, Any]:
    """Bound over the measured mean gap at the noise floor, with what is known at three times.

    `largest_G`: the largest of all rounds, as before the run; `own_G`: that of each round;
    `own_G_and_sigma`: also the variance of the gradients where the rounds were.
    """
    ratios: dict[str, list[float]] = {"largest_G": [], "own_G": [], "own_G_and_sigma": []}
    violated = 0
    for seed in range(settings):
        rng = np.random.default_rng([seed, int(1000 * condition)])
        K = int(rng.integers(1, 7))
        omega, batch = rng.dirichlet(np.full(K, 3.0)), rng.integers(1, 17, K)
        mse, step = float(10 ** rng.uniform(-3, 0.5)), float(rng.uniform(0.3, 1.0))
        rounds = int(np.ceil(12 * condition / step))  # what is left of the start: e^-12
        measured = solve(
            rng, condition, rounds=rounds, mse=mse, omega=omega, batch=batch, step=step
        )
        given = np.full(rounds, float(bound.batch_noise(measured.constants, omega, batch)))
        own = given * measured.sigma_sq / measured.constants.sigma_g_sq
        for name, G_sq, noise in (
            ("largest_G", measured.G_sq.max(), given),
            ("own_G", measured.G_sq, given),
            ("own_G_and_sigma", measured.G_sq, own),
        ):
            limit = bound.bound_over_rounds(
                measured.constants,
                initial=measured.gap[0],
                shift=0.0,
                noise=noise,
                air=G_sq * mse,
            )["total"]
            ratios[name].append(float(limit[-1] / measured.gap[-1]))
            violated += bool(np.any(measured.gap - 4 * measured.error > limit))
    return {
        "condition": condition,
        "settings": settings,
        "violations": violated,
        "ratio_at_the_floor": {name: spread(values) for name, values in ratios.items()},
    }


def environment() -> dict[str, Any]:
    """Return what the figures depend on."""
    return record.environment(Scenario()) | {"load_average": os.getloadavg()}


def timing_table(timings: dict[str, Any]) -> list[str]:
    """Rows of the table of timings."""
    head = ["budgets and clients", "problems", "processor time, median", "largest"]
    head += ["largest gap", "proven to 1e-6"]
    rows = []
    for name, case in timings.items():
        cpu, gap = case["seconds_cpu"], case["relative_gap"]
        rows.append(
            [
                name,
                str(case["instances"]),
                f"{1e3 * cpu['median']:.0f} ms",
                f"{1e3 * cpu['max']:.0f} ms",
                f"{gap['max']:.1e}",
                str(case["proven_to_1e-6"]),
            ]
        )
    return manual.table(head, rows, None)


def tightness_table(tightness: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Rows of the table of the bound over the truth."""
    head = ["problem", "L / mu", "settings", "violations", "largest G: median (90 %)"]
    head += ["G of each round", "G and sigma_g of each round"]
    rows = []
    for kind, cases in tightness.items():
        for case in cases:
            ratios = case["ratio_at_the_floor"].values()
            cells = [f"{r['median']:.1f} ({r['p90']:.0f})" for r in ratios]
            counts = [str(case["settings"]), str(case["violations"])]
            rows.append([kind, f"{case['condition']:g}", *counts, *cells])
    return manual.table(head, rows, None)


def write_tables(content: dict[str, Any]) -> None:
    """Put the tables between their marks in the manual."""
    tables = {
        "timings": timing_table(content["timings"]),
        "tightness": tightness_table(content["bound_over_truth"]),
    }
    for name, rows in tables.items():
        manual.put(MANUAL, name, "\n".join(rows))


def main() -> None:
    """Measure everything and write the result."""
    timings = {}
    for name, case in CASES.items():
        timings[name] = time_case(case)
        print(name, json.dumps(timings[name]), flush=True)
    tightness: dict[str, list[dict[str, Any]]] = {"quadratic": [], "logistic": []}
    for kind, solve in (("quadratic", quadratic), ("logistic", logistic)):
        for condition in (1.5, 4.0, 10.0, 30.0):
            tightness[kind].append(bound_over_truth(solve, condition, 40))
            print(kind, json.dumps(tightness[kind][-1]), flush=True)
    RESULT.parent.mkdir(exist_ok=True)
    content = {"timings": timings, "bound_over_truth": tightness, "environment": environment()}
    record.write_json(RESULT, content)
    write_tables(content)


if __name__ == "__main__":
    main()
