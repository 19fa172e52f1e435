"""The field of many paths from fewer plane waves, for a search that tries many places.

Whatever its paths are, over a region of A_x by A_y wavelengths a field of plane waves has about
pi A_x A_y degrees of freedom besides those of its border [1]_.  So the same waves serve every
transmitter: those whose directions lie on a lattice, one for each mode of a box a little larger
than the region (a Fourier extension [2]_), with amplitudes fitted to the exact field by regularised
least squares.  The fit misses some hundredths of the field: the search is done on it, and what it
finds is climbed with all paths.

References
----------
.. [1] R. A. Kennedy, P. Sadeghi, T. D. Abhayapala, H. M. Jones, "Intrinsic limits of dimensionality
   and richness in random multipath fields", IEEE Transactions on Signal Processing 55(6), 2007,
   doi:10.1109/TSP.2007.893738.
.. [2] D. Huybrechs, "On the Fourier extension of nonperiodic functions", SIAM Journal on Numerical
   Analysis 47(6), 2010, doi:10.1137/090752456.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from airtune.kinds import Complex, Real
from airtune.placement.kernels.construct import tabulate
from airtune.placement.kernels.field import Field

BEYOND = 1.2
"""How much longer than the region the box of the modes is  [wavelengths]"""
MORE = 0.5
"""Modes beyond those of directions of length 1, along either axis"""
APART, LEAST = 0.34, 7
"""Distance of the samples of the field at most [wavelengths], and samples along a side at least"""
REGULAR = 1e-3
"""Root of the regularisation, as a share of the mean square of a mode over the samples"""
PARTS, DROPPED = 4, 1e-4
"""Parts in which the lattice is cut down along either axis, as long as what of any transmitter
comes from beyond has at most this share of its power"""
WORTH = 2
"""How many times fewer the waves must be to be worth the fit"""
MOST_WAVES = 500
"""Waves at most: what the fit knows of a region takes time with their third power"""
SOME_PATHS = 40
"""Fields of fewer paths are never fitted"""


class Lattice(NamedTuple):
    """What the fit needs to know of a region.

    Attributes
    ----------
    directions : ndarray, shape (V, 2)
        Of the waves  [turns per wavelength]
    samples : tuple of (int, int)
        Places along x and y, borders included, at which the field is looked at.
    fit : ndarray, complex, shape (V, S)
        Amplitudes of the waves from the field at the samples, as seen from the region's centre.
    """

    directions: Real
    samples: tuple[int, int]
    fit: Complex


def fewer(field: Field) -> Field:
    """Return nearly the same field from fewer waves; the field itself where that saves little.

    Parameters
    ----------
    field : Field
        From `pack`.

    Examples
    --------
    >>> from airtune.placement.examples import random_problem
    >>> from airtune.placement.kernels.field import pack
    >>> few, _ = pack(random_problem(0, clients=2, paths=10, region=(2.0, 2.0)))
    >>> many, _ = pack(random_problem(0, clients=2, paths=400, region=(2.0, 2.0)))
    >>> fewer(few) is few, len(fewer(many).ux) < 60
    (True, True)
    """
    paths, region = field.ux.shape[0], (field.width, field.height)
    # the area alone tells that most regions need too many waves
    if paths < max(SOME_PATHS, WORTH * math.pi * math.prod(region)):
        return field
    waves = len(_modes(*region))
    if waves > MOST_WAVES or waves * WORTH > paths:
        return field
    lattice = lattice_of(*region, *_reach(field))
    # from the centre to the corner in which coordinates begin
    turns = lattice.directions @ (0.5 * np.array(region))
    amplitudes = _amplitudes(field, lattice) * np.exp(-2j * np.pi * turns)
    return _laid_out(field, lattice.directions, amplitudes)


@lru_cache(maxsize=8)
def lattice_of(width: float, height: float, reach_x: float = 1.0, reach_y: float = 1.0) -> Lattice:
    """Return the waves of a region and their fit; kept for the regions of late.

    Parameters
    ----------
    width, height : float
        A_x, A_y; 0 of a line  [wavelengths]
    reach_x, reach_y : float
        How large the parts of directions along x and y are at most.
    """
    directions = _modes(width, height, reach_x, reach_y)
    counts = (_count(width), _count(height))
    x, y = np.linspace(-0.5, 0.5, counts[0]), np.linspace(-0.5, 0.5, counts[1])
    places = np.stack(np.meshgrid(width * x, height * y, indexing="ij"), axis=-1).reshape(-1, 2)
    waves = np.exp(2j * np.pi * np.einsum("sd,vd->vs", places, directions))
    # samples and modes lie symmetrically about the centre, so the products are real
    products = np.einsum("us,vs->uv", waves.real, waves.real)
    products += np.einsum("us,vs->uv", waves.imag, waves.imag)
    products += REGULAR**2 * len(places) * np.eye(len(directions))
    inverse = _inverse(products)
    real = np.einsum("uv,vs->us", inverse, waves.real)
    return Lattice(directions, counts, real - 1j * np.einsum("uv,vs->us", inverse, waves.imag))


def _count(side: float) -> int:
    """Return the samples along a side."""
    return 1 if side == 0 else max(LEAST, math.ceil(side / APART - 1e-9) + 1)


@lru_cache(maxsize=64)
def _modes(width: float, height: float, reach_x: float = 1.0, reach_y: float = 1.0) -> Real:
    """Return the directions of the lattice up to length 1 and a little more, shape (V, 2)."""
    axes, scales = [], []
    for side, reach in ((width, reach_x), (height, reach_y)):
        box = side + BEYOND
        most = int(reach * box + 1) if side > 0 else 0
        axes.append(np.arange(-most, most + 1) / box)
        scales.append(1 + MORE / box)
    x, y = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
    inside = np.hypot(x / scales[0], y / scales[1]) <= 1
    return np.column_stack([x[inside], y[inside]])


def _inverse(matrix: Real) -> Real:
    """Return the inverse of a positive definite matrix, by Gauss-Jordan steps.

    No BLAS, whose rounding depends on where arrays lie in memory: the same problem must give the
    same bits.
    """
    both = np.concatenate([matrix, np.eye(len(matrix))], axis=1)
    for i in range(len(matrix)):
        row = both[i] / both[i, i]
        both -= both[:, i, None] * row
        both[i] = row
    return both[:, len(matrix) :]


def _reach(field: Field) -> tuple[float, float]:
    """Return how far directions reach along x and y, in parts, but for what is dropped."""
    rows = field.clients + field.interferers
    power = field.ar[:, :rows] ** 2 + field.ai[:, :rows] ** 2
    allowed = DROPPED * power.sum(axis=0)

    def along(axis: Real) -> float:
        size = np.abs(axis[:, :rows])
        for part in range(1, PARTS):
            beyond = np.where(size > part / PARTS, power, 0.0).sum(axis=0)
            if (beyond <= allowed).all():
                return part / PARTS
        return 1.0

    return along(field.ux), along(field.uy)


def _amplitudes(field: Field, lattice: Lattice) -> Complex:
    """Return the amplitudes of every row's waves, shape (M, V)."""
    steps = [max(1, count - 1) for count in lattice.samples]
    # the table's grid has one pitch: lengths in units of the samples' distance on either axis
    unit = field._replace(
        ux=field.ux * (field.width / steps[0]),
        uy=field.uy * (field.height / steps[1]),
        width=float(lattice.samples[0] - 1),
        height=float(lattice.samples[1] - 1),
    )
    table = tabulate(unit, 1.0)
    return np.asarray(np.einsum("vs,ms->mv", lattice.fit, table.tr + 1j * table.ti))


def _laid_out(field: Field, directions: Real, amplitudes: Complex) -> Field:
    """Return a field with other waves, those of all rows alike, in the layout of `pack`."""
    rows, width = len(amplitudes), field.ux.shape[1]
    ar, ai = np.zeros((len(directions), width)), np.zeros((len(directions), width))
    for copy in range(field.group):
        part = slice(copy * rows, (copy + 1) * rows)
        ar[:, part], ai[:, part] = amplitudes.T.real, amplitudes.T.imag
    ux, uy = (np.repeat(axis[:, None], width, axis=1) for axis in directions.T)
    return field._replace(ux=ux, uy=uy, ar=ar, ai=ai)
