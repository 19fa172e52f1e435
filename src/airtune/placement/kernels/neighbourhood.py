"""Large-neighbourhood search: a few antennas leave an incumbent, come back elsewhere, all climb."""

from __future__ import annotations

import numpy as np

from airtune.placement.kernels.exchange import exchange
from airtune.placement.kernels.field import channel, entry
from airtune.placement.kernels.relocate import uniform
from airtune.placement.kernels.room import room
from airtune.placement.kernels.sqp import climb

REMOVED = (1, 1, 2, 2, 3)
CLOSED = (0.0, 0.0, 0.5)


@entry
def kick(field, table, scan, bounds, sweeps, state, g, rays, u, z):  # type: ignore[no-untyped-def]
    """Take random antennas out of z (4, N) and put them elsewhere; log t, -inf if that failed."""
    N = field.antennas
    channel(field, z[2], z[3], g, rays)
    count = min(max(1, N // 2), REMOVED[int(uniform(state) * len(REMOVED))])
    order = np.arange(N)
    for i in range(count):
        j = i + int(uniform(state) * (N - i))
        order[i], order[j] = order[j], order[i]
    closed = CLOSED[int(uniform(state) * len(CLOSED))]
    return exchange(field, table, scan, bounds, order[:count], closed, sweeps, state, g, u, z)


@entry
def explore(  # type: ignore[no-untyped-def]
    field, table, scan, bounds, sweeps, values, pool, trials, steps, tolerance, state, g, rays, u
):
    """Kick the incumbents in turn, climb, keep what is better; in place.

    Parameters
    ----------
    field : Field
    table : Table
    scan : Scan
    bounds : ndarray, shape (4, N)
        Least and greatest x, least and greatest y of every antenna  [wavelengths]
    sweeps : int
        Sweeps over all antennas after a kick.
    values : ndarray, shape (S,)
        log t of the incumbents.
    pool : ndarray, shape (S, 4, N)
        Incumbents.
    trials : int
    steps, tolerance
        For `climb`.
    state : ndarray, uint64, shape (1,)
        Random generator.
    g, rays, u : ndarray
        Work space from `workspace`.
    """
    z = np.empty((4, field.antennas))
    model, rows = room(field, 4 * field.antennas)
    for trial in range(trials):
        at = trial % len(values)
        z[:] = pool[at]
        if kick(field, table, scan, bounds, sweeps, state, g, rays, u, z) == -np.inf:
            continue
        value = climb(field, z, bounds, steps, tolerance, values[at], model, rows, g, rays, u)
        if value > values[at]:
            values[at] = value
            pool[at] = z
