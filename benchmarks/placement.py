"""Placement: quality, speed, growth and certificates of the solver, side by side with references.

    python benchmarks/placement.py [--data FOLDER] [--out FOLDER] [--quick] [--fresh] [--write-docs]

Writes placement.json, placement.png and the measured part of docs/placement.md (`--write-docs`: the
latter alone, from the JSON that is there). Every finished section is kept, so an interrupted run
goes on where it stopped; `--fresh` starts anew. Times are CPU seconds of the thread that solves,
least of the repeats, after warm-up; compilation is measured by itself in a fresh process.
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
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numba
import numpy as np
import scipy

from airtune.compiled import sources
from airtune.placement import (
    Problem,
    beamform,
    half_wavelength,
    kernels,
    load_problems,
    solve,
    solve_many,
)
from airtune.placement.branch import prove
from airtune.placement.certify import upper_bound
from airtune.placement.examples import random_problem
from airtune.placement.kernels.field import channel, pack, workspace
from airtune.placement.kernels.phases import multipliers, whiten
from placement_methods import db, side_by_side, spread, table, timed
from placement_tables import figure, write_docs

ROOT = Path(__file__).parents[1]
TABLE = "public_n8_k10_l10_a4_j0"
KINDS: dict[str, dict[str, Any]] = {
    "n4_k4_l4_a2_j0": {
        "antennas": 4,
        "clients": 4,
        "paths": 4,
        "region": (2.0, 2.0),
        "path_loss_db": 101.0,
    },
    "n4_k10_l6_a4_j2": {
        "antennas": 4,
        "paths": 6,
        "interferers": 2,
        "path_loss_db": 100.0,
        "shadowing_db": 2.0,
    },
    "n8_k10_l10_a4_j0": {"path_loss_db": 100.0, "shadowing_db": 2.0},
    "n8_k10_l6_a4_j2": {"paths": 6, "interferers": 2, "path_loss_db": 106.0},
    "n8_k10_l6_a4_j2_rician": {
        "paths": 6,
        "interferers": 2,
        "path_loss_db": 109.0,
        "shadowing_db": 5.0,
        "rice_factor": 10.0,
    },
    "n16_k10_l12_a4_j3": {"antennas": 16, "paths": 12, "interferers": 3},
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
    work = workspace(field)
    x = np.linspace(0, 4, 8)
    channel(field, x, x, work)
    _, cpu, _ = timed(lambda: [channel(field, x, x, work) for _ in range(1000)])
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


def modes_of(
    problems: list[Problem], known: list[float] | None, modes: tuple[str, ...], repeats: int
) -> tuple[dict[str, Any], list[float]]:
    """Modes against the best that any of them or `known` found; the report and these values."""
    report: dict[str, Any] = {}
    gains: dict[str, list[float]] = {}
    for mode in modes:
        solve(problems[0], mode="fast")
        count = 1 if mode == "exhaustive" else repeats
        runs = [timed(lambda p=p, mode=mode: solve(p, mode=mode), count) for p in problems]
        gains[mode] = [run[0].worst_gain for run in runs]
        report[mode] = {
            "cpu_ms": spread([run[1] for run in runs]),
            "wall_ms": spread([run[2] for run in runs]),
            "feasible": all(
                p.violation(run[0].positions) <= 1e-9 for p, run in zip(problems, runs, strict=True)
            ),
        }
        if known is not None:
            pairs = list(zip(known, gains[mode], strict=True))
            report[mode]["loss_db"] = spread([db(k / g) for k, g in pairs])
            report[mode]["beats_best_known"] = sum(g > k * (1 + 1e-4) for k, g in pairs)
    best = np.max([known or gains[modes[0]], *gains.values()], axis=0)
    for mode, found in gains.items():
        loss = [db(b / g) for b, g in zip(best, found, strict=True)]
        report[mode]["loss_to_best_db"] = spread(loss)
    return report, [float(b) for b in best]


def public(path: Path, quick: bool) -> dict[str, Any]:
    """Modes, gain over the fixed array and certificates on one class of public problems."""
    problems, known = load_problems(path), np.load(path)["best_known"].tolist()
    modes, best = modes_of(
        problems, known, ("fast", "default", *(() if quick else ("exhaustive",))), 5
    )
    fixed = [beamform(p, half_wavelength(p.antennas, p.region)).worst_gain for p in problems]
    bounds = [timed(lambda p=p: upper_bound(p), 1) for p in problems]
    print(path.stem, {m: modes[m]["loss_to_best_db"] for m in modes}, flush=True)
    return {
        "instances": len(problems),
        "modes": modes,
        "best": best,
        "gain_over_fixed_db": spread([db(b / f) for b, f in zip(best, fixed, strict=True)]),
        "bound_gap_db": spread(
            [db(bound[0][0] / b) for bound, b in zip(bounds, best, strict=True)]
        ),
        "bounds_hold": all(bound[0][0] >= b for bound, b in zip(bounds, best, strict=True)),
        "bound_ms": spread([bound[1] for bound in bounds]),
    }


def fresh(kind: str, instances: int, quick: bool) -> dict[str, Any]:
    """Modes on own random problems of a kind."""
    number = list(KINDS).index(kind)
    problems = [random_problem([90210, number, i], **KINDS[kind]) for i in range(instances)]
    modes, _ = modes_of(problems, None, ("fast", "default", *(() if quick else ("exhaustive",))), 2)
    print("fresh", kind, {m: modes[m]["loss_to_best_db"] for m in modes}, flush=True)
    return {"instances": instances, "modes": modes}


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
    for seed in range(24):
        problem = random_problem([55, seed], **KINDS[path.stem.removeprefix("public_")])
        rng = np.random.default_rng(seed)
        last = solve(problem)
        new = rng.normal(size=problem.gains.shape) + 1j * rng.normal(size=problem.gains.shape)
        new *= np.sqrt((np.abs(problem.gains) ** 2).mean(axis=1, keepdims=True) / 2)
        later = replace(problem, gains=0.95 * problem.gains + math.sqrt(1 - 0.95**2) * new)
        cold, cold_ms, _ = timed(lambda p=later: solve(p), 3)
        warm, warm_ms, _ = timed(lambda p=later, r=last: solve(p, start=r.positions), 3)
        ratio.append(cold_ms / warm_ms)
        change.append(db(warm.worst_gain / cold.worst_gain))
    return {
        "instances": len(ratio),
        "times_faster": float(np.median(ratio)),
        "gain_change_db": float(np.median(change)),
        "gain_change_mean_db": float(np.mean(change)),
    }


def beamformers(files: list[Path]) -> dict[str, Any]:
    """Fixed half-wavelength arrays: SQP and the oblique manifold below the semidefinite bound."""
    gaps: dict[str, list[float]] = {"sqp": [], "oblique": []}
    times: dict[str, list[float]] = {"sqp": [], "oblique": []}
    for path in files:
        for problem in load_problems(path):
            places = half_wavelength(problem.antennas, problem.region)
            bound = semidefinite_bound(problem, places)
            for method, gap in gaps.items():
                found, cpu, _ = timed(
                    lambda p=problem, r=places, m=method: beamform(p, r, method=m)
                )
                gap.append(db(bound / found.worst_gain))
                times[method].append(cpu)
    report: dict[str, Any] = {"instances": len(gaps["sqp"])}
    for method, gap in gaps.items():
        report[method] = {"cpu_ms": float(np.median(times[method])), "sdp_gap_db": spread(gap)}
    return report


def proved_beamformers(files: list[Path]) -> dict[str, Any]:
    """Fixed arrays: how far the beamformer can be from the optimum, and the bounds' distances.

    The semidefinite bound here is the one that the proof starts from (its own dual solution).
    """
    rows = []
    for path in files:
        for index, problem in enumerate(load_problems(path)):
            found = beamform(problem, half_wavelength(problem.antennas, problem.region))
            proved, cpu, _ = timed(lambda p=problem, f=found: prove(p, f), 2)
            G, R = problem.auxiliary_channel(found.positions), problem.covariance(found.positions)
            _, H = whiten(R, G / math.sqrt(found.worst_gain))
            rows.append(
                {
                    "instance": f"{path.stem.removeprefix('public_')} {index}",
                    "semidefinite_gap_db": -db(multipliers(H).sum()),
                    "to_optimum_db": db(proved.upper_bound / found.worst_gain),
                    "improved_db": db(proved.worst_gain / found.worst_gain),
                    "cpu_ms": cpu,
                }
            )
    return {
        "instances": len(rows),
        "proved_within_0.01_db": sum(row["to_optimum_db"] <= 0.01 + 1e-6 for row in rows),
        "to_optimum_db": spread([row["to_optimum_db"] for row in rows]),
        "improved_db_worst": max(row["improved_db"] for row in rows),
        "semidefinite_gap_db": spread([row["semidefinite_gap_db"] for row in rows]),
        "cpu_ms": spread([row["cpu_ms"] for row in rows]),
        "semidefinite_gap_over_0.1_db": [r for r in rows if r["semidefinite_gap_db"] > 0.1],
    }


def semidefinite_bound(problem: Problem, positions: np.ndarray) -> float:
    """max t s.t. g_k^H R^-1/2 B R^-1/2 g_k >= t, B >= 0, tr B = 1: no beamformer exceeds it."""
    import cvxpy as cp

    N = len(positions)
    root = np.linalg.inv(np.linalg.cholesky(problem.covariance(positions)))
    white = (root @ problem.auxiliary_channel(positions).T).T
    size = float(np.linalg.norm(white, axis=1).min() ** 2)
    B, t = cp.Variable((N, N), hermitian=True), cp.Variable()
    limits = [B >> 0, cp.real(cp.trace(B)) == 1]
    limits += [cp.real(cp.trace(np.outer(v, v.conj()) / size @ B)) >= t for v in white]
    return float(cp.Problem(cp.Maximize(t), limits).solve(solver=cp.CLARABEL)) * size


def batch(path: Path) -> dict[str, Any]:
    """A batch on one and on two threads, wall time; the answers are compared bit by bit."""
    problems = load_problems(path) * 4
    one, _, wall_one = timed(lambda: solve_many(problems), 3)
    two, _, wall_two = timed(lambda: solve_many(problems, threads=2), 3)
    same = all(np.array_equal(a.positions, b.positions) for a, b in zip(one, two, strict=True))
    return {
        "instances": len(problems),
        "wall_ms_1": wall_one,
        "wall_ms_2": wall_two,
        "same_answers": same,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "placement")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--quick", action="store_true", help="a few instances, no exhaustive mode")
    parser.add_argument("--fresh", action="store_true", help="forget an interrupted run")
    parser.add_argument("--write-docs", action="store_true", help="only rewrite the page's tables")
    options = parser.parse_args()
    target, page = options.out / "placement.json", ROOT / "docs" / "placement.md"
    if options.write_docs:
        write_docs(json.loads(target.read_text()), page)
        sys.exit()
    files = sorted(options.data.glob("public_*.npz"))
    if not files:
        sys.exit(f"no public_*.npz in {options.data}")
    options.out.mkdir(parents=True, exist_ok=True)
    report = measure(
        files, options.data / f"{TABLE}.npz", options.out, options.quick, options.fresh
    )
    target.write_text(json.dumps(report, indent=1, default=float) + "\n")
    figure(report["methods"], options.out / "placement.png")
    if not options.quick:
        write_docs(report, page)
    print(target)


def measure(files: list[Path], main_class: Path, out: Path, quick: bool, anew: bool) -> Any:
    """All sections; those that an interrupted run of the same code left behind are not repeated."""
    unfinished = out / "placement.partial.json"
    stamp = [quick, *map(list, sources(Path(kernels.__file__).parent))]
    last = json.loads(unfinished.read_text()) if unfinished.exists() and not anew else {}
    report: dict[str, Any] = last if last.get("stamp") == stamp else {"stamp": stamp}
    instances = 4 if quick else 32

    def section(where: dict[str, Any], name: str, job: Callable[[], Any]) -> None:
        if name not in where:
            where[name] = job()
            unfinished.write_text(json.dumps(report, default=float))

    section(report, "environment", environment)
    classes = report.setdefault("public", {})
    for path in files:
        section(classes, path.stem, lambda path=path: public(path, quick))
    report["fresh_instances"] = instances
    classes = report.setdefault("fresh", {})
    for kind in KINDS:
        section(classes, kind, lambda kind=kind: fresh(kind, instances, quick))
    best = report["public"][TABLE]["best"]
    section(report, "methods", lambda: table(main_class, best, quick))
    section(report, "against_alternating_cvxpy", lambda: side_by_side(main_class, quick))
    section(report, "growth", lambda: growth(quick))
    section(report, "warm_start", lambda: warm_start(main_class))
    section(report, "beamformer", lambda: beamformers(files[:2] if quick else files))
    section(report, "proved_beamformer", lambda: proved_beamformers(files[:2] if quick else files))
    section(report, "batch", lambda: batch(main_class))
    section(report, "compilation_s", compile_seconds)
    report["environment"]["load_average_end"] = list(os.getloadavg())
    del report["stamp"]
    unfinished.unlink()
    return report


if __name__ == "__main__":
    main()
