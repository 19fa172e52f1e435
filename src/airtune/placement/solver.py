"""The one door to the placement solver."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from airtune.placement.lattice import lattice
from airtune.placement.problem import Placement, Problem, Real, evaluate, normalise

MODES = ("fast", "default", "exhaustive")
METHODS = ("auto", "pdd", "smooth", "sqp")
EFFORT = {
    "fast": (6, 2, 3, 8, 1, 20),
    "default": (16, 2, 6, 40, 2, 40),
    "exhaustive": (128, 3, 32, 800, 4, 60),
}


def solve(
    problem: Problem,
    *,
    mode: str = "default",
    method: str = "auto",
    seed: int = 0,
    start: Real | None = None,
    certify: bool = False,
) -> Placement:
    """Maximise the worst client's gain over positions and beamformer (system model, section 5)."""
    began = time.perf_counter()
    from airtune.placement.field import pack
    from airtune.placement.search import Effort, search

    fallback = lattice(problem.antennas, problem.region, problem.spacing)
    if not problem.active.any():
        w = normalise(problem, fallback, np.ones(problem.antennas, dtype=np.complex128))
        return Placement(fallback, w, math.inf, method="silent")
    field, _ = pack(problem)
    _, kept = search(field, seed, Effort(*EFFORT[mode]), fallback)
    positions = np.clip(np.column_stack([kept[2], kept[3]]), 0, problem.region)
    w = normalise(problem, positions, kept[0] - 1j * kept[1])
    return Placement(
        positions,
        w,
        evaluate(problem, positions, w),
        seconds=time.perf_counter() - began,
        method=method,
    )


def beamform(problem: Problem, positions: Real, *, starts: int = 32, seed: int = 0) -> Placement:
    """Best beamformer for antennas that stay where they are: `beamformer.beamform`, loaded late."""
    from airtune.placement import beamformer

    return beamformer.beamform(problem, positions, starts=starts, seed=seed)


def solve_many(
    problems: Sequence[Problem],
    *,
    mode: str = "default",
    method: str = "auto",
    seed: int = 0,
    threads: int = 1,
    certify: bool = False,
) -> list[Placement]:
    """Solve independent problems; the answers depend on neither the batch nor `threads`."""
    job = partial(solve, mode=mode, method=method, seed=seed, certify=certify)
    if threads == 1:
        return [job(problem) for problem in problems]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(job, problems))
