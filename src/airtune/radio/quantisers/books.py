"""Lloyd-Max code books: the levels and thresholds of least mean squared error for a density.

References
----------
.. [1] J. Max, "Quantizing for minimum distortion", IRE Transactions on Information Theory 6(1),
   1960.
.. [2] S. P. Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory
   28(2), 1982.
.. [3] P. E. Fleischer, "Sufficient conditions for achieving minimum distortion in a quantizer",
   IEEE International Convention Record, 1964.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy.linalg import solve_banded

from airtune.kinds import Integer, Real
from airtune.radio.quantisers.densities import Density

_STEPS, _SETTLED = 60, 1e-12


@dataclass(frozen=True)
class Book:
    """Levels of a quantiser for a density of unit variance.

    Attributes
    ----------
    levels : ndarray, float, shape (2^bits,)
        Ascending, symmetric.
    thresholds : ndarray, float, shape (2^bits - 1,)
        Half-way between neighbouring levels.
    distortion : float
        Mean squared error for the density.
    """

    levels: Real
    thresholds: Real
    distortion: float

    def quantise(self, values: Real) -> Real:
        """Return the level next to each value, of finite ones; 0 goes up."""
        table = self._table
        keys = table.keys(values)
        index = table.below.take(keys)
        index += values >= table.threshold.take(keys)
        return np.asarray(self.levels.take(index))

    @cached_property
    def _table(self) -> _Table:
        """The thresholds sorted into even cells, so many that none has two."""
        first, last = float(self.thresholds[0]), float(self.thresholds[-1])
        cells = 2 * len(self.levels)
        while True:
            scale = cells / (last - first) if last > first else 1.0
            table = _Table(first, scale, np.zeros(cells + 1, np.int64), np.full(cells + 1, np.inf))
            keys = table.keys(self.thresholds)
            if len(np.unique(keys)) == len(keys):
                break
            cells *= 2
        table.threshold[keys] = self.thresholds
        table.below[:] = np.searchsorted(keys, np.arange(cells + 1), side="left")
        return table


@dataclass(frozen=True)
class _Table:
    """Where a value is among thresholds, without a search.

    The cell of a value never falls as the value rises, in floats as in real numbers.  So all
    thresholds of earlier cells are below a value, and it is compared with the one of its own.

    Attributes
    ----------
    first, scale : float
        ``(value - first) scale`` is the number of the cell, before it is cut.
    below : ndarray, int, shape (cells + 1,)
        Number of thresholds in earlier cells.
    threshold : ndarray, float, shape (cells + 1,)
        That of the cell, infinite where it has none.
    """

    first: float
    scale: float
    below: Integer
    threshold: Real

    def keys(self, values: Real) -> Integer:
        """Return the cell of each value."""
        places = np.subtract(values, self.first, dtype=np.float64)
        places *= self.scale
        np.maximum(places, 0.0, out=places)
        np.minimum(places, float(len(self.below) - 1), out=places)
        return places.astype(np.int64)


@lru_cache(maxsize=64)
def lloyd_max(density: Density, bits: int) -> Book:
    """Return the quantiser of 2^bits levels and least mean squared error [1]_ [2]_.

    Each level is the mean of its cell, each threshold the middle of two levels; for these
    log-concave densities no other quantiser meets both [3]_.  The conditions are solved by Newton's
    method, whose matrix is tridiagonal, from the levels that are best for many bits.

    Parameters
    ----------
    density : Density
    bits : int
        At least 1.

    Returns
    -------
    Book

    Examples
    --------
    >>> from airtune.radio.quantisers.densities import GAUSS
    >>> lloyd_max(GAUSS, 2).levels.round(4).tolist()
    [-1.5104, -0.4528, 0.4528, 1.5104]
    >>> round(lloyd_max(GAUSS, 2).distortion, 4)
    0.1175
    """
    count = 2 ** (bits - 1)
    levels = density.companded((np.arange(count) + 0.5) / count)
    gap, least = _gaps(density, levels), np.inf
    for _ in range(_STEPS):
        if np.abs(gap).max() >= least:
            break
        best, least = levels, float(np.abs(gap).max())
        if least < _SETTLED:
            break
        levels = _step(density, levels, gap)
        gap = _gaps(density, levels)
    a, b = _cells(best)
    mass, mean = density.mass(a, b), density.mean(a, b)
    distortion = 1.0 - 2.0 * float(mass @ (2.0 * best * mean - best**2))
    both = np.concatenate([-best[::-1], best])
    thresholds = (both[1:] + both[:-1]) / 2
    for array in (both, thresholds):
        array.flags.writeable = False
    return Book(both, thresholds, distortion)


def _cells(levels: Real) -> tuple[Real, Real]:
    """Return the ends of the cells of the positive levels."""
    middles = (levels[1:] + levels[:-1]) / 2
    return np.concatenate([[0.0], middles]), np.concatenate([middles, [np.inf]])


def _gaps(density: Density, levels: Real) -> Real:
    """Return how far each level is above the mean of its cell."""
    return np.asarray(levels - density.mean(*_cells(levels)))


def _step(density: Density, levels: Real, gap: Real) -> Real:
    """Return the levels after a step of Newton's method, shortened until they rise."""
    a, b = _cells(levels)
    mass, mean = density.mass(a, b), levels - gap
    left = density.at(a) * (mean - a) / mass / 2  # half the slope of the mean in the left end
    right = np.zeros(len(levels))
    right[:-1] = density.at(b[:-1]) * (b[:-1] - mean[:-1]) / mass[:-1] / 2
    left[0] = 0.0  # the end at 0 stays
    bands = np.zeros((3, len(levels)))
    bands[0, 1:], bands[1], bands[2, :-1] = -right[:-1], 1.0 - left - right, -left[1:]
    move = solve_banded((1, 1), bands, gap)
    share = 1.0
    while True:
        moved = levels - share * move
        if moved[0] > 0 and np.all(np.diff(moved) > 0):
            return np.asarray(moved)
        share /= 2
