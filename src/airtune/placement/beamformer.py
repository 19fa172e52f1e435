"""The best beamformer for given positions: max-min over a = conj(w) alone, from many starts."""

from __future__ import annotations

import math
import time

import numpy as np

from airtune.placement.field import pack, workspace
from airtune.placement.problem import Placement, Problem, Real, evaluate, normalise
from airtune.placement.sqp import ascend


def beamform(problem: Problem, positions: Real, *, starts: int = 32, seed: int = 0) -> Placement:
    """Best beamformer w for antennas that stay where they are (fixed arrays).

    Climbs from random combinations of whitened channels, w = R^-1 sum_k c_k g_k with
    |c_k| = 1 / ||g_k|| and random phases, so strong interferers are already suppressed.

    Parameters
    ----------
    problem : Problem
        Its region and spacing are ignored.
    positions : ndarray, shape (N, 2)  [wavelengths]
    starts : int
    seed : int

    Returns
    -------
    Placement
    """
    began = time.perf_counter()
    positions = np.ascontiguousarray(positions, dtype=np.float64)
    if not problem.active.any():
        w = normalise(problem, positions, np.ones(len(positions), dtype=np.complex128))
        return Placement(positions, w, math.inf, method="silent")
    field, _ = pack(problem, antennas=len(positions))
    rng = np.random.default_rng(seed)
    G, R = problem.auxiliary_channel(positions), problem.covariance(positions)
    white = np.linalg.solve(R, (G / np.linalg.norm(G, axis=1, keepdims=True)).T)
    phases = np.exp(2j * np.pi * rng.uniform(size=(starts, len(G))))
    g, rays, u = workspace(field)
    best, kept = -math.inf, np.empty((4, len(positions)))
    for c in phases:
        w = white @ c
        z = np.stack([w.real, -w.imag, positions[:, 0], positions[:, 1]])
        value = ascend(field, z, 60, False, 1e-6, -math.inf, g, rays, u)
        if value > best:
            best, kept = value, z
    w = normalise(problem, positions, kept[0] - 1j * kept[1])
    gain = evaluate(problem, positions, w)
    return Placement(positions, w, gain, seconds=time.perf_counter() - began, method="sqp")
