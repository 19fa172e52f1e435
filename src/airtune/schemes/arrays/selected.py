"""Antenna selection: the best antennas of a larger array that stands still.

References
----------
.. [1] S. Sanayei, A. Nosratinia, "Antenna selection in MIMO systems", IEEE Communications
   Magazine 42(10), 2004.
"""

from __future__ import annotations

from dataclasses import dataclass

from airtune.errors import InputError
from airtune.kinds import Real
from airtune.placement import select
from airtune.radio.layouts import fixed_array
from airtune.scenario import Scenario
from airtune.schemes.arrays.base import ArrayPolicy
from airtune.schemes.link import RadioRound
from airtune.streams import torch_seed


@dataclass(frozen=True)
class SelectedArray(ArrayPolicy):
    """The best N antennas of a larger half-wavelength array, chosen anew each round [1]_.

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
