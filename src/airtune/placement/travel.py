"""What moving the antennas costs: a longest travel, and the gain that more travel must bring."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from airtune.errors import clip
from airtune.kinds import Integer, Real
from airtune.placement.problem import Problem, ProblemError

TILT = (0.15, math.pi / 2 - 0.15)
"""Angles of the rectangles inside a disc: none so flat that an antenna can hardly move."""


@dataclass(frozen=True)
class TravelLimit:
    """Where the antennas are now and what moving them costs.

    All antennas move at the same time, so what counts is the travel of the one that moves farthest.

    Attributes
    ----------
    origin : ndarray, shape (N, 2)
        Present positions, feasible  [wavelengths]
    longest : float
        Longest travel of any antenna  [wavelengths]
    price_db : float
        Gain that more travel must bring: the solver maximises
        10 log10 t - price_db * (longest travel of any antenna)  [dB per wavelength]
    stuck : tuple of int
        Antennas that stay where they are.

    Examples
    --------
    >>> import numpy as np
    >>> from airtune.placement.examples import random_problem
    >>> problem = random_problem(0, antennas=2)
    >>> travel = TravelLimit(np.array([[1.0, 2.0], [0.1, 2.0]]), longest=0.5)
    >>> travel.bounds(problem, travel.longest).round(3)  # least, greatest x; least, greatest y
    array([[0.646, 0.   ],
           [1.354, 0.454],
           [1.646, 1.646],
           [2.354, 2.354]])
    """

    origin: Real
    longest: float = math.inf
    price_db: float = 0.0
    stuck: tuple[int, ...] = ()

    def check(self, problem: Problem) -> None:
        """Check that the origin fits the problem and the numbers make sense.

        Raises
        ------
        ProblemError
        """
        origin = np.asarray(self.origin, dtype=np.float64)
        if origin.shape != (problem.antennas, 2):
            raise ProblemError(
                f"travel origin must have shape {(problem.antennas, 2)}, not {origin.shape}"
            )
        if not problem.violation(origin) <= 1e-6:
            raise ProblemError("travel origin must lie in the region and keep the spacing")
        if not (self.longest >= 0 and self.price_db >= 0):
            raise ProblemError("travel longest and price_db must not be negative")
        if not set(self.stuck) <= set(range(problem.antennas)):
            raise ProblemError(
                f"travel stuck must name antennas from 0 to {problem.antennas - 1}, not "
                f"{clip(list(self.stuck))}"
            )

    def bounds(self, problem: Problem, radius: float, towards: Real | None = None) -> Real:
        """Box of every antenna, inside the region and the disc of a radius around its origin.

        Parameters
        ----------
        problem : Problem
        radius : float  [wavelengths]
        towards : ndarray, shape (N, 2), optional
            Positions of the antennas: the square inside the disc then becomes the rectangle whose
            corner lies in their direction, for those on its sides or outside  [wavelengths]

        Returns
        -------
        ndarray, shape (4, N)
            Least and greatest x, least and greatest y  [wavelengths]
        """
        width, height = problem.region
        origin = np.asarray(self.origin, dtype=np.float64).T
        # on a line the whole radius is along the line; in the plane the square inside the disc
        share = 1.0 if min(width, height) == 0 else math.sqrt(0.5)
        reach = np.full(origin.shape, radius * share)
        if towards is not None and share < 1:
            step = np.abs(np.asarray(towards).T - origin)
            angle = np.clip(np.arctan2(step[1], step[0]), *TILT)
            # one that leans on a side of the square has been stopped by it
            far = step.max(axis=0) > (1 - 1e-6) * reach[0]
            reach = np.where(far, radius * np.array([np.cos(angle), np.sin(angle)]), reach)
        x, y = origin
        low = np.maximum(origin - reach, 0.0)
        high = np.minimum(origin + reach, [[width], [height]])
        for n in self.stuck:
            low[:, n] = high[:, n] = x[n], y[n]
        return np.ascontiguousarray([low[0], high[0], low[1], high[1]])

    def discs(self, radius: float) -> Real:
        """Centre and radius of the disc of every antenna; of one that is stuck the radius is 0.

        Parameters
        ----------
        radius : float  [wavelengths]

        Returns
        -------
        ndarray, shape (3, N)  [wavelengths]
        """
        radii = np.full(len(self.origin), float(radius))
        radii[list(self.stuck)] = 0.0
        return np.ascontiguousarray([*np.asarray(self.origin, dtype=np.float64).T, radii])


def farthest(origin: Real, positions: Real, stuck: tuple[int, ...] = ()) -> float:
    """Return the longest travel that `match` would find [wavelengths]."""
    distance = np.linalg.norm(origin[:, None] - positions[None], axis=2)
    own = float(distance.diagonal().max())
    nearest = max(distance.min(axis=0).max(), distance.min(axis=1).max())
    return own if own <= nearest else match(origin, positions, stuck)[1]


def match(origin: Real, positions: Real, stuck: tuple[int, ...] = ()) -> tuple[Integer, float]:
    """Bottleneck matching of old to new places: antennas are interchangeable.

    Parameters
    ----------
    origin, positions : ndarray, shape (N, 2)  [wavelengths]
    stuck : tuple of int
        Antennas that keep their places, which are those of the same index.

    Returns
    -------
    order : ndarray, int, shape (N,)
        Antenna n goes to positions[order[n]].
    longest : float
        The least possible longest travel  [wavelengths]
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    distance = np.linalg.norm(origin[:, None] - positions[None], axis=2)
    for n in stuck:
        own = distance[n, n]
        distance[n, :] = distance[:, n] = np.inf
        distance[n, n] = own
    levels = np.unique(distance)
    # some antenna goes as far as its nearest place, and none needs to go farther than in this order
    nearest = max(distance.min(axis=0).max(), distance.min(axis=1).max())
    low, high = np.searchsorted(levels, [nearest, distance.diagonal().max()])
    while low < high:
        middle = (low + high) // 2
        allowed = csr_matrix(distance <= levels[middle])
        if (maximum_bipartite_matching(allowed, perm_type="column") >= 0).all():
            high = middle
        else:
            low = middle + 1
    order = maximum_bipartite_matching(csr_matrix(distance <= levels[low]), perm_type="column")
    return np.asarray(order, dtype=np.int64), float(levels[low])
