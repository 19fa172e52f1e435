"""One round's radio as a scheme sees it: before the antennas are placed, and with them in place."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from airtune.kinds import Complex, Integer, Real
from airtune.placement import Placement, Problem, beamform
from airtune.radio.channels.base import Block
from airtune.radio.transmission import Air, air_at
from airtune.radio.units import client_powers, interferer_powers, receiver_noise
from airtune.scenario import Radio, Scenario
from airtune.streams import torch_seed


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
