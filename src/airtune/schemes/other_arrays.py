"""Arrays of the literature that movable antennas are compared with: sparse, and antenna selection.

References
----------
.. [1] H. Wang et al., "Can sparse arrays outperform collocated arrays for future wireless
   communications?", IEEE Globecom Workshops, 2023.
.. [2] S. Sanayei, A. Nosratinia, "Antenna selection in MIMO systems", IEEE Communications
   Magazine 42(10), 2004.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from airtune.errors import InputError
from airtune.placement import select, sparse
from airtune.radio.array import fixed_array
from airtune.radio.kinds import Real
from airtune.scenario import Scenario
from airtune.schemes.arrays import ArrayPolicy, RadioRound
from airtune.streams import torch_seed


@dataclass(frozen=True)
class SparseArray(ArrayPolicy):
    """N fixed antennas spread evenly over the region in which movable ones may stand [1]_."""

    about: str = "N antennas spread over the region"

    def start(self, scenario: Scenario, seed: int) -> Real:
        array = scenario.array
        return sparse(array.antennas, np.asarray(array.region), array.spacing)


@dataclass(frozen=True)
class SelectedArray(ArrayPolicy):
    """The best N antennas of a larger half-wavelength array, chosen anew each round [2]_.

    N receivers are switched to N of `array.selection_places` N antennas that stand still; the
    choice is greedy, then by exchange (:func:`airtune.placement.select`).  Switching costs neither
    time nor energy, and the channels of the idle antennas are known without further pilots: both
    in favour of this baseline.
    """

    about: str = "best N of a larger array, each round"

    def start(self, scenario: Scenario, seed: int) -> Real:
        """Return the fixed array; also refuses a pool for which the region has no room."""
        self.pool(scenario)
        return fixed_array(scenario.array.antennas, scenario.array.region)

    def place(self, radio: RadioRound, effective_weights: Real, positions: Real) -> Real:
        seed = torch_seed(radio.seed, "selection", radio.round) % 2**31
        problem = radio.problem(effective_weights)
        return select(problem, self.pool(radio.scenario), seed=seed).positions

    def pool(self, scenario: Scenario) -> Real:
        """Return the places of all antennas, shape (C, 2) [wavelengths].

        Raises
        ------
        InputError
            If the region has no room for them.
        """
        array = scenario.array
        try:
            return fixed_array(array.selection_places * array.antennas, array.region)
        except InputError as error:
            raise InputError(
                f"array.selection_places = {array.selection_places}: {error}, or a smaller pool"
            ) from None
