"""Movable antennas, placed anew each round (system model, section 5)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from airtune.kinds import Real
from airtune.placement import solve
from airtune.placement.lattice import lattice
from airtune.placement.movement import Movement
from airtune.radio.layouts import HALF_WAVELENGTH, fixed_array
from airtune.scenario import Scenario
from airtune.schemes.arrays.base import ArrayPolicy
from airtune.schemes.link import RadioRound
from airtune.streams import torch_seed


@dataclass(frozen=True)
class MovableArray(ArrayPolicy):
    """Antennas that move to the best positions of each round; parked as the fixed array.

    Where the least distance is above half a wavelength they are parked on a lattice.
    """

    about: str = "movable antennas, placed each round"
    moves: ClassVar[bool] = True

    def start(self, scenario: Scenario, seed: int) -> Real:
        array = scenario.array
        if array.spacing <= HALF_WAVELENGTH:
            return fixed_array(array.antennas, array.region)
        return lattice(array.antennas, np.asarray(array.region), array.spacing)

    def place(self, radio: RadioRound, effective_weights: Real, positions: Real) -> Real:
        settings = radio.scenario.placement
        problem = radio.problem(effective_weights)
        seed = torch_seed(radio.seed, "placement", radio.round) % 2**31
        cap = math.inf if settings.max_travel is None else settings.max_travel
        way = Movement(positions, longest=cap, price_db=settings.travel_price_db)
        free = math.isinf(cap) and settings.travel_price_db == 0
        placement = solve(
            problem,
            mode=settings.mode,
            method=settings.method,
            seed=seed,
            start=positions if free else None,
            movement=None if free else way,
        )
        return placement.positions
