"""Arrays that stay where they are: half-wavelength, random and sparse.

References
----------
.. [1] H. Wang et al., "Can sparse arrays outperform collocated arrays for future wireless
   communications?", IEEE Globecom Workshops, 2023.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
        Antennas for each of the scenario's N: 2 doubles the array.
    """

    about: str = "half-wavelength planar array"
    factor: int = 1

    def start(self, scenario: Scenario, seed: int) -> Real:
        return fixed_array(self.factor * scenario.array.antennas, scenario.array.region)


@dataclass(frozen=True)
class RandomArray(ArrayPolicy):
    """Random feasible positions, drawn once for each repetition."""

    about: str = "random feasible positions"

    def start(self, scenario: Scenario, seed: int) -> Real:
        array = scenario.array
        random = generator(seed, "random-position")
        return random_positions(array.antennas, array.region, array.spacing, random)


@dataclass(frozen=True)
class SparseArray(ArrayPolicy):
    """N fixed antennas spread evenly over the region in which movable ones may stand [1]_."""

    about: str = "N antennas spread over the region"

    def start(self, scenario: Scenario, seed: int) -> Real:
        array = scenario.array
        return sparse(array.antennas, np.asarray(array.region), array.spacing)
