"""The radio turn of the joint plan: places of the antennas, and what a round costs with them."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from airtune.costs import FloatArray
from airtune.kinds import Mask
from airtune.placement import Estimate
from airtune.planning.draws import Outlook, Walk, drawn_blocks
from airtune.planning.overheads import expected_overheads, expected_signalling
from airtune.planning.repetition import Repetition
from airtune.planning.result import FixedCosts
from airtune.radio.quantisers.coding import Coding
from airtune.radio.units import wavelength
from airtune.registry import POLICIES
from airtune.scheduling import Candidates, Choice, Policy, choose
from airtune.schemes import BuiltScheme, RadioRound, Signalling, Travel


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
    repetition : int
        n_rep, times that every analog symbol is sent.
    normalise : str or None
        Rule of the scales and powers, which the scenario may leave to be chosen.
    price_db : float
        Gain that one more wavelength of a way must bring [dB].
    error : Estimate or None
        The expected error over v^2 at full power where it is told by drawn blocks.
    """

    positions: FloatArray
    participants: NDArray[np.bool_]
    weights: FloatArray
    mse_star: float
    costs: FixedCosts
    max_travel: float | None
    repetition: int = 1
    normalise: str | None = None
    price_db: float = 0.0
    error: Estimate | None = None


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
    sendings : int or None
        Times that every analog symbol is sent; None: as the scenario says, once where it is to be
        planned.
    price_db : float
        Least gain that one more wavelength of a way must bring, besides the scenario's [dB].
    coding : Coding, optional
        How the updates are coded; by default as the interface does it by itself.
    """

    repetition: Repetition
    scheme_name: str
    round: int
    start: FloatArray
    sendings: int | None = None
    price_db: float = 0.0
    coding: Coding | None = None
    _walked: dict[Hashable, Walk] = field(default_factory=dict, repr=False, compare=False)

    @property
    def scheme(self) -> BuiltScheme:
        """Array policy and air interface."""
        scheme = self.repetition.scheme(self.scheme_name).coded(self.coding)
        return scheme if self.sendings is None else scheme.repeating(self.sendings)

    @property
    def most_sendings(self) -> int:
        """Most times that a plan may let a symbol be sent; 1 where it does not decide that."""
        settings, scheme = self.repetition.scenario.aggregation, self.scheme
        planned = settings.repetition == "planned" and scheme.repeating(2) is not scheme
        return settings.repetition_max if planned else 1

    def repeating(self, expected: ExpectedRadio, count: int) -> ExpectedRadio:
        """Return the same air with every symbol sent `count` times where a plan decides that."""
        if count == expected.repetition or self.most_sendings == 1:
            return expected
        turn = replace(self, sendings=count)
        return turn.at(
            expected.participants, expected.positions, expected.max_travel, expected.price_db
        )

    @cached_property
    def radio(self) -> RadioRound:
        """Paths of the round."""
        return self.repetition.radio(self.round)

    @property
    def movement(self) -> str:
        """When the antennas move (`planning.movement`); those without drives are set each round."""
        moves = self.scheme.array.moves
        return self.repetition.scenario.planning.movement if moves else "each-round"

    @property
    def moves_once(self) -> bool:
        """Whether the antennas stay where the plan puts them, as a rule."""
        return self.movement in ("once", "statistical")

    @property
    def walks(self) -> bool:
        """Whether the air to be expected is a mean over drawn rounds, placed one after another."""
        predicts = self.repetition.scenario.planning.predicts
        if self.repetition.movement_chosen and predicts:
            return True
        return self.movement == "priced" or (predicts and not self.moves_once)

    @cached_property
    def judging(self) -> list[RadioRound]:
        """Drawn blocks that tell how good places for many blocks are."""
        return drawn_blocks(self.repetition, self.round, "judge")

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
        travel, array = Travel(limit, self.least_price(price_db)), self.scheme.array
        weights = self.choose(participants).spread(self.repetition.omega)
        if self.movement == "statistical":
            blocks = drawn_blocks(self.repetition, self.round, "places")
            positions = array.place_average(blocks, weights, self.start, travel)
        else:
            positions = array.place(self.radio, weights, self.start, travel)
        return self.at(participants, positions, limit, price_db)

    def least_price(self, price_db: float) -> float:
        """Return a price of a way, or the scenario's or the plan's where that is higher [dB]."""
        settings = self.repetition.scenario.placement
        return max(settings.travel_price_db, self.price_db, price_db)

    def at(
        self,
        participants: NDArray[np.bool_],
        positions: FloatArray,
        max_travel: float | None = None,
        price_db: float = 0.0,
    ) -> ExpectedRadio:
        """Return the air to be expected with the antennas at given positions.

        Where they move for a price, or the plan predicts, errors, uploads, ways and broadcasts are
        the means over a walk of drawn blocks that begins there; pilots and reports stay those of
        the round.
        """
        repetition, choice = self.repetition, self.choose(participants)
        weights = choice.spread(repetition.omega)
        move = repetition.movement(self.scheme.array, self.start, positions)
        link = self.scheme.array.expected_link(self.radio, weights, positions)
        forecast, error = self.scheme.air.forecast(link, weights, repetition.matrix_sizes), None
        if self.movement == "statistical":
            sizes = repetition.matrix_sizes
            outlook = Outlook.of(self.scheme, self.judging, weights, positions, sizes)
            forecast, error = outlook.mean, outlook.expected_error()
        signalling = expected_signalling(repetition, self.scheme, choice, participants, forecast)
        price, walk = self.least_price(price_db), None
        if self.walks:
            travel = Travel(max_travel, price)
            walk = self._walk((weights, participants), positions, travel, signalling)
            forecast = walk.mean
        before = repetition.broadcast_link(self.scheme.array, self.start, link, weights)
        overheads = expected_overheads(
            repetition, self.scheme, (before, link), choice, participants, signalling
        )
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
        costs = costs.moving_once if self.moves_once else costs
        costs = self._refined(costs) if walk is None else walk.booked(costs)
        noise = forecast.mse - forecast.bias
        costs = faces.booked(costs, self.round) if (faces := repetition.facings) else costs
        # with so much error they may stay where they are; a walk by the policy knows that
        floored = self.scheme.array.moves and self.scheme.air.places_set_error
        if floored and not repetition.movement_chosen:
            noise = max(noise, repetition.scenario.planning.quality - forecast.bias)
        sendings = self.sendings or repetition.scenario.aggregation.sendings
        if self.scheme.repeating(2) is self.scheme:
            sendings = 1
        return ExpectedRadio(
            positions,
            participants,
            weights,
            noise,
            costs,
            max_travel,
            sendings,
            self.scheme.air.aggregation.normalise,
            price,
            error,
        )

    def _walk(
        self,
        who: tuple[FloatArray, Mask],
        positions: FloatArray,
        travel: Travel,
        signalling: Signalling,
    ) -> Walk:
        """Return a walk that begins in this round; it takes some placements, so it is kept.

        `who`: weights of those that transmit, and all that take part.
        """
        weights, clients = who[0], (who[0].tobytes(), who[1].tobytes())
        key = self.round, clients, positions.tobytes(), travel, self.sendings, self.coding
        if key not in self._walked:
            first = self.round, weights, positions
            self._walked[key] = Walk.of(self.repetition, self.scheme, first, travel, signalling)
        return self._walked[key]

    def _refined(self, costs: FixedCosts) -> FixedCosts:
        """Return costs with the longest ways of the steps that refine the places of a round."""
        way = self.repetition.refinement_way(self.scheme.array)
        move_s, move_j = way * self.wavelength_time, way * self.wavelength_energy
        return replace(costs, move_s=costs.move_s + move_s, move_j=costs.move_j + move_j)

    def _transmitting(self, participants: Mask, choice: Choice) -> int | None:
        """Return how many of the participants transmit in a round; None: all."""
        clients = self.repetition.scenario.clients
        count = clients.limit if clients.unbiased else len(choice.clients)
        return count if count < participants.sum() or clients.unbiased else None

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

        Where they move while the clients compute, this time is a limit, less that of refining.

        Parameters
        ----------
        deadline_s : float
            D, the time that a round leaves for computing [s].
        limit : float or None
            Limit of the scenario or of a turn [wavelengths].
        """
        if not (self.repetition.scenario.planning.overlap and self.scheme.array.moves):
            return limit
        steps = self.repetition.refinement_way(self.scheme.array)
        reach = max(0.0, deadline_s / self.wavelength_time - steps)
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


def _of_all(times: FloatArray, participants: Mask, choice: Choice) -> FloatArray:
    """Return times of the selected clients, and their mean for the other participants."""
    spread = np.where(participants, times[choice.clients].mean(), 0.0)
    spread[choice.clients] = times[choice.clients]
    return spread
