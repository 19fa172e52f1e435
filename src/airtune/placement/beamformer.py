"""The best beamformer for given positions: max-min over a = conj(w) alone, from many starts."""

from __future__ import annotations

import math
import time

import numpy as np
from numba import njit

from airtune.placement.construct import seeded, uniform
from airtune.placement.field import channel, pack
from airtune.placement.problem import Placement, Problem, Real, evaluate, normalise
from airtune.placement.sqp import ascend


@njit(cache=True, nogil=True)
def combine_best(field, x, y, seed, starts, steps):  # type: ignore[no-untyped-def]
    """Best of SQP climbs over the beamformer from random combinations of whitened channels.

    Start i is a = conj(R^-1 sum_k c_k g_k) with |c_k| = 1 / ||g_k|| and random phases, so strong
    interferers are already suppressed.

    Returns
    -------
    value : float
        log t in the solver's scale.
    ar, ai : ndarray, shape (N,)
    """
    N, K = field.antennas, field.clients
    M = K + field.interferers
    g, u = np.empty((12, N * M)), np.empty((2, M))
    channel(field, x, y, g[:6])
    G = (g[0] + 1j * g[1]).reshape(N, M)
    V = np.ascontiguousarray(G[:, K:])
    R = np.eye(N) + V @ np.ascontiguousarray(V.conj().T)
    white = np.linalg.solve(R, np.ascontiguousarray(G[:, :K]))
    state = seeded(seed)
    best = -np.inf
    kept = np.zeros((2, N))
    for _ in range(starts):
        w = np.zeros(N, np.complex128)
        for k in range(K):
            turn = 2 * math.pi * uniform(state)
            size = math.sqrt((np.abs(G[:, k]) ** 2).sum())
            w += white[:, k] * complex(math.cos(turn), math.sin(turn)) / size
        ar, ai = w.real.copy(), -w.imag.copy()
        value = ascend(field, ar, ai, x, y, steps, False, 1e-6, -np.inf, g, u)
        if value > best:
            best = value
            kept[0], kept[1] = ar, ai
    return best, kept


def beamform(problem: Problem, positions: Real, *, starts: int = 32, seed: int = 0) -> Placement:
    """Best beamformer w for antennas that stay where they are (fixed arrays).

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
    x, y = positions[:, 0].copy(), positions[:, 1].copy()
    _, kept = combine_best(field, x, y, seed, starts, 60)
    w = normalise(problem, positions, kept[0] - 1j * kept[1])
    gain = evaluate(problem, positions, w)
    return Placement(positions, w, gain, seconds=time.perf_counter() - began, method="sqp")
