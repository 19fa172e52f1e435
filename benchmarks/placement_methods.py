"""The methods side by side on one class of problems: the solver, its parts and references."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from airtune.placement import (
    Placement,
    Problem,
    beamform,
    evaluate,
    half_wavelength,
    load_problems,
    random_positions,
    select,
    solve,
    sparse,
)
from airtune.placement.kernels.field import pack
from airtune.placement.lattice import lattice
from airtune.placement.pdd import Pdd
from airtune.placement.references import alternating_cvxpy, differential_evolution
from airtune.placement.search import ROUGH, Search
from airtune.placement.smooth import Smooth


def db(ratio: float) -> float:
    return 10 * math.log10(ratio)


def timed(job: Callable[[], Any], repeats: int = 3) -> tuple[Any, float, float]:
    """Answer, least CPU time and least wall time of `job`  [ms]."""
    cpu, wall, answer = math.inf, math.inf, None
    for _ in range(repeats):
        began, clock = time.thread_time(), time.perf_counter()
        answer = job()
        cpu = min(cpu, 1e3 * (time.thread_time() - began))
        wall = min(wall, 1e3 * (time.perf_counter() - clock))
    return answer, cpu, wall


def spread(values: list[float]) -> dict[str, float]:
    return {
        "median": float(np.median(values)),
        "p10": float(np.quantile(values, 0.1)),
        "p90": float(np.quantile(values, 0.9)),
        "worst": float(max(values)),
    }


def local(problem: Problem, method: str, seed: int, random_start: bool) -> Placement:
    """One start, one local method, no search."""
    field, _ = pack(problem)
    run = Search(field, seed, lattice(problem.antennas, problem.region, problem.spacing))
    _, z = run.construct(0)
    if random_start:
        rng = np.random.default_rng(seed)
        z[2:] = random_positions(problem.antennas, problem.region, problem.spacing, rng).T
        z[0], z[1] = rng.normal(size=(2, problem.antennas))
    if method == "pdd":
        Pdd(run, 10.0 if random_start else 1.0).improve(z, -math.inf)
    elif method == "smooth":
        Smooth(run).improve(z, -math.inf)
    else:
        run.climb(z, 60, 1e-6)
    return beamform(problem, z[2:].T.copy(), starts=4)


def table(path: Path, best: list[float], quick: bool) -> dict[str, Any]:
    """The methods side by side on one class: dB to the best known, and CPU time."""
    problems = load_problems(path)[: 2 if quick else 8]
    rng = np.random.default_rng(0)

    def random_places(p: Problem, count: int) -> list[Placement]:
        return [
            beamform(p, random_positions(p.antennas, p.region, p.spacing, rng), starts=8)
            for _ in range(count)
        ]

    def best_of(p: Problem) -> Placement:
        return max(random_places(p, 100), key=lambda found: found.worst_gain)

    rows: dict[str, tuple[Callable[[Problem], Placement], int]] = {
        "fixed half-wavelength array": (
            lambda p: beamform(p, half_wavelength(p.antennas, p.region)),
            3,
        ),
        "fixed, 2N antennas": (
            lambda p: beamform(p, half_wavelength(2 * p.antennas, p.region)),
            3,
        ),
        "sparse fixed array": (
            lambda p: beamform(p, sparse(p.antennas, p.region, p.spacing)),
            3,
        ),
        "antenna selection, N of 2N": (
            lambda p: select(p, half_wavelength(2 * p.antennas, p.region)),
            1,
        ),
        "random positions": (lambda p: random_places(p, 1)[0], 1),
        "random positions, best of 100": (best_of, 1),
        "differential evolution (SciPy)": (lambda p: differential_evolution(p, iterations=30), 1),
        "alternating cvxpy (single), one random start": (lambda p: alternating(p, "single"), 1),
        "alternating cvxpy (joint), one random start": (lambda p: alternating(p, "joint"), 1),
        "PDD, one random start": (lambda p: local(p, "pdd", 1, True), 2),
        "SQP, one random start": (lambda p: local(p, "sqp", 1, True), 2),
        "GRASP start + PDD": (lambda p: local(p, "pdd", 1, False), 2),
        "GRASP start + smoothed max-min": (lambda p: local(p, "smooth", 1, False), 2),
        "GRASP start + SQP": (lambda p: local(p, "sqp", 1, False), 2),
        "search with PDD": (lambda p: solve(p, method="pdd"), 1),
        "search with smoothed max-min": (lambda p: solve(p, method="smooth"), 1),
        "fast": (lambda p: solve(p, mode="fast"), 3),
        "default": (lambda p: solve(p), 3),
        "exhaustive": (lambda p: solve(p, mode="exhaustive"), 1),
    }
    if quick:
        rows = {name: row for name, row in rows.items() if name != "exhaustive"}
    report = {}
    for name, (method, repeats) in rows.items():
        method(problems[0])
        runs = [timed(lambda p=p, m=method: m(p), repeats) for p in problems]
        report[name] = {
            "gain_db": spread(
                [db(run[0].worst_gain / b) for run, b in zip(runs, best, strict=False)]
            ),
            "cpu_ms": float(np.median([run[1] for run in runs])),
        }
        print(f"  {name:38} {report[name]}", flush=True)
    return report


def alternating(problem: Problem, move: str, seed: int = 1) -> Placement:
    """Alternating cvxpy from a random start; `joint` until five rounds bring less than 1e-6."""
    rng = np.random.default_rng(seed)
    start = random_positions(problem.antennas, problem.region, problem.spacing, rng)
    tolerance = 1e-6 if move == "joint" else 1e-4
    return alternating_cvxpy(problem, start, move=move, tolerance=tolerance)


def side_by_side(path: Path, quick: bool) -> dict[str, Any]:
    """Alternating cvxpy against the solver from the same start, in turn in one process."""
    rows: dict[str, list[dict[str, Any]]] = {"single": [], "joint": []}
    for seed, problem in enumerate(load_problems(path)[: 2 if quick else 8]):
        start = random_positions(
            problem.antennas, problem.region, problem.spacing, np.random.default_rng(seed)
        )
        solvers: dict[str, Callable[[], Placement]] = {
            "SQP, same start": lambda p=problem, s=start: climbed(p, s),
            "GRASP start + SQP": lambda p=problem: constructed(p),
            "fast": lambda p=problem: solve(p, mode="fast"),
            "default": lambda p=problem: solve(p),
        }
        for move, found in rows.items():
            slow, slow_ms, _ = timed(lambda p=problem, m=move, n=seed: alternating(p, m, n), 2)
            row: dict[str, Any] = {"cpu_ms": slow_ms}
            for name, solver in solvers.items():
                solver()
                answer, cpu, _ = timed(solver, 5)
                row[name] = [slow_ms / cpu, db(answer.worst_gain / slow.worst_gain)]
            found.append(row)
    return {
        move: {
            "cpu_ms": spread([row["cpu_ms"] for row in found]),
            "against": {
                name: {
                    "times_faster_median": float(np.median([row[name][0] for row in found])),
                    "db_better_median": float(np.median([row[name][1] for row in found])),
                }
                for name in solvers
            },
        }
        for move, found in rows.items()
    }


def climbed(problem: Problem, start: np.ndarray) -> Placement:
    """One SQP climb from given positions, all set-up included."""
    field, _ = pack(problem)
    run = Search(field, 0, start)
    w = beamform(problem, start, starts=1).beamformer
    z = np.stack([w.real, -w.imag, *start.T])
    run.climb(z, 60, 1e-6)
    return finished(problem, z)


def constructed(problem: Problem) -> Placement:
    """The best of three GRASP starts, one SQP climb to the search's tolerance, set-up included."""
    field, _ = pack(problem)
    run = Search(field, 0, lattice(problem.antennas, problem.region, problem.spacing))
    _, z = max((run.construct(1) for _ in range(3)), key=lambda one: one[0])
    run.climb(z, 60, ROUGH)
    return finished(problem, z)


def finished(problem: Problem, z: np.ndarray) -> Placement:
    positions, w = z[2:].T.copy(), z[0] - 1j * z[1]
    return Placement(positions, w, evaluate(problem, positions, w))
