"""Movable antennas, placed anew each round (system model, section 5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from airtune.errors import InputError
from airtune.kinds import Real
from airtune.placement import (
    Placement,
    Problem,
    ProblemError,
    solve,
    solve_average,
    solve_wideband,
)
from airtune.placement.client_places import average_clients, solve_clients
from airtune.placement.lattice import lattice
from airtune.placement.places import grid_lattice, grid_places
from airtune.placement.travel import TravelLimit, match
from airtune.radio.layouts import HALF_WAVELENGTH, fixed_array
from airtune.radio.units import to_db
from airtune.scenario import PlacementSettings, Scenario
from airtune.schemes.arrays.base import ArrayPolicy, Effort, Travel
from airtune.schemes.link import RadioRound
from airtune.schemes.precoding import client_arrays
from airtune.streams import torch_seed

REACHES = (0.1, 0.05, 0.02)
"""How far antennas go in each turn of the refinement for spherical waves [wavelengths]."""


@dataclass(frozen=True)
class MovableArray(ArrayPolicy):
    """Antennas that move to the best positions of each round; parked as the fixed array.

    Where the least distance is above half a wavelength they are parked on a lattice, and where they
    can take the places of a grid only, on these.

    Attributes
    ----------
    placement : PlacementSettings
        Section ``placement`` of the scenario.
    """

    about: ClassVar[str] = "movable antennas, placed each round"
    moves: ClassVar[bool] = True
    wideband: ClassVar[bool] = True
    client_arrays: ClassVar[bool] = True
    placement: PlacementSettings

    @classmethod
    def build(cls, scenario: Scenario, seed: int) -> Self:
        """Return the policy of a repetition."""
        return cls(scenario.array, scenario.placement)

    @property
    def soundings(self) -> int:
        """`array.field_pilots`: the paths are found from several places, and then followed."""
        return self.array.field_pilots

    @property
    def listenings(self) -> int:
        """`array.field_pilots`, as of the pilots."""
        return self.array.field_pilots

    def start(self) -> Real:
        """Return the parking positions.

        Raises
        ------
        InputError
            The antennas do not fit on the grid of the drives, or it has too many places.
        """
        array, grid = self.array, self.array.drives.grid
        if grid > 0:
            region = np.asarray(array.region)
            try:
                grid_places(region, grid)
                return grid_lattice(array.antennas, region, array.spacing, grid)
            except ProblemError as error:
                raise InputError(
                    f"array.grid = {grid:g} (array.drive = {array.drive}): {error} (settings "
                    "array.region, array.spacing and array.antennas)"
                ) from error
        if array.spacing <= HALF_WAVELENGTH:
            return fixed_array(array.antennas, array.region)
        return lattice(array.antennas, np.asarray(array.region), array.spacing)

    def place(
        self,
        radio: RadioRound,
        effective_weights: Real,
        positions: Real,
        travel: Travel | None = None,
        effort: Effort | None = None,
    ) -> Real:
        """Return the positions of the largest worst gain (:func:`airtune.placement.solve`).

        With several resource blocks: those of the least mean error over them
        (:func:`airtune.placement.solve_wideband`).  For clients with several antennas: by
        :func:`airtune.placement.client_places.solve_clients`.
        """
        effort = Effort() if effort is None else effort
        limited = self._limit(positions, travel)
        if radio.client_antennas > 1:
            if not np.any(effective_weights > 0):
                return positions
            return solve_clients(
                client_arrays(radio, effective_weights),
                positions,
                mode=effort.mode or self.placement.mode,
                method=effort.method or self.placement.method,
                seed=torch_seed(radio.seed, "placement", radio.round) % 2**31,
                travel=limited,
                grid=self.array.drives.grid,
            )
        if len(radio.subbands) > 1:
            return solve_wideband(
                [one.chosen_for(effective_weights) for one in radio.subbands],
                positions,
                mode=effort.mode or self.placement.mode,
                seed=torch_seed(radio.seed, "placement", radio.round) % 2**31,
                travel=limited,
                grid=self.array.drives.grid,
            )

        def solved(problem: Problem) -> Placement:
            return solve(
                problem,
                mode=effort.mode or self.placement.mode,
                method=effort.method or self.placement.method,
                seed=torch_seed(radio.seed, "placement", radio.round) % 2**31,
                start=positions if limited is None else None,
                travel=limited,
                grid=self.array.drives.grid,
            )

        placement = radio.settled(effective_weights, solved)
        if radio.near and self.array.drives.grid == 0:
            return self._refined(radio, effective_weights, placement.positions, limited)
        return placement.positions

    def _refined(
        self,
        radio: RadioRound,
        effective_weights: Real,
        positions: Real,
        travel: TravelLimit | None,
    ) -> Real:
        """Return positions improved for spherical waves, from those for plane waves.

        Each turn climbs within a short way on plane waves that agree with the spherical ones at the
        antennas in value and slope, and is kept where the spherical ones agree.
        """

        def worth(at: Real) -> float:
            """What the solver maximises, for spherical waves  [dB]"""
            gain = radio.at(at).chosen(effective_weights).worst_gain
            way = 0.0 if travel is None else match(travel.origin, at, travel.stuck)[1]
            return float(to_db(gain)) - (0.0 if travel is None else travel.price_db * way)

        best = worth(positions)
        seed = torch_seed(radio.seed, "placement", radio.round) % 2**31
        for reach in REACHES:
            step = TravelLimit(positions, reach, stuck=() if travel is None else travel.stuck)
            problem = radio.chosen_for(effective_weights, positions, slopes=True)
            moved = solve(problem, mode="fast", seed=seed, travel=step).positions
            if travel is not None:
                order, longest = match(travel.origin, moved, travel.stuck)
                moved = moved[order]
                if longest > travel.longest:
                    continue
            value = worth(moved)
            if value > best:
                best, positions = value, moved
        return positions

    def place_average(
        self,
        radios: Sequence[RadioRound],
        effective_weights: Real,
        positions: Real,
        travel: Travel | None = None,
    ) -> Real:
        """Return the positions of least mean error (:func:`airtune.placement.solve_average`)."""
        if radios[0].client_antennas > 1:
            return average_clients(
                [client_arrays(radio, effective_weights) for radio in radios],
                positions,
                mode=self.placement.mode,
                seed=torch_seed(radios[0].seed, "placement", radios[0].round) % 2**31,
                travel=self._limit(positions, travel),
                grid=self.array.drives.grid,
            )
        return solve_average(
            [one.problem(effective_weights) for radio in radios for one in radio.subbands],
            positions,
            mode=self.placement.mode,
            seed=torch_seed(radios[0].seed, "placement", radios[0].round) % 2**31,
            travel=self._limit(positions, travel),
            grid=self.array.drives.grid,
        )

    def _limit(self, positions: Real, travel: Travel | None) -> TravelLimit | None:
        """Return limit and price of the way from where the antennas are; None where it is free."""
        if travel is None:
            travel = Travel(self.placement.max_travel, self.placement.travel_price_db)
        longest = math.inf if travel.longest is None else travel.longest
        if math.isinf(longest) and travel.price_db == 0 and not travel.stuck:
            return None
        return TravelLimit(positions, longest, travel.price_db, travel.stuck)
