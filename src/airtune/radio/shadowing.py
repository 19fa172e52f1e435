"""A map of shadowing: what is near is alike.

Correlation falls exponentially with distance [1]_, as 3GPP TR 38.901 has it (section 7.4.4), and
the map is a sum of plane waves [2]_: a function of the place alone, so the value at a place does
not depend on when and how it was reached, and all transmitters share one map.

References
----------
.. [1] M. Gudmundson, "Correlation model for shadow fading in mobile radio systems", Electronics
   Letters 27(23), 1991, doi:10.1049/el:19911328.
.. [2] X. Cai, G. Giannakis, "A two-dimensional channel simulation model for shadowing processes",
   IEEE Transactions on Vehicular Technology 52(6), 2003, doi:10.1109/TVT.2003.819627.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from airtune.kinds import Real

WAVES, ROWS = 512, 4096
"""Plane waves of a map, and places for which they are added at once."""


@dataclass(frozen=True)
class ShadowingMap:
    """A Gaussian field over the ground of mean 0, deviation 1 and correlation ``exp(-d / D)``.

    Attributes
    ----------
    vectors : ndarray, float, shape (W, 2)
        Wave vectors [rad/m].
    phases : ndarray, float, shape (W,)  [rad]
    """

    vectors: Real
    phases: Real

    @classmethod
    def drawn(cls, distance_m: float, rng: np.random.Generator) -> ShadowingMap:
        """Draw a map.

        The spectrum of ``exp(-d / D)`` in the plane is ``D^2 / (2 pi (1 + (k D)^2)^(3/2))``, so the
        length k of a wave vector is drawn by its distribution ``1 - (1 + (k D)^2)^(-1/2)``.

        Parameters
        ----------
        distance_m : float
            D, where the correlation is 1/e [m].
        rng : Generator
        """
        rest = 1.0 - rng.uniform(size=WAVES)
        length = np.sqrt(1.0 / rest**2 - 1.0) / distance_m
        turn, phases = rng.uniform(0.0, 2.0 * np.pi, (2, WAVES))
        return cls(length[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=-1), phases)

    def at(self, ground: Real) -> Real:
        """Return the values at places on the ground, shape (K, 2) [m]; shape (K,)."""
        values = np.empty(len(ground))
        for first in range(0, len(ground), ROWS):
            rows = ground[first : first + ROWS]
            values[first : first + ROWS] = np.cos(rows @ self.vectors.T + self.phases).sum(axis=1)
        return np.asarray(np.sqrt(2.0 / len(self.phases)) * values)
