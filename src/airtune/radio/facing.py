"""Where the array faces, and the patterns of its antennas.

A mount turns the array as a whole by the yaw about the vertical, then by the pitch, then by the
roll about the axis ahead [1]_.

References
----------
.. [1] X. Shao, Q. Jiang, R. Zhang, "6D movable antenna based on user distribution: modeling and
   optimization", IEEE Trans. Wireless Commun., 2025, arXiv:2403.08123.
.. [2] 3GPP TR 38.901, Table 7.3-1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from airtune.kinds import Real

WIDTH_DEG, PEAK_DBI, BEHIND_DB = 65.0, 8.0, 30.0
"""Half-power beam width, largest gain and front-to-back ratio of an element [2]_."""


@dataclass(frozen=True)
class Facing:
    """Where the array faces; angles in degrees.

    Attributes
    ----------
    yaw : float
        To the side, positive towards +x.
    pitch : float
        Up and down, positive towards +y.
    roll : float
        About the axis ahead, positive from +x to +y.

    Examples
    --------
    >>> Facing(yaw=90.0).matrix.round(6)[:, 2].tolist()  # what was ahead is now at the side
    [1.0, 0.0, 0.0]
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0

    @property
    def angles(self) -> tuple[float, float, float]:
        """Yaw, pitch and roll [deg]."""
        return self.yaw, self.pitch, self.roll

    @property
    def matrix(self) -> Real:
        """Q, shape (3, 3): its columns are the axes of the turned array, the last is ahead."""
        (sy, cy), (sp, cp), (sr, cr) = (
            (math.sin(a), math.cos(a)) for a in map(math.radians, self.angles)
        )
        yaw = np.array([[cy, 0.0, sy], [0.0, 1.0, 0.0], [-sy, 0.0, cy]])
        pitch = np.array([[1.0, 0.0, 0.0], [0.0, cp, sp], [0.0, -sp, cp]])
        roll = np.array([[cr, -sr, 0.0], [sr, cr, 0.0], [0.0, 0.0, 1.0]])
        return np.asarray(yaw @ pitch @ roll)

    def way_to(self, other: Facing, speed: float, power: float) -> tuple[float, float]:
        """Return time [s] and energy [J] of a turn.

        Each axis has a drive, all turn at once, and each draws its power while it turns.

        Parameters
        ----------
        other : Facing
        speed : float
            Of each drive [deg/s].
        power : float
            Of each drive [W].

        Examples
        --------
        >>> Facing().way_to(Facing(yaw=-30.0, pitch=10.0), speed=20.0, power=5.0)
        (1.5, 10.0)
        """
        times = [abs(a - b) / speed for a, b in zip(self.angles, other.angles, strict=True)]
        return max(times), power * sum(times)


AHEAD = Facing()
"""Straight ahead, as an array that nothing turns."""


def amplitude(directions: Real, element: str) -> Real:
    """Return the factor on the amplitude of waves by the pattern of an antenna.

    `isotropic`: 1 for all directions before the array.  `tr38901`: the pattern of one antenna of
    3GPP TR 38.901 [2]_ of 8 dBi.  From behind both have 30 dB less than their most.

    Parameters
    ----------
    directions : ndarray, float, shape (..., 3)
        Unit vectors in the frame of the array: y upwards, z ahead.
    element : str
        ``isotropic`` or ``tr38901``.

    Returns
    -------
    ndarray, float, shape (...)

    Examples
    --------
    >>> ahead, side = np.array([0.0, 0.0, 1.0]), np.array([np.sin(np.pi / 3), 0, np.cos(np.pi / 3)])
    >>> [round(float(20 * np.log10(amplitude(s, "tr38901"))), 3) for s in (ahead, side, -ahead)]
    [8.0, -2.225, -22.0]
    """
    x, y, z = directions[..., 0], directions[..., 1], directions[..., 2]
    if element == "isotropic":
        return np.where(z < 0.0, 10.0 ** (-BEHIND_DB / 20.0), 1.0)
    elevation, azimuth = np.degrees(np.arcsin(np.clip(y, -1.0, 1.0))), np.degrees(np.arctan2(x, z))
    vertical = np.minimum(12.0 * (elevation / WIDTH_DEG) ** 2, BEHIND_DB)
    horizontal = np.minimum(12.0 * (azimuth / WIDTH_DEG) ** 2, BEHIND_DB)
    gain_db = PEAK_DBI - np.minimum(vertical + horizontal, BEHIND_DB)
    return np.asarray(10.0 ** (gain_db / 20.0))
