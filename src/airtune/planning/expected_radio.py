"""The radio turn of the joint plan: places of the antennas, and what a round costs with them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from airtune.costs import FloatArray
from airtune.planning.repetition import Repetition
from airtune.planning.result import FixedCosts
from airtune.radio.movement import Movement
from airtune.radio.units import wavelength
from airtune.registry import POLICIES
from airtune.scheduling import Candidates, Choice, Policy, choose
from airtune.schemes import BuiltScheme, RadioRound, Travel


@dataclass(frozen=True)
class ExpectedRadio:
    """The air that a plan is made for.

    Attributes
    ----------
    positions : ndarray, float, shape (N, 2)
        Of the antennas [wavelengths].
    participants : ndarray of bool, shape (K,)
    weights : ndarray, float, shape (K,)
        nu_k as far as known before the updates; 0 for those that do not transmit.
    mse_star : float
        MSE of the aggregation at full power.
    costs : FixedCosts
        What a round costs besides computing.
    max_travel : float or None
        Longest distance of an antenna between two rounds [wavelengths].
    """

    positions: FloatArray
    participants: NDArray[np.bool_]
    weights: FloatArray
    mse_star: float
    costs: FixedCosts
    max_travel: float | None


@dataclass(frozen=True)
class RadioTurn:
    """What a scheme can reach on the air of one round.

    Attributes
    ----------
    repetition : Repetition
    scheme_name : str
    round : int
        The round whose perceived paths are looked at.
    start : ndarray, float, shape (N, 2)
        Where the antennas are before it [wavelengths].
    """

    repetition: Repetition
    scheme_name: str
    round: int
    start: FloatArray

    @property
    def scheme(self) -> BuiltScheme:
        """Array policy and air interface."""
        return self.repetition.scheme(self.scheme_name)

    @cached_property
    def radio(self) -> RadioRound:
        """Paths of the round."""
        return self.repetition.radio(self.round)

    @property
    def moves_once(self) -> bool:
        """Whether the antennas stay where the plan puts them."""
        return self.repetition.scenario.planning.movement == "once"

    def place(
        self,
        participants: NDArray[np.bool_],
        max_travel: float | None = None,
        price_db: float = 0.0,
    ) -> ExpectedRadio:
        """Place the antennas for these participants.

        Parameters
        ----------
        participants : ndarray of bool, shape (K,)
        max_travel : float, optional
            Longest distance of an antenna [wavelengths]; the scenario's limit by default.
        price_db : float
            Gain that one more wavelength of travel must bring, at least the scenario's [dB].
        """
        settings = self.repetition.scenario.placement
        limit = settings.max_travel if max_travel is None else max_travel
        travel = Travel(limit, max(settings.travel_price_db, price_db))
        weights = self.choose(participants).spread(self.repetition.omega)
        positions = self.scheme.array.place(self.radio, weights, self.start, travel)
        return self.at(participants, positions, limit)

    def at(
        self,
        participants: NDArray[np.bool_],
        positions: FloatArray,
        max_travel: float | None = None,
    ) -> ExpectedRadio:
        """Return the air to be expected with the antennas at given positions."""
        repetition, choice = self.repetition, self.choose(participants)
        weights = choice.spread(repetition.omega)
        move = repetition.movement(self.scheme.array, self.start, positions)
        link = self.scheme.array.link(self.radio, weights, positions)
        forecast = self.scheme.air.forecast(link, weights, repetition.matrix_sizes)
        reporting = forecast.airtime_s[choice.clients] > 0
        overheads = self.scheme.air.overheads(
            link, link, choice.clients, repetition.matrix_sizes, reporting
        )
        if len(choice.clients) < participants.sum():  # pilots are sent in turn: means over the sets
            everyone = np.flatnonzero(participants)
            of_all = self.scheme.air.pilots(link, everyone, repetition.matrix_sizes)
            mean_s = of_all.time_s * len(choice.clients) / len(everyone)
            overheads = replace(overheads, pilot_j=of_all.energies_j, pilot_s=mean_s)
        pilots = np.zeros(len(weights))
        pilots[participants] = overheads.pilot_j
        airtime = np.where(participants, forecast.airtime_s[choice.clients].mean(), 0.0)
        airtime[choice.clients] = forecast.airtime_s[choice.clients]
        scenario = repetition.scenario.clients
        transmitting = scenario.limit if scenario.unbiased else len(choice.clients)
        costs = FixedCosts(
            uplink_s=forecast.uplink_s,
            downlink_s=overheads.downlink_s,
            pilot_s=overheads.pilot_s,
            move_s=move.time_s,
            uplink_j=self.radio.powers * airtime,
            pilot_j=pilots,
            downlink_j=overheads.downlink_j,
            move_j=move.energy_j,
            backoff=forecast.backoff,
            misalignment=forecast.bias,
            transmitting=(
                transmitting if transmitting < participants.sum() or scenario.unbiased else None
            ),
            redrawn=scenario.unbiased,
        )
        if self.moves_once:
            costs = _moving_once(costs, move)
        noise = forecast.mse - forecast.bias
        if self.scheme.array.moves:  # with so much they may stay where they are
            noise = max(noise, repetition.scenario.planning.quality - forecast.bias)
        return ExpectedRadio(positions, participants, weights, noise, costs, max_travel)

    def choose(self, participants: NDArray[np.bool_]) -> Choice:
        """Return who would transmit in the round, at the largest batches."""
        repetition = self.repetition
        scenario, count = repetition.scenario, repetition.scenario.clients.count
        clients = np.flatnonzero(participants)
        name = scenario.clients.selection
        policy: Policy = POLICIES[name]
        return choose(
            name,
            policy,
            Candidates(
                radio=self.radio,
                clients=clients,
                limit=min(scenario.clients.limit, len(clients)),
                omega=repetition.omega,
                scaled_weights=repetition.omega,
                batch_sizes=np.minimum(
                    scenario.training.batch_size_max, repetition.sizes.data_sizes
                ),
                average_rates=np.zeros(count),
                array=self.scheme.array,
                positions=self.start,
                constants=repetition.constants,
                unbiased=scenario.clients.unbiased,
                fair_window=scenario.clients.fair_window,
            ),
        )

    @property
    def longest_travel(self) -> float:
        """Longest distance that an antenna can travel between two rounds [wavelengths]."""
        limit = self.repetition.scenario.placement.max_travel
        return math.hypot(*self.repetition.scenario.array.region) if limit is None else limit

    @property
    def wavelength_time(self) -> float:
        """Time of travelling one wavelength [s]."""
        scenario = self.repetition.scenario
        return wavelength(scenario.radio.carrier_hz) / scenario.array.speed_mps

    @property
    def wavelength_energy(self) -> float:
        """Energy of all antennas travelling one wavelength [J]."""
        array = self.repetition.scenario.array
        return array.antennas * array.drive_power_w * self.wavelength_time


def _moving_once(costs: FixedCosts, move: Movement) -> FixedCosts:
    return replace(
        costs, move_s=0.0, move_j=0.0, first_move_s=move.time_s, first_move_j=move.energy_j
    )
