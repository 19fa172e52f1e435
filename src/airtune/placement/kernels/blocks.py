"""One antenna on the grid, judged for many blocks at once."""

from __future__ import annotations

import math

from airtune.compiled import entry
from airtune.kinds import Real
from airtune.placement.kernels.arrays import blank
from airtune.placement.kernels.exchange import Grid
from airtune.placement.kernels.field import Field, Workspace, channel
from airtune.placement.kernels.nulling import response, see_sums
from airtune.placement.kernels.relocate import score, sums_without


@entry
def add_errors(
    field: Field, grid: Grid, z: Real, n: int, scale: float, work: Workspace, total: Real
) -> None:
    """Add a block's error 1 / t with antenna n at each grid point, at its best of eight phases.

    The other antennas hold down what it lets in (`relocate.score`); the beamformer stays otherwise.

    Parameters
    ----------
    field : Field
    grid : Grid
    z : ndarray, shape (4, N)
        Re a, Im a, x, y.
    n : int
    scale : float
        Gain of the problem over that of the solver's scale.
    work : Workspace
        Overwritten.
    total : ndarray, shape (G,)
        The sum to which is added.
    """
    channel(field, z[2], z[3], work)
    M, N = field.clients + field.interferers, field.antennas
    g, scan = work.g, grid.scan
    for m in range(M):
        g[0, n * M + m] = g[1, n * M + m] = 0.0
    v = blank(2, M)
    sums_without(field, g, z, n, v)
    E, W = response(field, g)
    see_sums(field, E, W, v)
    power = 0.0
    for i in range(N):
        power += z[0, i] * z[0, i] + z[1, i] * z[1, i]
    size = math.sqrt(max(z[0, n] * z[0, n] + z[1, n] * z[1, n], 0.25 * power / N))
    rest = power - z[0, n] * z[0, n] - z[1, n] * z[1, n] + size * size
    G = len(total)
    score(field, scan, 0, G, E, W, v, size, rest)
    for q in range(G):
        total[q] += 1.0 / (scale * max(float(scan.top[q]), 1e-30))
