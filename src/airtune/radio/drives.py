"""Drives that miss: the play of a gear, and an error of each place that is driven to.

References
----------
.. [1] G. Tao, P. V. Kokotović, "Adaptive Control of Systems with Actuator and Sensor
   Nonlinearities", chapter 2, 1996: backlash as the play operator.
.. [2] ISO 230-2, "Test code for machine tools, part 2: determination of accuracy and repeatability
   of positioning of numerically controlled axes".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from airtune.kinds import Real


@dataclass(frozen=True)
class Carriages:
    """Where antennas are, in the order of the antennas.

    Attributes
    ----------
    driven : ndarray, float, shape (N, 2)
        Where the play of the drives leaves the carriages [wavelengths].
    actual : ndarray, float, shape (N, 2)
        Where the antennas stand, errors of the last movement included [wavelengths].
    """

    driven: Real
    actual: Real

    @classmethod
    def homed(cls, positions: Real) -> Carriages:
        """Return carriages that stand where they should, in the middle of their play."""
        return cls(positions.copy(), positions.copy())

    def within(self, region: tuple[float, float]) -> Carriages:
        """Return the carriages at their end stops where they would leave the region.

        Parameters
        ----------
        region : tuple of two floats  [wavelengths]

        Examples
        --------
        >>> Carriages.homed(np.array([[-1.0, 3.0]])).within((2.0, 4.0)).actual.tolist()
        [[0.0, 3.0]]
        """
        ends = np.asarray(region)
        return Carriages(np.clip(self.driven, 0, ends), np.clip(self.actual, 0, ends))

    def moved(self, old: Real, new: Real, backlash: float, errors: Real) -> Carriages:
        """Return the carriages after the drives have gone from `old` to `new`.

        Along each axis the screw must first cross its play before it carries the antenna along,
        ``p' = min(c + b / 2, max(c - b / 2, p))`` with the commanded place c and the play b [1]_.
        Who has moved stands off by an error of its own [2]_; who has not stays where it is.

        Parameters
        ----------
        old, new : ndarray, float, shape (N, 2)
            Commanded places, in the order of the antennas [wavelengths].
        backlash : float
            Play b of each axis [wavelengths].
        errors : ndarray, float, shape (N, 2)
            Of this movement [wavelengths].

        Examples
        --------
        A drive with a play of 0.1 goes right and comes back; it stops 0.05 short both times:

        >>> places = np.array([[[0.0, 0.0]], [[1.0, 0.0]], [[0.0, 0.0]]])
        >>> at = Carriages.homed(places[0])
        >>> for old, new in zip(places, places[1:]):
        ...     at = at.moved(old, new, 0.1, np.zeros((1, 2)))
        ...     print(at.actual.round(6).tolist())
        [[0.95, 0.0]]
        [[0.05, 0.0]]
        """
        half = backlash / 2.0
        driven = np.minimum(new + half, np.maximum(new - half, self.driven))
        went = np.any(old != new, axis=1, keepdims=True)
        return Carriages(
            np.where(went, driven, self.driven), np.where(went, driven + errors, self.actual)
        )
