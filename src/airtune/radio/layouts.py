"""Layouts of arrays: half-wavelength and random positions (system model, section 3).

Positions are in wavelengths, in the box [0, A_x] x [0, A_y] (A_y = 0: a line).
"""

from __future__ import annotations

import math

import numpy as np

from airtune.errors import InputError
from airtune.kinds import Integer, Real

HALF_WAVELENGTH = 0.5
"""Spacing of a fixed array [wavelengths]."""

_ROUNDING = 1e-9

_MOST_NODES = 2048
"""Nodes of a lattice along a side at most: more than there can be antennas."""


def is_feasible(
    positions: Real, region: tuple[float, float], spacing: float, tolerance: float = _ROUNDING
) -> bool:
    """Tell whether all antennas are in the region and pairwise at least `spacing` apart."""
    inside = (positions >= -tolerance) & (positions <= np.asarray(region) + tolerance)
    gaps = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    apart = gaps[np.triu_indices(len(positions), k=1)] >= spacing - tolerance
    return bool(inside.all() and apart.all())


def fixed_array(antennas: int, region: tuple[float, float]) -> Real:
    """Return the half-wavelength array, centred in the region (system model, section 3).

    n_x elements along x with n_x the largest divisor of N not above sqrt(N), N / n_x along y.
    Where this does not fit (a line region, for one), the layout nearest to it that does is taken:
    other divisors of N first, else a grid whose last row is not full.

    Parameters
    ----------
    antennas : int
        Number N of antennas.
    region : tuple of two floats
        A_x, A_y [wavelengths].

    Returns
    -------
    ndarray, float, shape (N, 2)
        Positions, row by row.

    Raises
    ------
    InputError
        If no half-wavelength grid of N antennas fits.

    Examples
    --------
    >>> fixed_array(4, (4.0, 4.0)).tolist()
    [[1.75, 1.75], [2.25, 1.75], [1.75, 2.25], [2.25, 2.25]]
    """
    most_x, most_y = (math.floor(side / HALF_WAVELENGTH + _ROUNDING) + 1 for side in region)
    wanted = max(n for n in range(1, math.isqrt(antennas) + 1) if antennas % n == 0)
    # a width beyond N is no other layout
    fitting = [n for n in range(1, min(most_x, antennas) + 1) if -(-antennas // n) <= most_y]
    if not fitting:
        raise InputError(
            f"array.region {tuple(region)} holds at most {most_x * most_y} antennas of a "
            f"half-wavelength array, {antennas} are asked for: enlarge it or take fewer antennas"
        )
    # full grids first, then the width nearest (in ratio) to the wanted one
    width = min(fitting, key=lambda n: (antennas % n != 0, abs(math.log(n / wanted)), n))
    rows, columns = np.divmod(np.arange(antennas), width)
    grid = HALF_WAVELENGTH * np.stack([columns, rows], axis=-1)
    return np.asarray(grid + (np.asarray(region) - grid.max(axis=0)) / 2.0)


def random_positions(
    antennas: int,
    region: tuple[float, float],
    spacing: float,
    rng: np.random.Generator,
    attempts: int = 200,
) -> Real:
    """Return random feasible positions.

    Antennas are dropped one after the other, uniformly over the region, and stay if they are far
    enough from those before; a drop that fails 50 times starts the set anew.  When the region is
    barely large enough for this, N random nodes of a stretched lattice (square or hexagonal) are
    taken instead.

    Parameters
    ----------
    antennas : int
        Number N of antennas.
    region : tuple of two floats
        A_x, A_y [wavelengths].
    spacing : float
        Least distance D [wavelengths].
    rng : Generator
        Source of randomness.
    attempts : int
        Sets begun before the lattice is used.

    Returns
    -------
    ndarray, float, shape (N, 2)

    Raises
    ------
    InputError
        If no lattice of N nodes fits the region.
    """
    for _ in range(attempts):
        positions = _drop(antennas, region, spacing, rng)
        if positions is not None:
            return positions
    nodes = max((_square_lattice(region, spacing), _hexagonal_lattice(region, spacing)), key=len)
    if len(nodes) < antennas:
        raise InputError(
            f"array.region {tuple(region)} holds about {len(nodes)} antennas at array.spacing "
            f"{spacing:g}, {antennas} are asked for: enlarge the region or take fewer antennas"
        )
    chosen: Integer = rng.choice(len(nodes), size=antennas, replace=False)
    return nodes[chosen]


def _drop(
    antennas: int, region: tuple[float, float], spacing: float, rng: np.random.Generator
) -> Real | None:
    """Drop antennas one by one; None if one does not fit in 50 trials."""
    positions = np.empty((antennas, 2))
    for n in range(antennas):
        trials = rng.uniform(0.0, region, size=(50, 2))
        gaps = np.linalg.norm(trials[:, None] - positions[None, :n], axis=-1)
        free = np.flatnonzero((gaps >= spacing).all(axis=1))
        if not len(free):
            return None
        positions[n] = trials[free[0]]
    return positions


def _square_lattice(region: tuple[float, float], spacing: float) -> Real:
    """Return the nodes of the densest square lattice, stretched to fill the region."""
    lines = [_line(side, spacing) for side in region]
    return np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, 2)


def _hexagonal_lattice(region: tuple[float, float], spacing: float) -> Real:
    """Return a hexagonal lattice with rows along x, stretched to fill the region."""
    rows = _line(region[1], spacing * math.sqrt(0.75))
    even = _line(region[0], spacing)
    # odd rows sit in the gaps of the even ones, or beside the only node of a narrow region
    odd = (even[:-1] + even[1:]) / 2.0
    if len(even) == 1 and region[0] >= spacing / 2.0:
        odd = np.array([spacing / 2.0])
    nodes = [(x, y) for index, y in enumerate(rows) for x in (odd if index % 2 else even)]
    return np.asarray(nodes, dtype=np.float64)


def _line(side: float, spacing: float) -> Real:
    """Return the most points on [0, side] at least `spacing` apart, stretched to both ends."""
    count = math.floor(min(side / spacing, _MOST_NODES) + _ROUNDING) + 1
    return np.linspace(0.0, side, count) if count > 1 else np.zeros(1)
