"""Array policies: where the base station's antennas are in each round."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from airtune.placement import Placement, Problem, beamform, solve
from airtune.placement.lattice import lattice
from airtune.placement.movement import Movement
from airtune.radio.array import HALF_WAVELENGTH, fixed_array, random_positions
from airtune.radio.kinds import Complex, Integer, Real
from airtune.radio.paths import Block
from airtune.radio.transmission import Air, air_at
from airtune.radio.units import client_powers, interferer_powers, receiver_noise
from airtune.scenario import Radio, Scenario
from airtune.streams import generator, torch_seed


@dataclass(frozen=True)
class RadioRound:
    """The radio of one round, before the antennas are placed.

    Attributes
    ----------
    scenario : Scenario
    seed : int
        Root of the repetition's streams.
    round : int
        1 to T.
    true, perceived : Block
        Paths of the round, and what the server believes them to be.
    """

    scenario: Scenario
    seed: int
    round: int
    true: Block
    perceived: Block

    @cached_property
    def powers(self) -> Real:
        """Power limits P_k, shape (K,) [W]."""
        return client_powers(self.scenario.clients)

    def problem(self, effective_weights: Real) -> Problem:
        """Return the placement problem of these clients (system model, section 5).

        Parameters
        ----------
        effective_weights : ndarray, float, shape (K,)
            nu_k; clients with 0 are left out.
        """
        array, interferers = self.scenario.array, self.perceived.interferers
        heard = np.flatnonzero(effective_weights > 0)
        paths = self.perceived.clients.of(heard)
        return Problem(
            gains=paths.gains,
            directions=paths.directions,
            weights=effective_weights[heard],
            powers=self.powers[heard],
            noise=receiver_noise(self.scenario.radio),
            interferer_gains=interferers.gains,
            interferer_directions=interferers.directions,
            interferer_powers=interferer_powers(self.scenario.radio.interferers),
            antennas=array.antennas,
            region=np.asarray(array.region),
            spacing=array.spacing,
        )

    def at(self, positions: Real) -> Link:
        """Return the radio of the round with the antennas at `positions`."""
        return Link(self, positions)


@dataclass(frozen=True)
class Response:
    """What antennas in place hear of a block, computed for the clients asked for only."""

    block: Block
    positions: Real
    radio: Radio

    def of(self, clients: Integer) -> Air:
        """Return the air of these clients (indices)."""
        return air_at(self.block.of(clients), self.positions, self.radio)

    @cached_property
    def everybody(self) -> Air:
        """The air of all clients."""
        return air_at(self.block, self.positions, self.radio)


@dataclass(frozen=True)
class Link:
    """The radio of one round with the antennas in place."""

    radio: RadioRound
    positions: Real

    @cached_property
    def true(self) -> Response:
        """The air as it is."""
        return Response(self.radio.true, self.positions, self.radio.scenario.radio)

    @cached_property
    def perceived(self) -> Response:
        """The air as the server believes it to be."""
        return Response(self.radio.perceived, self.positions, self.radio.scenario.radio)

    def best_beamformer(self, effective_weights: Real) -> Placement:
        """Return the best receive beamformer for these positions and weights nu_k, shape (K,)."""
        seed = torch_seed(self.radio.seed, "beamformer", self.radio.round) % 2**31
        return beamform(self.radio.problem(effective_weights), self.positions, seed=seed)

    def multicast_beamformer(self, clients: Integer) -> Complex | None:
        """Return the beamformer of the broadcast to these clients (indices), shape (N,).

        It maximises the gain of the weakest of them as the server perceives their channels, by
        reciprocity the max-min problem of the uplink without interferers.  None: spreading the
        power over all antennas by a space-time block code serves the weakest better, or is what
        `radio.downlink_precoding` asks for.
        """
        if self.radio.scenario.radio.downlink_precoding == "space-time":
            return None
        chosen = np.zeros(len(self.radio.powers))
        chosen[clients] = 1.0
        problem = self.radio.problem(chosen)
        quiet = replace(
            problem,
            powers=np.ones_like(problem.powers),
            noise=1.0,
            interferer_gains=problem.interferer_gains[:0],
            interferer_directions=problem.interferer_directions[:0],
            interferer_powers=problem.interferer_powers[:0],
        )
        seed = torch_seed(self.radio.seed, "multicast", self.radio.round) % 2**31
        best = beamform(quiet, self.positions, seed=seed)
        spread = np.mean(np.abs(self.perceived.of(clients).channel) ** 2, axis=1)
        return best.beamformer if best.worst_gain > spread.min() else None

    def picture(self, effective_weights: Real) -> dict[str, Any]:
        """Return antennas, beamformer and paths as plain JSON types, to be drawn.

        Parameters
        ----------
        effective_weights : ndarray, float, shape (K,)
            nu_k; clients with 0 are left out.
        """
        problem = self.radio.problem(effective_weights)
        best = self.best_beamformer(effective_weights)
        return {
            "round": self.radio.round,
            "positions": self.positions.tolist(),
            "beamformer_re": best.beamformer.real.tolist(),
            "beamformer_im": best.beamformer.imag.tolist(),
            "region": problem.region.tolist(),
            "spacing": problem.spacing,
            "clients": {
                **_paths(problem.gains, problem.directions),
                "auxiliary_scale": (np.sqrt(problem.powers) / problem.weights).tolist(),
            },
            "interferers": {
                **_paths(problem.interferer_gains, problem.interferer_directions),
                "powers": problem.interferer_powers.tolist(),
            },
            "noise_w": problem.noise,
            "worst_gain_db": 10.0 * math.log10(best.worst_gain),
        }


def _paths(gains: Complex, directions: Real) -> dict[str, Any]:
    return {
        "gains_re": gains.real.tolist(),
        "gains_im": gains.imag.tolist(),
        "directions": directions.tolist(),
    }


class ArrayPolicy(ABC):
    """Decides where the antennas are; by itself they stay where they start.

    Attributes
    ----------
    about : str
        One line for the table of schemes.
    moves : bool
        Whether other places cost time and energy: antennas are carried there by drives.
    """

    about: str
    moves: ClassVar[bool] = False

    @abstractmethod
    def start(self, scenario: Scenario, seed: int) -> Real:
        """Return the positions before the first round, shape (N, 2) [wavelengths]."""

    def place(self, radio: RadioRound, effective_weights: Real, positions: Real) -> Real:
        """Return the positions of a round, given nu_k of the last round and the last positions."""
        return positions

    def link(self, radio: RadioRound, effective_weights: Real, positions: Real) -> Link:
        """Return what antennas at `positions` hear in a round, given nu_k of the last one."""
        return radio.at(positions)


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
        way = Movement(positions, cap=cap, price_db=settings.travel_price_db)
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
