"""Regular arrays and feasible positions when the region is barely large enough."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from airtune.kinds import Real
from airtune.placement.problem import ProblemError

SLACK = 1e-9
MOST_POINTS = 2048
"""Points along a side at most: more than there can be antennas."""


def lattice(antennas: int, region: Real, spacing: float) -> Real:
    """Feasible positions spread over the box, whatever fits: square, hexagonal, or by repulsion.

    Parameters
    ----------
    antennas : int
    region : ndarray, shape (2,)  [wavelengths]
    spacing : float  [wavelengths]

    Returns
    -------
    ndarray, shape (N, 2)  [wavelengths]

    Raises
    ------
    ProblemError
        If no arrangement was found; that is no proof that there is none.

    Examples
    --------
    >>> lattice(4, np.array([1.0, 1.0]), 0.5).tolist()
    [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [1.0, 1.0]]
    """
    width, height = float(region[0]), float(region[1])
    layouts: tuple[Callable[[], Real], ...] = (
        lambda: _square(width, height, spacing),
        lambda: _hexagonal(width, height, spacing),
        lambda: _hexagonal(height, width, spacing)[:, ::-1],
    )
    for layout in layouts:
        points = layout()
        if len(points) >= antennas:
            pick = np.linspace(0, len(points) - 1, antennas).round().astype(int)
            return np.ascontiguousarray(points[pick])
    pushed = _repel(antennas, width, height, spacing)
    if pushed is None:
        raise ProblemError(
            f"region {width:g} x {height:g} wavelengths with spacing {spacing:g}: "
            f"no arrangement of {antennas} antennas was found"
        )
    return pushed


def _axis(length: float, pitch: float) -> Real:
    """Points from 0 to `length`, evenly spread, at least `pitch` apart."""
    if length == 0:
        return np.zeros(1)
    count = 64 if pitch == 0 else math.floor(min(length / pitch, MOST_POINTS) + SLACK) + 1
    if count == 1:
        return np.array([length / 2])
    return np.linspace(0.0, length, count)


def _square(width: float, height: float, spacing: float) -> Real:
    x, y = np.meshgrid(_axis(width, spacing), _axis(height, spacing), indexing="ij")
    return np.column_stack([x.ravel(), y.ravel()])


def _hexagonal(width: float, height: float, spacing: float) -> Real:
    """Rows at distance D sqrt(3)/2 along y, every second one shifted by half a pitch along x."""
    if spacing == 0 or width == 0:
        return _square(width, height, spacing)
    pitch = math.sqrt(3) / 2 * spacing
    rows = math.floor(height / pitch + SLACK) + 1
    points = []
    for row in range(rows):
        shift = spacing / 2 if row % 2 else 0.0
        count = math.floor((width - shift) / spacing + SLACK) + 1
        points += [(shift + i * spacing, row * pitch) for i in range(max(0, count))]
    return np.asarray(np.minimum(np.array(points), [width, height]))


def _repel(antennas: int, width: float, height: float, spacing: float) -> Real | None:
    """Push overlapping discs apart from random starts until they fit; None if they never do."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = rng.uniform(0, 1, (2, antennas)) * [[width], [height]]
        if spread_apart(width, height, spacing, x, y, sweeps=500):
            return np.column_stack([x, y])
    return None


def spread_apart(
    width: float, height: float, spacing: float, x: Real, y: Real, sweeps: int = 400
) -> bool:
    """Push close pairs apart by half the violation and clip to the box.

    Parameters
    ----------
    width, height, spacing : float  [wavelengths]
    x, y : ndarray, shape (N,)
        In and out  [wavelengths]
    sweeps : int

    Returns
    -------
    bool
        True if the positions end up feasible to 1e-11.
    """
    i, j = np.triu_indices(len(x), 1)
    for _ in range(sweeps):
        dx, dy = x[i] - x[j], y[i] - y[j]
        distance = np.maximum(np.hypot(dx, dy), 1e-12)
        short = np.maximum(0.0, spacing + 1e-11 - distance)
        if (short <= 1e-11).all():
            return True
        push = 0.5 * short / distance
        for points, gap, end in ((x, dx, width), (y, dy, height)):
            np.add.at(points, i, push * gap)
            np.add.at(points, j, -push * gap)
            np.clip(points, 0.0, end, out=points)
    return False
