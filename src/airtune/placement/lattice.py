"""Regular arrays and feasible positions when the region is barely large enough."""

from __future__ import annotations

import math

import numpy as np

from airtune.placement.problem import FEASIBILITY, ProblemError, Real, least_distance

SLACK = 1e-9


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
        If no arrangement was found. Between the best lattice and Oler's bound this is no proof.
    """
    width, height = float(region[0]), float(region[1])
    for points in (
        _square(width, height, spacing),
        _hexagonal(width, height, spacing),
        _hexagonal(height, width, spacing)[:, ::-1],
    ):
        if len(points) >= antennas:
            pick = np.linspace(0, len(points) - 1, antennas).round().astype(int)
            return np.ascontiguousarray(points[pick])
    found = _repel(antennas, width, height, spacing)
    if found is None:
        raise ProblemError(
            f"region {width:g} x {height:g} wavelengths with spacing {spacing:g}: "
            f"no arrangement of {antennas} antennas was found"
        )
    return found


def _axis(length: float, pitch: float) -> Real:
    """Points from 0 to `length`, evenly spread, at least `pitch` apart."""
    if length == 0:
        return np.zeros(1)
    count = 64 if pitch == 0 else math.floor(length / pitch + SLACK) + 1
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
    return np.minimum(np.array(points), [width, height])


def _repel(antennas: int, width: float, height: float, spacing: float) -> Real | None:
    """Push overlapping discs apart from random starts until they fit; None if they never do."""
    rng = np.random.default_rng(0)
    region = np.array([width, height])
    i, j = np.triu_indices(antennas, 1)
    for _ in range(50):
        points = rng.uniform(0, 1, (antennas, 2)) * region
        for _ in range(2000):
            gap = points[i] - points[j]
            distance = np.maximum(np.linalg.norm(gap, axis=1), 1e-12)
            short = np.maximum(0.0, spacing * (1 + 1e-10) - distance)
            if not short.any():
                break
            push = 0.5 * (short / distance)[:, None] * gap
            np.add.at(points, i, push)
            np.add.at(points, j, -push)
            points = np.clip(points, 0, region)
        if least_distance(points) >= spacing - FEASIBILITY / 10:
            return points
    return None
