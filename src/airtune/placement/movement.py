"""Moving costs time: limits on travel between two rounds and what a longer way must bring."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from airtune.kinds import Integer, Real
from airtune.placement.problem import Problem, ProblemError


@dataclass(frozen=True)
class Movement:
    """Where the antennas are now and what moving them costs.

    Attributes
    ----------
    origin : ndarray, shape (N, 2)
        Present positions, feasible  [wavelengths]
    cap : float
        Longest way of any antenna  [wavelengths]
    price_db : float
        Gain that a longer way must bring: the solver maximises
        10 log10 t - price_db * (longest way of any antenna)  [dB per wavelength]
    """

    origin: Real
    cap: float = math.inf
    price_db: float = 0.0

    def check(self, problem: Problem) -> None:
        """Raise ProblemError unless the origin fits the problem and the numbers make sense."""
        origin = np.asarray(self.origin, dtype=np.float64)
        if origin.shape != (problem.antennas, 2):
            raise ProblemError(
                f"movement origin must have shape {(problem.antennas, 2)}, not {origin.shape}"
            )
        if not problem.violation(origin) <= 1e-6:
            raise ProblemError("movement origin must lie in the region and keep the spacing")
        if not (self.cap >= 0 and self.price_db >= 0):
            raise ProblemError("movement cap and price_db must not be negative")

    def bounds(self, problem: Problem, cap: float) -> Real:
        """Box of every antenna, inside the disc of radius `cap` around its origin; shape (4, N).

        Returns
        -------
        ndarray, shape (4, N)
            Least and greatest x, least and greatest y  [wavelengths]
        """
        width, height = problem.region
        # on a line the whole radius is along the line; in the plane the square inside the disc
        reach = cap if min(width, height) == 0 else cap / math.sqrt(2)
        x, y = np.asarray(self.origin, dtype=np.float64).T
        low = np.maximum([x - reach, y - reach], 0.0)
        high = np.minimum([x + reach, y + reach], [[width], [height]])
        return np.ascontiguousarray([low[0], high[0], low[1], high[1]])


def match(origin: Real, positions: Real) -> tuple[Integer, float]:
    """Bottleneck matching of old to new places: antennas are interchangeable.

    Parameters
    ----------
    origin, positions : ndarray, shape (N, 2)  [wavelengths]

    Returns
    -------
    order : ndarray, int, shape (N,)
        Antenna n goes to positions[order[n]].
    longest : float
        The least possible longest way  [wavelengths]
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    distance = np.linalg.norm(origin[:, None] - positions[None], axis=2)
    levels = np.unique(distance)
    low, high = 0, len(levels) - 1
    while low < high:
        middle = (low + high) // 2
        allowed = csr_matrix(distance <= levels[middle])
        if (maximum_bipartite_matching(allowed, perm_type="column") >= 0).all():
            high = middle
        else:
            low = middle + 1
    order = maximum_bipartite_matching(csr_matrix(distance <= levels[low]), perm_type="column")
    return np.asarray(order, dtype=np.int64), float(levels[low])
