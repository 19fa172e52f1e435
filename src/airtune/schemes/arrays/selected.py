"""Antenna selection: the best antennas of a larger array that stands still.

References
----------
.. [1] S. Sanayei, A. Nosratinia, "Antenna selection in MIMO systems", IEEE Communications
   Magazine 42(10), 2004.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from airtune.costs import FrontEnd
from airtune.errors import InputError
from airtune.kinds import Real
from airtune.placement import Problem, select, sparse
from airtune.placement.client_places import select_clients
from airtune.placement.places import choose
from airtune.placement.selection import exchange
from airtune.radio.layouts import fixed_array
from airtune.schemes.arrays.base import ArrayPolicy, Effort, Travel
from airtune.schemes.link import RadioRound
from airtune.schemes.precoding import client_arrays
from airtune.streams import torch_seed


@dataclass(frozen=True)
class SelectedArray(ArrayPolicy):
    """The best N antennas of a larger half-wavelength array, chosen anew each round [1]_.

    N receivers are switched to N of `array.selection_places` N antennas that stand still; the
    choice is greedy, then by exchange (:func:`airtune.placement.select`).  Switching takes no time;
    what the switches draw is `radio.hardware.switch_w`, and the pilots for the idle antennas are
    booked with `radio.pilot_rule: by-array`.
    """

    about: ClassVar[str] = "best N of a larger array, each round"
    wideband: ClassVar[bool] = True
    client_arrays: ClassVar[bool] = True

    @property
    def front_end(self) -> FrontEnd:
        """N chains, and a switch for each antenna of the pool."""
        array = self.array
        return FrontEnd(chains=array.antennas, ports=array.selection_places * array.antennas)

    @property
    def soundings(self) -> int:
        """Once for every N antennas of the pool: ceil(ports / N)."""
        return self.front_end.turns

    def ports(self) -> Real | None:
        """Return the pool: N after N of its antennas listen to the pilots."""
        return self.pool()

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
        """Return the positions of the antennas chosen; nothing travels.

        With several resource blocks those of the least mean error over them, from the best choices
        of some of the blocks by exchange.  For clients with several antennas: by
        :func:`airtune.placement.client_places.select_clients`.
        """
        seed = torch_seed(radio.seed, "selection", radio.round) % 2**31
        pool, bands = self.pool(), radio.subbands
        if radio.client_antennas > 1:
            if not np.any(effective_weights > 0):
                return pool[: self.array.antennas]
            problem = client_arrays(radio, effective_weights)
            return select_clients(
                problem, pool, lambda one: self.chosen(one, pool, seed, effort), seed=seed
            )
        problems = [one.problem(effective_weights, pool) for one in bands]
        starts = [
            self.chosen(problem, pool, seed, effort) for problem in problems[:: -(-len(bands) // 4)]
        ]
        if len(bands) == 1:
            return starts[0]
        return exchange(problems, pool, starts, seed=seed)

    def chosen(self, problem: Problem, pool: Real, seed: int, effort: Effort | None) -> Real:
        """Return the best N of a pool for one channel, shape (N, 2) [wavelengths]."""
        return select(problem, pool, seed=seed).positions

    def pool(self) -> Real:
        """Return the positions of all antennas, side by side, shape (C, 2) [wavelengths].

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


@dataclass(frozen=True)
class SpreadSelectedArray(SelectedArray):
    """The best N of a pool of antennas that is spread over the region, chosen anew each round [1]_.

    As :class:`SelectedArray`, with the aperture that movable antennas have; the choice is made by
    the search that places movable antennas (:func:`airtune.placement.places.choose`).
    """

    about: ClassVar[str] = "best N of antennas spread over the region"
    wideband: ClassVar[bool] = True
    client_arrays: ClassVar[bool] = True

    def chosen(self, problem: Problem, pool: Real, seed: int, effort: Effort | None) -> Real:
        """Return the best N of a pool for one channel, shape (N, 2) [wavelengths]."""
        mode = (effort.mode if effort else None) or "default"
        return choose(problem, pool, mode=mode, seed=seed).positions

    def pool(self) -> Real:
        """Return the positions of all antennas, spread evenly, shape (C, 2) [wavelengths].

        Raises
        ------
        InputError
            If they do not fit into the region.
        """
        array = self.array
        count = array.selection_places * array.antennas
        try:
            return sparse(count, np.asarray(array.region), array.spacing)
        except InputError:
            raise InputError(
                f"array.selection_places = {array.selection_places}: array.region "
                f"{tuple(array.region)} holds no {count} antennas that are array.spacing = "
                f"{array.spacing:g} apart: enlarge it or take a smaller pool"
            ) from None
