"""Arrays that stay where they are: half-wavelength, random and sparse.

References
----------
.. [1] H. Wang et al., "Can sparse arrays outperform collocated arrays for future wireless
   communications?", IEEE Globecom Workshops, 2023.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from airtune.costs import FrontEnd
from airtune.kinds import Real
from airtune.placement import sparse
from airtune.radio.layouts import fixed_array, random_positions
from airtune.scenario import Scenario
from airtune.schemes.arrays.base import ArrayPolicy
from airtune.streams import generator


@dataclass(frozen=True)
class HalfWavelengthArray(ArrayPolicy):
    """Fixed planar array with half-wavelength spacing, centred in the region.

    Attributes
    ----------
    factor : int
        Of the class: antennas for each of the scenario's N.
    """

    about: ClassVar[str] = "half-wavelength planar array"
    wideband: ClassVar[bool] = True
    client_arrays: ClassVar[bool] = True
    factor: ClassVar[int] = 1

    @property
    def front_end(self) -> FrontEnd:
        """A chain for each antenna."""
        return FrontEnd(chains=self.factor * self.array.antennas)

    def start(self) -> Real:
        """Return the half-wavelength array (:func:`airtune.radio.layouts.fixed_array`)."""
        return fixed_array(self.factor * self.array.antennas, self.array.region)


class DoubledArray(HalfWavelengthArray):
    """Fixed planar array of 2N antennas with half-wavelength spacing."""

    about: ClassVar[str] = "2N half-wavelength array"
    wideband: ClassVar[bool] = True
    client_arrays: ClassVar[bool] = True
    factor: ClassVar[int] = 2


class NoArray(HalfWavelengthArray):
    """A half-wavelength array as a stand-in for a scheme that sends nothing over the air."""

    about: ClassVar[str] = "none"
    wideband: ClassVar[bool] = True
    client_arrays: ClassVar[bool] = True
    rotates: ClassVar[bool] = False

    @property
    def front_end(self) -> FrontEnd:
        """No receivers."""
        return FrontEnd(chains=0)


@dataclass(frozen=True)
class RandomArray(ArrayPolicy):
    """Random feasible positions, drawn once for each repetition.

    Attributes
    ----------
    seed : int
        Root of the repetition's streams.
    """

    about: ClassVar[str] = "random feasible positions"
    wideband: ClassVar[bool] = True
    client_arrays: ClassVar[bool] = True
    seed: int

    @classmethod
    def build(cls, scenario: Scenario, seed: int) -> Self:
        """Return the policy of a repetition."""
        return cls(scenario.array, seed)

    def start(self) -> Real:
        """Return the random positions (:func:`airtune.radio.layouts.random_positions`)."""
        array, random = self.array, generator(self.seed, "random-position")
        return random_positions(array.antennas, array.region, array.spacing, random)


@dataclass(frozen=True)
class SparseArray(ArrayPolicy):
    """N fixed antennas spread evenly over the region in which movable ones may stand [1]_."""

    about: ClassVar[str] = "N antennas spread over the region"
    wideband: ClassVar[bool] = True
    client_arrays: ClassVar[bool] = True

    def start(self) -> Real:
        """Return the sparse array (:func:`airtune.placement.sparse`)."""
        array = self.array
        return sparse(array.antennas, np.asarray(array.region), array.spacing)
