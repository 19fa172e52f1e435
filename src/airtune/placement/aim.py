"""What searches from scratch and near the present places have in common: starts, local methods."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from airtune.kinds import Real
from airtune.placement.beamformer import beamform
from airtune.placement.problem import Problem, ProblemError
from airtune.placement.search import ROUGH, Effort, Local, Search


def aim(problem: Problem, positions: Real) -> Real:
    """Return z (4, N) at given positions (N, 2) with their best beamformer.

    Raises
    ------
    ProblemError
        The positions do not fit.
    """
    positions = np.asarray(positions, dtype=np.float64)
    if positions.shape != (problem.antennas, 2):
        raise ProblemError(f"start must have shape {(problem.antennas, 2)}, not {positions.shape}")
    if not problem.violation(positions) <= 1e-6:
        raise ProblemError("start must lie in the region and keep the spacing")
    w = beamform(problem, positions, starts=8).beamformer
    return np.stack([w.real, -w.imag, positions[:, 0], positions[:, 1]])


def local_method(run: Search, method: str, effort: Effort) -> tuple[Local | None, Effort]:
    """Return the local method of a search, None for its own (SQP), and the effort that fits it."""
    if not run.movable:
        return partial(_aimed, run, effort.steps), effort
    if method not in ("pdd", "smooth"):
        return None, effort
    # some ten times slower than SQP, so fewer trials
    rounds = tuple((min(size, 2), 1 + trials // 20) for size, trials in effort.rounds)
    effort = replace(effort, climbs=max(1, effort.climbs // 3), rounds=rounds)
    if method == "pdd":
        from airtune.placement.pdd import Pdd

        return Pdd(run).improve, effort
    from airtune.placement.smooth import Smooth

    return Smooth(run).improve, effort


def _aimed(run: Search, steps: int, z: Real, target: float) -> float:
    """Climb with the beamformer alone: the local method where places are given."""
    return run.climb(z, steps, ROUGH, target)
