"""Antenna selection: the best antennas of a larger array that stands still.

References
----------
.. [1] S. Sanayei, A. Nosratinia, "Antenna selection in MIMO systems", IEEE Communications
   Magazine 42(10), 2004.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from airtune.errors import InputError
from airtune.kinds import Real
from airtune.placement import select
from airtune.radio.layouts import fixed_array
from airtune.schemes.arrays.base import ArrayPolicy, Effort, Travel
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

    about: ClassVar[str] = "best N of a larger array, each round"

    def start(self) -> Real:
        """Return the fixed array; also refuses a pool that does not fit into the region."""
        self.pool()
        return fixed_array(self.array.antennas, self.array.region)

    def place(
        self,
        radio: RadioRound,
        effective_weights: Real,
        positions: Real,
        travel: Travel | None = None,
        effort: Effort | None = None,
    ) -> Real:
        """Return the positions of the antennas chosen; nothing travels."""
        seed = torch_seed(radio.seed, "selection", radio.round) % 2**31
        return select(radio.problem(effective_weights), self.pool(), seed=seed).positions

    def pool(self) -> Real:
        """Return the positions of all antennas, shape (C, 2) [wavelengths].

        Raises
        ------
        InputError
            If they do not fit into the region.
        """
        array = self.array
        try:
            return fixed_array(array.selection_places * array.antennas, array.region)
        except InputError as error:
            raise InputError(
                f"array.selection_places = {array.selection_places}: {error}, or a smaller pool"
            ) from None
