"""The radio turn of the joint plan: places of the antennas, and what a round costs with them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from airtune.costs import FloatArray
from airtune.kinds import Mask
from airtune.planning.repetition import Repetition
from airtune.planning.result import FixedCosts
from airtune.radio.movement import Movement
from airtune.radio.quantisers.coding import Coding
from airtune.radio.units import wavelength
from airtune.registry import POLICIES
from airtune.scheduling import Candidates, Choice, Policy, choose
from airtune.schemes import BuiltScheme, Forecast, Link, RadioRound, Travel


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
    coding : Coding, optional
        How the updates are coded; by default as the interface does it by itself.
    """

    repetition: Repetition
    scheme_name: str
    round: int
    start: FloatArray
    coding: Coding | None = None

    @property
    def scheme(self) -> BuiltScheme:
        """Array policy and air interface."""
        return self.repetition.scheme(self.scheme_name).coded(self.coding)

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
        overheads = self._overheads(link, choice, participants, forecast)
        overlap = repetition.scenario.planning.overlap
        pilots = np.zeros(len(weights))
        pilots[participants] = overheads.pilot_j
        transmitting = self._transmitting(participants, choice)
        hardware, front_end = repetition.hardware, self.scheme.array.front_end
        sending = forecast.airtime_s if forecast.sending_s is None else forecast.sending_s
        radiated = self.radio.powers * _of_all(forecast.airtime_s, participants, choice)
        costs = FixedCosts(
            uplink_s=forecast.uplink_s,
            downlink_s=overheads.downlink_s,
            pilot_s=overheads.pilot_s,
            move_s=move.time_s,
            uplink_j=radiated / hardware.client_pa_efficiency,
            pilot_j=pilots,
            downlink_j=hardware.station_energy(
                front_end, overheads.downlink_s, overheads.downlink_j
            ),
            move_j=move.energy_j,
            backoff=forecast.backoff,
            misalignment=forecast.bias,
            transmitting=transmitting,
            redrawn=repetition.scenario.clients.unbiased,
            pilot_shared_j=overheads.shared_j
            + hardware.station_energy(front_end, overheads.pilot_s),
            uplink_fixed_j=hardware.client_w * _of_all(sending, participants, choice),
            uplink_shared_j=hardware.station_energy(front_end, forecast.uplink_s),
            overlap=overlap,
        )
        if self.moves_once:
            costs = _moving_once(costs, move)
        noise = forecast.mse - forecast.bias
        # with so much error they may stay where they are
        if self.scheme.array.moves and self.scheme.air.places_set_error:
            noise = max(noise, repetition.scenario.planning.quality - forecast.bias)
        return ExpectedRadio(positions, participants, weights, noise, costs, max_travel)

    def _transmitting(self, participants: Mask, choice: Choice) -> int | None:
        """Return how many of the participants transmit in a round; None: all."""
        clients = self.repetition.scenario.clients
        count = clients.limit if clients.unbiased else len(choice.clients)
        return count if count < participants.sum() or clients.unbiased else None

    def _overheads(
        self, link: Link, choice: Choice, participants: Mask, forecast: Forecast
    ) -> _ExpectedOverheads:
        """Return pilots, reports and broadcast of a mean round.

        Where some of the participants are selected only, the means over all who may be are taken:
        pilots are sent in turn.
        """
        repetition, scheme, hardware = self.repetition, self.scheme, self.repetition.hardware
        everyone, sizes = np.flatnonzero(participants), repetition.matrix_sizes
        omega = repetition.omega
        reporting = forecast.airtime_s[choice.clients] > 0
        message = repetition.expected_broadcast(scheme.air, everyone)
        signalling = repetition.signalling(scheme.array, everyone, reporting, broadcast=message)
        if repetition.scenario.aggregation.scale_reports == "joint":
            bits = np.full(len(choice.clients), self._report_bits())
            signalling = replace(signalling, report_bits=bits)
        before = repetition.broadcast_link(scheme.array, self.start, link, choice.spread(omega))
        booked = scheme.air.overheads(before, link, choice.clients, sizes, signalling)
        broadcast = booked.downlink_s, booked.downlink_j
        if len(choice.clients) == len(everyone):
            drawn = hardware.client_energy(booked.pilot_j, booked.times_s)
            return _ExpectedOverheads(drawn, booked.pilot_s, *broadcast)
        selected, count = len(choice.clients), len(everyone)
        of_all = replace(signalling, reporting=None, report_bits=None)
        if signalling.report_bits is not None:
            of_all = replace(of_all, report_bits=np.full(count, self._report_bits()))
        both = scheme.air.pilots(link, everyone, sizes, of_all)
        drawn = hardware.client_energy(both.pilot_j, both.times_s)
        silent_s = signalling.silent_symbols / repetition.scenario.radio.bandwidth_hz
        if signalling.sounded is None:
            mean_s = (both.pilot_s - silent_s) * selected / count + silent_s
            return _ExpectedOverheads(drawn, mean_s, *broadcast)
        nobody = replace(of_all, reporting=np.zeros(len(everyone), dtype=np.bool_))
        alone = scheme.air.pilots(link, everyone, sizes, nobody)  # pilots that all of them send
        mean_s = alone.pilot_s + (both.pilot_s - alone.pilot_s) * selected / count
        idle = (1 - selected / count) * hardware.client_energy(alone.pilot_j, alone.times_s)
        return _ExpectedOverheads(drawn, mean_s, *broadcast, shared_j=float(idle.sum()))

    def _report_bits(self) -> float:
        """Return the mean length of a joint report [bit].

        Half of the full one, and over the run one in full besides: for the first report, and for
        matrices that are 0 in the first round.
        """
        repetition = self.repetition
        rounds = repetition.inputs.rounds[0]
        return self.scheme.air.reported_bits(repetition.matrix_sizes) * (0.5 + 1.0 / rounds)

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

    def travel_within(self, deadline_s: float, limit: float | None) -> float | None:
        """Return how far antennas may move between two rounds [wavelengths]; None: no limit.

        Where they move while the clients compute, what they can do in this time is a limit, too.

        Parameters
        ----------
        deadline_s : float
            D, the time that a round leaves for computing [s].
        limit : float or None
            Limit of the scenario or of a turn [wavelengths].
        """
        if not (self.repetition.scenario.planning.overlap and self.scheme.array.moves):
            return limit
        reach = deadline_s / self.wavelength_time
        least = reach if limit is None else min(limit, reach)
        return least if math.isfinite(least) else None

    @property
    def longest_travel(self) -> float:
        """Longest distance that an antenna can travel between two rounds [wavelengths]."""
        limit = self.repetition.scenario.placement.max_travel
        return math.hypot(*self.repetition.scenario.array.region) if limit is None else limit

    @property
    def wavelength_time(self) -> float:
        """Time of travelling one wavelength [s]."""
        scenario = self.repetition.scenario
        return wavelength(scenario.radio.carrier_hz) / scenario.array.drives.speed_mps

    @property
    def wavelength_energy(self) -> float:
        """Energy of all antennas travelling one wavelength [J]."""
        array = self.repetition.scenario.array
        return array.antennas * array.drives.power_w * self.wavelength_time


@dataclass(frozen=True)
class _ExpectedOverheads:
    """Pilots, reports and broadcast of a mean round.

    Attributes
    ----------
    pilot_j : ndarray, float, shape (E,)
        What each participant draws in a round in which it is selected [J].
    pilot_s, downlink_s : float  [s]
    downlink_j : float
        Radiated by the base station [J].
    shared_j : float
        Drawn by participants for pilots in rounds in which they are not selected [J].
    """

    pilot_j: FloatArray
    pilot_s: float
    downlink_s: float
    downlink_j: float
    shared_j: float = 0.0


def _of_all(times: FloatArray, participants: Mask, choice: Choice) -> FloatArray:
    """Return times of the selected clients, and their mean for the other participants."""
    spread = np.where(participants, times[choice.clients].mean(), 0.0)
    spread[choice.clients] = times[choice.clients]
    return spread


def _moving_once(costs: FixedCosts, move: Movement) -> FixedCosts:
    return replace(
        costs, move_s=0.0, move_j=0.0, first_move_s=move.time_s, first_move_j=move.energy_j
    )
