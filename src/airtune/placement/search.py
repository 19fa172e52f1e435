"""Compiled driver: many starts, each polished; the best one wins."""

from __future__ import annotations

import numpy as np
from numba import njit

from airtune.placement.construct import grasp, seeded, tabulate
from airtune.placement.field import channel, worst
from airtune.placement.smooth import enter, soften, spread_apart


@njit(cache=True, nogil=True)
def search(field, seed, starts, fallback):  # type: ignore[no-untyped-def]
    """Best of `starts` GRASP starts with a smoothed max-min polish.

    Returns
    -------
    value : float
        log t in the solver's scale.
    ar, ai, x, y : ndarray, shape (N,)
    """
    N = field.antennas
    M = field.clients + field.interferers
    g, u, z = np.empty((6, N * M)), np.empty((2, M)), np.empty((4, N))
    ar, ai, x, y = np.empty(N), np.empty(N), np.empty(N), np.empty(N)
    table = tabulate(field, 0.125)
    state = seeded(seed)
    best = -np.inf
    kept = np.zeros((4, N))
    for _ in range(starts):
        if not grasp(field, table, 0.1, state, ar, ai, x, y):
            x[:], y[:] = fallback[:, 0], fallback[:, 1]
            ar[:] = 1.0
            ai[:] = 0.0
        enter(field, ar, ai, x, y, z)
        soften(field, z, 30.0, 40, x, y, g, u)
        soften(field, z, 100.0, 60, x, y, g, u)
        for n in range(N):
            x[n] = 0.5 * field.width * (1 + np.sin(z[2, n]))
            y[n] = 0.5 * field.height * (1 + np.sin(z[3, n]))
        if not spread_apart(field, x, y):
            x[:], y[:] = fallback[:, 0], fallback[:, 1]
        channel(field, x, y, g)
        value = worst(field, z[0], z[1], g, u)
        if value > best:
            best = value
            kept[0], kept[1], kept[2], kept[3] = z[0], z[1], x, y
    return best, kept
