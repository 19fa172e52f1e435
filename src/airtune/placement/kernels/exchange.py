"""Exchange on the grid: antennas leave and go where the table says, one after the other."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from airtune.compiled import inner
from airtune.kinds import Integer, Real
from airtune.placement.kernels.arrays import blank
from airtune.placement.kernels.construct import Table, place
from airtune.placement.kernels.field import Field, Workspace, combine, worst
from airtune.placement.kernels.nulling import answer_leak, response, see_sums
from airtune.placement.kernels.relocate import (
    Random,
    Scan,
    best_phase,
    best_place,
    close_disc,
    close_outside,
    score,
    sums_without,
    uniform,
)

FRESH = 0.3
"""How near an antenna that was taken out comes back to its place, unless told  [wavelengths]"""


class Grid(NamedTuple):
    """Where the antennas may go.

    table : Table
    scan : Scan
    bounds : ndarray, shape (4, N)
        Least and greatest x, least and greatest y of every antenna  [wavelengths]
    discs : ndarray, shape (3, N)
        Centre (x, y) and radius of the disc in which a grid point must lie as well; inf: any.
        Steps between grid points keep to the box alone.  [wavelengths]
    fresh : float
        An antenna that was taken out does not come back closer than this.  [wavelengths]
    """

    table: Table
    scan: Scan
    bounds: Real
    discs: Real
    fresh: float


@inner
def _close_far(grid: Grid, n: int, change: int) -> None:
    """Add `change` obstacles to every grid point outside the disc of antenna n."""
    px, py, obstacles = grid.table.px, grid.table.py, grid.scan.obstacles
    x, y, radius = grid.discs[0, n], grid.discs[1, n], grid.discs[2, n]
    if radius == np.inf:
        return
    limit, delta = (radius + 1e-9) * (radius + 1e-9), np.int32(change)
    for q in range(len(px)):
        dx, dy = px[q] - x, py[q] - y
        obstacles[q] += np.int32(0) if dx * dx + dy * dy <= limit else delta


@inner
def reinsert(
    field: Field, grid: Grid, span: tuple[int, int], n: int, size: float, g: Real, z: Real
) -> float:
    """Score the grid points of a span for antenna n, whose column of g is 0, and take the best.

    Returns
    -------
    float
        Its score; -1 if none is free.
    """
    (first, last), table, scan = span, grid.table, grid.scan
    ar, ai = z[0], z[1]
    v = blank(2, field.clients + field.interferers)
    sums_without(field, g, z, n, v)
    rest = size * size
    for i in range(field.antennas):
        if i != n:
            rest += ar[i] * ar[i] + ai[i] * ai[i]
    E, W = response(field, g)
    see_sums(field, E, W, v)
    score(field, scan, first, last, E, W, v, size, rest)
    at = best_place(scan, first, last)
    if at < 0:
        return -1.0
    place(field, table, at, n, g, z)
    M = field.clients + field.interferers
    t = blank(2, M)
    for m in range(M):
        t[0, m], t[1, m] = table.tr[m, at], table.ti[m, at]
    see_sums(field, E, W, t)
    cos, sin, top = best_phase(field, t, v, size, rest)
    ar[n], ai[n] = size * cos, size * sin
    return top


@inner
def _lift(field: Field, n: int, g: Real, column: Real) -> None:
    """Take antenna n out of the channel; what was there goes to `column` (2, M)."""
    M = field.clients + field.interferers
    for m in range(M):
        q = n * M + m
        column[0, m], column[1, m] = g[0, q], g[1, q]
        g[0, q] = g[1, q] = 0.0


@inner
def copy(source: Real, target: Real) -> None:
    """target = source, both 2-D; numba compiles an assignment of a whole array for seconds."""
    for i in range(source.shape[0]):
        for j in range(source.shape[1]):
            target[i, j] = source[i, j]


@inner
def exchange(
    field: Field,
    grid: Grid,
    out: Integer,
    closed: float,
    sweeps: int,
    state: Random,
    work: Workspace,
    z: Real,
) -> float:
    """Put the antennas `out` elsewhere, then move any antenna to a better place while that helps.

    Parameters
    ----------
    field : Field
    grid : Grid
    out : ndarray, int, shape (any,)
        Antennas that must leave their places, in the order in which they come back.
    closed : float
        Share of the grid that is closed, away from a random strip, when one of `out` comes back.
    sweeps : int
        Most sweeps over all antennas afterwards; each takes the best grid point and phase.
    state : ndarray, uint64, shape (1,)
        Random generator.
    work : Workspace
        Rows 0 and 1 of g: the channel of the positions in z; updated. `u` is overwritten.
    z : ndarray, shape (4, N)
        Re a, Im a, x, y; updated.

    Returns
    -------
    float
        log t, or -inf if an antenna found no free place.
    """
    N, M = field.antennas, field.clients + field.interferers
    x, y, g, scan = z[2], z[3], work.g, grid.scan
    column, before, G = blank(2, M), blank(4, N), len(scan.px)
    scan.obstacles[:] = 0
    size = 0.0
    for i in range(N):
        size += (z[0, i] * z[0, i] + z[1, i] * z[1, i]) / N
        close_disc(scan, x[i], y[i], field.spacing, 1)
    size = math.sqrt(size)
    for n in out:
        close_disc(scan, x[n], y[n], field.spacing, -1)
        close_disc(scan, x[n], y[n], grid.fresh, 1)
        _lift(field, n, g, column)
        z[0, n] = z[1, n] = 0.0
    value, moved = -np.inf, False
    for visit in range(len(out) + sweeps * N):
        forced = visit < len(out)
        turn = visit - len(out)
        n = out[visit] if forced else turn % N
        if not forced and turn % N == 0:
            if turn > 0 and not moved:
                break
            moved = False
            value = worst(field, combine(field, z, work), work.u)
        copy(z, before)
        open_points = int((1 - closed) * G) if forced else G
        first = int(uniform(state) * (G - open_points + 1)) if forced else 0
        if not forced:
            size = math.sqrt(z[0, n] * z[0, n] + z[1, n] * z[1, n])
            close_disc(scan, x[n], y[n], field.spacing, -1)
            _lift(field, n, g, column)
        close_outside(scan, grid.bounds, n, 1)
        _close_far(grid, n, 1)
        top = reinsert(field, grid, (first, first + open_points), n, size, g, z)
        close_outside(scan, grid.bounds, n, -1)
        _close_far(grid, n, -1)
        if forced and top < 0:
            return -np.inf
        if forced:
            close_disc(scan, before[2, n], before[3, n], grid.fresh, -1)
            answer_leak(field, g, z)
        else:
            new = -np.inf
            if math.log(max(top, 1e-30)) > value:
                answer_leak(field, g, z)
                new = worst(field, combine(field, z, work), work.u)
            if new > value + 1e-4:
                value = new
                moved = True
            else:
                copy(before, z)
                for m in range(M):
                    g[0, n * M + m], g[1, n * M + m] = column[0, m], column[1, m]
        close_disc(scan, x[n], y[n], field.spacing, 1)
    return worst(field, combine(field, z, work), work.u)
