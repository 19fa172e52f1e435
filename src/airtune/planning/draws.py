"""Blocks drawn from the channel's law, and what a scheme may expect on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from airtune.kinds import Integer, Real
from airtune.placement import Estimate, estimate
from airtune.planning.repetition import Repetition
from airtune.planning.result import FixedCosts
from airtune.radio.channels.base import Block
from airtune.radio.movement import Movement
from airtune.radio.units import from_db
from airtune.schemes import BuiltScheme, Forecast, Link, RadioRound, Signalling, Travel
from airtune.schemes.arrays.base import Effort
from airtune.streams import generator


def drawn_blocks(repetition: Repetition, round_index: int, purpose: str) -> list[RadioRound]:
    """Draw what the paths may be in `planning.draws` of the next `planning.horizon` rounds.

    They start from what the server perceives in a round, and come from a stream of their own: what
    the rounds bring is not looked at.

    Parameters
    ----------
    repetition : Repetition
    round_index : int
        The last round that is known.
    purpose : str
        Names the stream: places are chosen with other draws than those which judge them.
    """
    settings = repetition.scenario.planning
    ahead = np.linspace(1, settings.horizon, settings.draws).round().astype(int)
    now = repetition.radio(round_index)
    blocks = []
    for index, count in enumerate(ahead.tolist()):
        rng = generator(repetition.seed, "draws", purpose, round_index, index)
        blocks.append(_known(now, repetition, count, rng))
    return blocks


def walk_of_blocks(repetition: Repetition, round_index: int, count: int) -> list[RadioRound]:
    """Draw `count` blocks that follow each other and the one perceived in a round."""
    now, blocks = repetition.radio(round_index), []
    for index in range(count):
        rng = generator(repetition.seed, "draws", "walk", round_index, index)
        now = _known(now, repetition, 1, rng)
        blocks.append(now)
    return blocks


def _known(
    now: RadioRound, repetition: Repetition, blocks: int, rng: np.random.Generator
) -> RadioRound:
    drawn = repetition.paths.ahead(now.perceived, blocks, rng)
    return replace(now, block=Block(drawn, drawn))


@dataclass(frozen=True)
class Outlook:
    """What a scheme may expect on drawn blocks.

    Attributes
    ----------
    forecasts : tuple of Forecast
        One a block.
    """

    forecasts: tuple[Forecast, ...]

    @classmethod
    def of(
        cls,
        scheme: BuiltScheme,
        radios: Sequence[RadioRound],
        weights: Real,
        positions: Real,
        matrix_sizes: Integer,
    ) -> Outlook:
        """Return the forecasts with antennas that stay.

        Parameters
        ----------
        scheme : BuiltScheme
        radios : sequence of RadioRound
        weights : ndarray, float, shape (K,)
        positions : ndarray, float, shape (N, 2)  [wavelengths]
        matrix_sizes : ndarray, int, shape (B,)
        """
        links = [scheme.array.expected_link(radio, weights, positions) for radio in radios]
        return cls(tuple(scheme.air.forecast(link, weights, matrix_sizes) for link in links))

    @property
    def mean(self) -> Forecast:
        """The first forecast with the mean error and bias of all."""
        mse = float(np.mean([one.mse for one in self.forecasts]))
        bias = float(np.mean([one.bias for one in self.forecasts]))
        return replace(self.forecasts[0], mse=mse, bias=bias)

    def expected_error(self, backoff: float = 1.0) -> Estimate:
        """Return the expected error over v^2, by the sample, with its interval."""
        return estimate(np.array([one.error(backoff) for one in self.forecasts]))


WALK = 6
"""Blocks of a walk, besides the first."""

LONGEST = 20
"""Blocks of a walk at most that follows a movement policy: as many as there are likely rounds.

Antennas that stay hear ever worse, so few blocks would flatter them.
"""


@dataclass(frozen=True)
class Walk:
    """A way of the antennas through drawn blocks, each placed from the places before it.

    Where the plan has chosen when they move they stay in the blocks in which this policy lets them.
    An array without drives goes no way: it is set anew for each block.

    Attributes
    ----------
    forecasts : tuple of Forecast
        One a block, at full power.
    move_s, move_j : float
        Means of the ways between the blocks, with steps of refinement; the way to the first places
        is not one of them.
    downlink_s, downlink_j : float
        Means of the broadcasts of the blocks [s], [J], each from where the antennas are then; the
        energy is what the base station draws.
    """

    forecasts: tuple[Forecast, ...]
    move_s: float
    move_j: float
    downlink_s: float
    downlink_j: float

    @classmethod
    def of(
        cls,
        repetition: Repetition,
        scheme: BuiltScheme,
        first: tuple[int, Real, Real],
        travel: Travel,
        signalling: Signalling,
    ) -> Walk:
        """Walk through :data:`WALK` blocks after a round, with a policy up to :data:`LONGEST`.

        Parameters
        ----------
        repetition : Repetition
        scheme : BuiltScheme
        first : (int, ndarray (K,), ndarray (N, 2))
            The round, the clients' weights, and the places in the round [wavelengths].
        travel : Travel
            Limit and price of each way.
        signalling : Signalling
            Who hears the broadcast.
        """
        index, weights, positions = first
        clients, sizes = np.flatnonzero(weights > 0), repetition.matrix_sizes
        silent = np.zeros(len(clients), dtype=np.bool_)  # reports take the most work, by far
        signalling = replace(signalling, reporting=silent)
        forecasts, ways, broadcasts = [], [], []
        count = WALK
        if repetition.movement_chosen and scheme.array.moves:
            count = max(WALK, min(LONGEST, repetition.inputs.likely_rounds))
        for block, radio in enumerate(walk_of_blocks(repetition, index, count)):
            new = positions
            if not _stays(repetition, scheme, radio, (weights, positions)):
                new = scheme.array.place(radio, weights, positions, travel, Effort(mode="fast"))
            before, way = positions, repetition.movement(scheme.array, positions, new)
            if repetition.refinements(scheme.array):
                known = _Measured(repetition, scheme, radio, weights, f"walk {block}")
                way = known.refined(way, travel.price_db)
            positions = way.positions
            link = scheme.array.expected_link(radio, weights, positions)
            forecasts.append(scheme.air.forecast(link, weights, sizes))
            ways.append(way)
            heard = repetition.broadcast_link(scheme.array, before, link, weights)
            broadcasts.append(scheme.air.overheads(heard, link, clients, sizes, signalling))
        downlink_s = float(np.mean([one.downlink_s for one in broadcasts]))
        radiated_j = float(np.mean([one.downlink_j for one in broadcasts]))
        front_end = scheme.array.front_end
        return cls(
            forecasts=tuple(forecasts),
            move_s=float(np.mean([way.time_s for way in ways])),
            move_j=float(np.mean([way.energy_j for way in ways])),
            downlink_s=downlink_s,
            downlink_j=repetition.hardware.station_energy(front_end, downlink_s, radiated_j),
        )

    @property
    def mean(self) -> Forecast:
        """What a mean round brings: its errors and its uploads."""
        ones = self.forecasts
        sending = [one.airtime_s if one.sending_s is None else one.sending_s for one in ones]
        return replace(
            ones[0],
            mse=float(np.mean([one.mse for one in ones])),
            bias=float(np.mean([one.bias for one in ones])),
            backoff=any(one.backoff for one in ones),
            airtime_s=np.mean([one.airtime_s for one in ones], axis=0),
            uplink_s=float(np.mean([one.uplink_s for one in ones])),
            sending_s=np.mean(sending, axis=0),
        )

    def booked(self, costs: FixedCosts) -> FixedCosts:
        """Return costs with the mean way and broadcast in each round, and what the first has more.

        The first broadcast comes from where the antennas are before they have ever been placed: a
        client in a fade there may take many times as long to hear it as in any other round.

        Parameters
        ----------
        costs : FixedCosts
            With the way to the first places, in every round or once, and the broadcast from before.
        """
        return replace(
            costs,
            move_s=self.move_s,
            move_j=self.move_j,
            first_move_s=costs.move_s + costs.first_move_s,
            first_move_j=costs.move_j + costs.first_move_j,
            downlink_s=self.downlink_s,
            downlink_j=self.downlink_j,
            first_downlink_s=max(0.0, costs.downlink_s - self.downlink_s),
            first_downlink_j=max(0.0, costs.downlink_j - self.downlink_j),
        )


@dataclass(frozen=True)
class _Measured:
    """A drawn block as the server knows it by pilots that are sent where the antennas are."""

    repetition: Repetition
    scheme: BuiltScheme
    radio: RadioRound
    weights: Real
    name: str

    def refined(self, way: Movement, price_db: float) -> Movement:
        """Return a way with the steps of refinement after it, as a run goes them at full power."""
        repetition, array = self.repetition, self.scheme.array
        longest = repetition.scenario.placement.nearby(repetition.scenario.array.drives.grid)
        nearby, link = Travel(longest, price_db), self.link(way.positions, "places")
        for step in range(repetition.refinements(array)):
            new = array.place(link.radio, self.weights, way.positions, nearby, Effort(mode="fast"))
            there = way.then(repetition.movement(array, way.positions, new))
            found = self.link(there.positions, f"refined {step}")
            if self.error(found) > self.error(link):
                return there.then(repetition.movement(array, there.positions, way.positions))
            way, link = there, found
        return way

    def link(self, positions: Real, name: str) -> Link:
        """Return the link that is measured with the antennas there."""
        array, clients = self.scheme.array, np.flatnonzero(self.weights > 0)
        link = array.link(self.radio, self.weights, positions)
        return self.repetition.measured(link, array, clients, f"{self.name}, {name}")

    def error(self, link: Link) -> float:
        """Return the error over v^2 that a link lets expect."""
        air, sizes = self.scheme.air, self.repetition.matrix_sizes
        return air.forecast(link, self.weights, sizes).mse


def _stays(
    repetition: Repetition, scheme: BuiltScheme, radio: RadioRound, where: tuple[Real, Real]
) -> bool:
    """Return whether a policy that the plan has chosen lets the antennas stay in a block.

    `where`: the clients' weights, and the places.  At full power, as no back-off is known yet.
    """
    planning = repetition.scenario.planning
    if not (repetition.movement_chosen and scheme.array.moves):
        return False
    if planning.movement == "once":
        return True
    if planning.movement != "when-needed" or not scheme.air.places_set_error:
        return False
    link = scheme.array.expected_link(radio, *where)
    sizes = repetition.matrix_sizes
    return bool(scheme.air.forecast(link, where[0], sizes).error(1.0) <= planning.quality)


@dataclass(frozen=True)
class ManyBlocks:
    """Where antennas go that stand for many blocks (`planning.movement: statistical`).

    Attributes
    ----------
    repetition : Repetition
    scheme : BuiltScheme
    round : int
        The round that opens.
    weights : ndarray, float, shape (K,)
        Of all participants, whoever is selected.
    backoff : float
        rho of the plan.
    travel : Travel
    """

    repetition: Repetition
    scheme: BuiltScheme
    round: int
    weights: Real
    backoff: float
    travel: Travel

    def aim(
        self, positions: Real, before: float | None, planned: Real | None = None
    ) -> tuple[Real, float, Estimate]:
        """Return the places of least expected error, where it has changed since the last choice.

        The antennas go there only where drawn blocks that did not choose the places find them
        better than where they are.

        Parameters
        ----------
        positions : ndarray, float, shape (N, 2)
            Where they are [wavelengths].
        before : float or None
            The expected error over v^2 when they were placed; None: not yet.
        planned : ndarray, float, shape (N, 2), optional
            Places of a plan that begins with this round [wavelengths].

        Returns
        -------
        places : ndarray, float, shape (N, 2)
        placed_error : float
            What `before` is from now on.
        expected : Estimate
            The expected error at the places.
        """
        repetition = self.repetition
        judging = drawn_blocks(repetition, self.round, "judge")

        def error(places: Real) -> Estimate:
            sizes = repetition.matrix_sizes
            outlook = Outlook.of(self.scheme, judging, self.weights, places, sizes)
            return outlook.expected_error(self.backoff)

        staying, rise = error(positions), from_db(repetition.scenario.planning.drift_db)
        if planned is not None:
            places = planned
        elif before is not None and staying.mean <= before * rise:
            return positions, before, staying
        else:
            blocks = drawn_blocks(repetition, self.round, "places")
            array = self.scheme.array
            places = array.place_average(blocks, self.weights, positions, self.travel)
        moving = error(places)
        if moving.mean >= staying.mean:
            return positions, staying.mean, staying
        return places, moving.mean, moving
