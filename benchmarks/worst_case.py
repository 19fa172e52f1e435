"""Places and beamformers for believed paths, sampled errors and worst errors, side by side.

    python benchmarks/worst_case.py [--out FOLDER] [--seeds N]

Random problems of four antennas, four clients and two interferers 38 dB above the noise (L = 5,
4 x 4 wavelengths, mode fast), with 8 channels for `sampled` and `worst-case` (two standard
deviations).  Of each answer: the gain on the believed paths, that with the worst errors found, and
median and 5 % quantile over errors drawn by the law of radio.csi.  Writes worst_case.json and its
table in docs/placement.md.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import manual
from airtune.placement import Placement, Problem, solve
from airtune.placement.examples import random_problem
from airtune.placement.problem import evaluate
from airtune.scenario import Csi
from airtune.schemes.robust import Robust
from airtune.schemes.worst_case import ErrorSet, worst_errors

ROOT = Path(__file__).parents[1]
LEVELS = {"5 %, 0.2 degrees": (0.05, 0.2), "5 %, 1 degree": (0.05, 1.0)}
WAYS = ("none", "sampled", "worst-case")
SAMPLES, DEVIATIONS, DRAWS, TIMES = 8, 2.0, 200, 100.0
FIGURES = {
    "believed_db": "on the believed paths [dB]",
    "worst_db": "worst errors [dB]",
    "low_db": "5 % of drawn errors [dB]",
    "median_db": "median of drawn errors [dB]",
    "cpu_s": "CPU [s]",
}


def answer(way: str, problem: Problem, csi: Csi, seed: int) -> Placement:
    """Return places and beamformer of a way."""
    rng = np.random.default_rng([seed, 1])

    def solved(one: Problem) -> Placement:
        return solve(one, mode="fast", seed=1)

    if way == "none":
        return solved(problem)
    if way == "sampled":
        return solved(Robust(csi, SAMPLES).problem(problem, rng))
    return Robust(csi, SAMPLES, DEVIATIONS).withstood(problem, solved, rng)[0]


def figures(way: str, level: str, seed: int) -> dict[str, float]:
    """Return what an answer reaches [dB] and what it takes [s]."""
    csi = Csi(gain_error=LEVELS[level][0], angle_error_deg=LEVELS[level][1])
    problem = random_problem([2027, seed], antennas=4, clients=4, paths=5, interferers=2)
    problem = replace(problem, interferer_powers=TIMES * problem.interferer_powers)
    began = time.thread_time()
    end = answer(way, problem, csi, seed)
    cpu = time.thread_time() - began
    at, w = end.positions, end.beamformer
    errors = ErrorSet(csi.gain_error, np.deg2rad(csi.angle_error_deg), DEVIATIONS)
    worst = worst_errors(problem, errors, at, w, np.random.default_rng([seed, 2]))
    drawn = Robust(csi, 2)
    rng = np.random.default_rng([seed, 3])
    gains = [evaluate(_second(drawn.problem(problem, rng)), at, w) for _ in range(DRAWS)]
    found = (evaluate(problem, at, w), worst.gain, np.quantile(gains, 0.05), np.median(gains))
    decibels = [10 * float(np.log10(max(gain, 1e-30))) for gain in found]
    return dict(zip(FIGURES, [*decibels, cpu], strict=True))


def _second(both: Problem) -> Problem:
    """Return the second of two channels that stand in one problem."""
    clients, others = len(both.gains) // 2, len(both.interferer_gains) // 2
    return replace(
        both,
        gains=both.gains[clients:],
        directions=both.directions[clients:],
        weights=both.weights[clients:],
        powers=both.powers[clients:],
        interferer_gains=both.interferer_gains[others:],
        interferer_directions=both.interferer_directions[others:],
        interferer_powers=2 * both.interferer_powers[others:],
    )


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    report: dict[str, Any] = {"seeds": options.seeds, "levels": LEVELS, "median": {}, "cells": {}}
    figures("none", next(iter(LEVELS)), 0)  # warm-up
    for level in LEVELS:
        for way in WAYS:
            some = [figures(way, level, seed) for seed in range(options.seeds)]
            report["cells"][f"{level}; {way}"] = some
            report["median"][f"{level}; {way}"] = {
                name: float(np.median([one[name] for one in some])) for name in FIGURES
            }
            print(level, way, report["median"][f"{level}; {way}"], flush=True)
    (options.out / "worst_case.json").write_text(json.dumps(report, indent=1) + "\n")
    rows = []
    for key, row in report["median"].items():
        level, way = key.split("; ")
        gains = [f"{row[name]:.1f}" for name in list(FIGURES)[:-1]]
        rows.append([level, f"`{way}`", *gains, f"{row['cpu_s']:.2f}"])
    table = manual.table(["errors", "`robust`", *FIGURES.values()], rows, 2)
    manual.put(ROOT / "docs" / "placement.md", "worst case", "\n".join(table))


if __name__ == "__main__":
    main()
