"""Placement: quality, speed, growth and certificates of the solver, side by side with references.

    python benchmarks/placement.py [--data FOLDER] [--out FOLDER] [--quick]

Writes placement.json and placement.png. Times are CPU seconds of the thread that solves, least of
the repeats, after warm-up; compilation is measured by itself in a fresh process.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numba
import numpy as np
import scipy

from airtune.placement import (
    Placement,
    Problem,
    beamform,
    half_wavelength,
    load_problems,
    random_positions,
    select,
    solve,
    solve_many,
    sparse,
)
from airtune.placement.certify import upper_bound
from airtune.placement.examples import random_problem
from airtune.placement.field import channel, pack, workspace
from airtune.placement.lattice import lattice
from airtune.placement.pdd import Pdd
from airtune.placement.references import alternating_cvxpy, differential_evolution
from airtune.placement.search import Search
from airtune.placement.smooth import Smooth

ROOT = Path(__file__).parents[1]
TABLE = "public_n8_k10_l10_a4_j0"


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


def environment() -> dict[str, Any]:
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        )
        if Path("/proc/cpuinfo").exists()
        else iter([]),
        platform.processor(),
    )
    field, _ = pack(random_problem(0))
    g, rays, _ = workspace(field)
    x = np.linspace(0, 4, 8)
    channel(field, x, x, g, rays)
    _, cpu, _ = timed(lambda: [channel(field, x, x, g, rays) for _ in range(1000)])
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": model,
        "cores": os.cpu_count(),
        "load_average": list(os.getloadavg()),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "numba": numba.__version__,
        "channel_kernel_us": cpu,
    }


def compile_seconds() -> dict[str, float]:
    """First solve of a process: with nothing kept on disk, and with the machine code kept."""
    code = (
        "import time; a, b = time.perf_counter(), time.process_time()\n"
        "from airtune.placement import solve\n"
        "from airtune.placement.examples import random_problem\n"
        "solve(random_problem(0), mode='fast')\n"
        "print(time.process_time() - b, time.perf_counter() - a)"
    )
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "NUMBA_CACHE_DIR": folder}
        cold, warm = (
            [
                float(x)
                for x in subprocess.run(
                    [sys.executable, "-c", code], env=env, check=True, capture_output=True
                ).stdout.split()
            ]
            for _ in range(2)
        )
    return {"cold_cpu": cold[0], "cold_wall": cold[1], "kept_cpu": warm[0], "kept_wall": warm[1]}


def public(files: list[Path], exhaustive: bool) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Modes against best_known, and against the better of it and the exhaustive mode."""
    report, references = {}, {}
    for path in files:
        problems, data = load_problems(path), np.load(path)
        known = data["best_known"]
        modes: dict[str, Any] = {}
        gains: dict[str, list[float]] = {}
        for mode in ("fast", "default", *(("exhaustive",) if exhaustive else ())):
            solve(problems[0], mode=mode)
            runs = [
                timed(lambda p=p, mode=mode: solve(p, mode=mode), 1 if mode == "exhaustive" else 5)
                for p in problems
            ]
            gains[mode] = [run[0].worst_gain for run in runs]
            modes[mode] = {
                "cpu_ms": spread([run[1] for run in runs]),
                "wall_ms": spread([run[2] for run in runs]),
                "loss_db": spread([db(k / g) for k, g in zip(known, gains[mode], strict=True)]),
                "beats_best_known": sum(
                    g > k * (1 + 1e-4) for k, g in zip(known, gains[mode], strict=True)
                ),
                "feasible": all(
                    p.violation(run[0].positions) <= 1e-9
                    for p, run in zip(problems, runs, strict=True)
                ),
            }
        best = np.maximum(known, np.max([gains[mode] for mode in gains], axis=0))
        for mode in gains:
            modes[mode]["loss_to_best_db"] = spread(
                [db(b / g) for b, g in zip(best, gains[mode], strict=True)]
            )
        fixed = [beamform(p, half_wavelength(p.antennas, p.region)).worst_gain for p in problems]
        bounds = [timed(lambda p=p: upper_bound(p), 1) for p in problems]
        report[path.stem] = {
            "instances": len(problems),
            "modes": modes,
            "gain_over_fixed_db": spread([db(b / f) for b, f in zip(best, fixed, strict=True)]),
            "bound_gap_db": spread(
                [db(bound[0][0] / b) for bound, b in zip(bounds, best, strict=True)]
            ),
            "bounds_hold": all(bound[0][0] >= b for bound, b in zip(bounds, best, strict=True)),
            "bound_ms": spread([bound[1] for bound in bounds]),
        }
        references[path.stem] = [float(b) for b in best]
        print(path.stem, {m: modes[m]["loss_db"] for m in modes}, flush=True)
    return report, references


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
        "alternating cvxpy, one random start": (
            lambda p: alternating_cvxpy(
                p, random_positions(p.antennas, p.region, p.spacing, np.random.default_rng(1))
            ),
            1,
        ),
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


def side_by_side(path: Path, quick: bool) -> dict[str, Any]:
    """Alternating cvxpy against the solver from the same start, in turn in one process."""
    rows = []
    for seed, problem in enumerate(load_problems(path)[: 2 if quick else 8]):
        start = random_positions(
            problem.antennas, problem.region, problem.spacing, np.random.default_rng(seed)
        )
        alternating, slow, _ = timed(lambda p=problem, s=start: alternating_cvxpy(p, s), 1)
        field, _ = pack(problem)
        run = Search(field, 0, lattice(problem.antennas, problem.region, problem.spacing))
        w = beamform(problem, start, starts=1).beamformer
        first = np.stack([w.real, -w.imag, *start.T])
        z, quick_ms, _ = timed(lambda r=run, f=first: _climbed(r, f), 5)
        climbed = beamform(problem, z[2:].T.copy(), starts=4)
        fast, fast_ms, _ = timed(lambda p=problem: solve(p, mode="fast"), 3)
        default, default_ms, _ = timed(lambda p=problem: solve(p), 3)
        rows.append(
            {
                "alternating_ms": slow,
                "same_start_sqp": [
                    slow / quick_ms,
                    db(climbed.worst_gain / alternating.worst_gain),
                ],
                "fast": [slow / fast_ms, db(fast.worst_gain / alternating.worst_gain)],
                "default": [slow / default_ms, db(default.worst_gain / alternating.worst_gain)],
            }
        )
    report: dict[str, Any] = {"alternating_ms": spread([row["alternating_ms"] for row in rows])}
    for name in ("same_start_sqp", "fast", "default"):
        report[name] = {
            "times_faster_median": float(np.median([row[name][0] for row in rows])),
            "db_better_median": float(np.median([row[name][1] for row in rows])),
        }
    return report


def _climbed(run: Search, first: np.ndarray) -> np.ndarray:
    z = first.copy()
    run.climb(z, 60, 1e-6)
    return z


def growth(quick: bool) -> list[dict[str, Any]]:
    """Fast mode over N and K; time relative to N^2 K L, and the certified gap."""
    sizes = [(4, 10), (8, 10), (16, 10), (32, 10), (64, 10), (8, 25), (8, 50), (8, 100), (8, 200)]
    rows = []
    for antennas, clients in sizes[:3] if quick else sizes:
        side = 4.0 if antennas <= 32 else 6.0
        problem = random_problem(1, antennas=antennas, clients=clients, region=(side, side))
        solve(replace(problem), mode="fast")
        found, cpu, _ = timed(lambda p=problem: solve(p, mode="fast"), 1)
        bound, kind = upper_bound(problem)
        rows.append(
            {
                "antennas": antennas,
                "clients": clients,
                "cpu_ms": cpu,
                "ns_per_n2kl": 1e6 * cpu / (antennas**2 * clients * 10),
                "certified_gap_db": db(bound / found.worst_gain),
                "bound_kind": kind,
            }
        )
        print("  growth", rows[-1], flush=True)
    return rows


def warm_start(path: Path) -> dict[str, float]:
    """Next round's channel (correlation 0.95): from the last positions against from nothing."""
    ratio, change = [], []
    for seed, problem in enumerate(load_problems(path)):
        rng = np.random.default_rng(seed)
        last = solve(problem)
        fresh = rng.normal(size=problem.gains.shape) + 1j * rng.normal(size=problem.gains.shape)
        fresh *= np.sqrt((np.abs(problem.gains) ** 2).mean(axis=1, keepdims=True) / 2)
        later = replace(problem, gains=0.95 * problem.gains + math.sqrt(1 - 0.95**2) * fresh)
        cold, cold_ms, _ = timed(lambda p=later: solve(p), 3)
        warm, warm_ms, _ = timed(lambda p=later, r=last: solve(p, start=r.positions), 3)
        ratio.append(cold_ms / warm_ms)
        change.append(db(warm.worst_gain / cold.worst_gain))
    return {"times_faster": float(np.median(ratio)), "gain_change_db": float(np.median(change))}


def beamformers(path: Path) -> dict[str, Any]:
    """SQP against conjugate gradient on the oblique manifold, fixed half-wavelength array."""
    report = {}
    problems = load_problems(path)
    places = [half_wavelength(p.antennas, p.region) for p in problems]
    gains: dict[str, list[float]] = {}
    for method in ("sqp", "oblique"):
        runs = [
            timed(lambda p=p, r=r, m=method: beamform(p, r, method=m), 3)
            for p, r in zip(problems, places, strict=True)
        ]
        gains[method] = [run[0].worst_gain for run in runs]
        report[method] = {"cpu_ms": float(np.median([run[1] for run in runs]))}
    best = np.max(list(gains.values()), axis=0)
    for method, values in gains.items():
        report[method]["loss_db"] = spread([db(b / g) for b, g in zip(best, values, strict=True)])
    return report


def batch(path: Path) -> dict[str, float]:
    """A batch on one and on two threads, wall time; the answers are compared bit by bit."""
    problems = load_problems(path) * 2
    one, _, wall_one = timed(lambda: solve_many(problems), 2)
    two, _, wall_two = timed(lambda: solve_many(problems, threads=2), 2)
    same = all(np.array_equal(a.positions, b.positions) for a, b in zip(one, two, strict=True))
    return {"wall_ms_1": wall_one, "wall_ms_2": wall_two, "same_answers": same}


def figure(rows: dict[str, Any], out: Path) -> None:
    """Loss against milliseconds."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(7, 4.5))
    for name, row in rows.items():
        loss = max(1e-3, -row["gain_db"]["median"])
        ax.scatter(row["cpu_ms"], loss, s=18, color="tab:blue")
        ax.annotate(
            name, (row["cpu_ms"], loss), fontsize=6, xytext=(3, 3), textcoords="offset points"
        )
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("CPU time per instance [ms]")
    ax.set_ylabel("median loss to the best found [dB]")
    ax.set_title("N = 8, K = L = 10, 4 x 4 wavelengths")
    ax.grid(alpha=0.3, which="both")
    fig.tight_layout()
    fig.savefig(out, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "placement")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--quick", action="store_true", help="a few instances, no exhaustive mode")
    options = parser.parse_args()
    files = sorted(options.data.glob("public_*.npz"))
    if not files:
        sys.exit(f"no public_*.npz in {options.data}")
    options.out.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {"environment": environment()}
    report["public"], references = public(files, not options.quick)
    main_class = options.data / f"{TABLE}.npz"
    report["methods"] = table(main_class, references[TABLE], options.quick)
    report["against_alternating_cvxpy"] = side_by_side(main_class, options.quick)
    report["growth"] = growth(options.quick)
    report["warm_start"] = warm_start(main_class)
    report["beamformer"] = beamformers(main_class)
    report["batch"] = batch(main_class)
    report["compilation_s"] = compile_seconds()
    report["environment"]["load_average_end"] = list(os.getloadavg())
    target = options.out / "placement.json"
    target.write_text(json.dumps(report, indent=1, default=float) + "\n")
    figure(report["methods"], options.out / "placement.png")
    print(target)


if __name__ == "__main__":
    main()
