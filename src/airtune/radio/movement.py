"""Movement of the antennas between rounds (system model, section 7)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from airtune.kinds import Integer, Real


@dataclass(frozen=True)
class Movement:
    """How the antennas get from their old places to the new ones.

    Attributes
    ----------
    time_s : float
        Time until the last antenna has arrived [s].
    energy_j : float
        Energy of all drives [J].
    distances_m : ndarray, float, shape (N,)
        Distance that each antenna travels [m].
    order : ndarray, int, shape (N,)
        Antenna n goes to the new place ``order[n]``: reorder a beamformer by it, too.
    positions : ndarray, float, shape (N, 2)
        New places in the order of the antennas, ``new[order]`` [wavelengths].
    """

    time_s: float
    energy_j: float
    distances_m: Real
    order: Integer
    positions: Real

    def then(self, later: Movement) -> Movement:
        """Return this movement and a later one that starts where it ends."""
        return Movement(
            self.time_s + later.time_s,
            self.energy_j + later.energy_j,
            self.distances_m + later.distances_m,
            self.order,
            later.positions,
        )


def standing(positions: Real) -> Movement:
    """Return the movement of antennas that are at `positions`, shape (N, 2), without a drive."""
    count = len(positions)
    return Movement(0.0, 0.0, np.zeros(count), np.arange(count, dtype=np.int64), positions)


def bottleneck_assignment(distances: Real) -> Integer:
    """Assign old to new places so that the longest distance is least, then the sum of distances.

    The least possible longest distance is one of the entries: it is found by bisection over the
    sorted entries, each time asking for a perfect matching without a longer one (linear sum
    assignment on the 0-1 matrix of forbidden pairs).

    Parameters
    ----------
    distances : ndarray, float, shape (N, N)
        From old place (row) to new place (column).

    Returns
    -------
    ndarray, int, shape (N,)
        New place of each antenna.

    Examples
    --------
    >>> bottleneck_assignment(np.array([[1.0, 5.0], [2.0, 3.0]])).tolist()
    [0, 1]
    """
    levels = np.unique(distances)
    low, high = 0, len(levels) - 1
    while low < high:
        middle = (low + high) // 2
        forbidden = distances > levels[middle]
        rows, columns = linear_sum_assignment(forbidden)
        if forbidden[rows, columns].any():
            low = middle + 1
        else:
            high = middle
    # one forbidden pair costs more than any set of allowed ones
    penalty = 1.0 + len(distances) * levels[-1]
    _, order = linear_sum_assignment(np.where(distances > levels[low], penalty, distances))
    return np.asarray(order, dtype=np.int64)


def movement(
    old: Real,
    new: Real,
    *,
    wavelength_m: float,
    speed_mps: float,
    drive_power_w: float,
    stuck: tuple[int, ...] = (),
) -> Movement:
    """Return the shortest movement from old to new places; antennas are interchangeable.

    ``t = max_n |r_n - r_n_old| lambda / speed``; each drive draws its power while it moves.

    Parameters
    ----------
    old, new : ndarray, float, shape (N, 2)
        Positions [wavelengths]; the order of `new` does not matter.
    wavelength_m : float
        Wavelength lambda [m].
    speed_mps : float
        Speed of a moving antenna [m/s], > 0.
    drive_power_w : float
        Power of one moving drive [W].
    stuck : tuple of int
        Antennas that stay where they are; `new` has them at their index.

    Returns
    -------
    Movement

    Raises
    ------
    ValueError
        If the two sets differ in size.

    Examples
    --------
    >>> old, new = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 0.5], [0.0, 0.0]])
    >>> moved = movement(old, new, wavelength_m=0.1, speed_mps=0.5, drive_power_w=2.0)
    >>> moved.order.tolist(), round(moved.time_s, 6), round(moved.energy_j, 6)
    ([1, 0], 0.1, 0.2)
    """
    if old.shape != new.shape:
        raise ValueError(f"old and new positions differ in shape: {old.shape} and {new.shape}")
    lengths = np.linalg.norm(old[:, None] - new[None], axis=-1) * wavelength_m
    if stuck:
        order, new = np.arange(len(old)), new.copy()
        new[list(stuck)] = old[list(stuck)]
        lengths[list(stuck), list(stuck)] = 0.0
        free = np.setdiff1d(order, stuck)
        if len(free):
            order[free] = free[bottleneck_assignment(lengths[np.ix_(free, free)])]
    else:
        order = bottleneck_assignment(lengths)
    distances = lengths[np.arange(len(old)), order]
    times = distances / speed_mps
    return Movement(
        time_s=float(times.max()),
        energy_j=float(drive_power_w * times.sum()),
        distances_m=distances,
        order=order,
        positions=new[order],
    )
