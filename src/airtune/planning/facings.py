"""Where the array of a scheme faces in each round (`array.rotation`): slow, by statistics.

Angles are chosen for blocks drawn from the channel's law, from what the server believes in the
round in which the array turns; places of the antennas are chosen anew in every round.  That is the
split of time scales of movable antennas in six dimensions [1]_.  They are a function of scenario,
seed, array and round, so nothing of them is kept with a run.

References
----------
.. [1] X. Shao, Q. Jiang, R. Zhang, "6D movable antenna based on user distribution: modeling and
   optimization", IEEE Trans. Wireless Commun., 2025, arXiv:2403.08123.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np

from airtune.planning.repetition import Repetition
from airtune.planning.result import FixedCosts
from airtune.planning.turning import Turning
from airtune.radio.channels import Block, Channel, Transmitters
from airtune.radio.channels.turned import Turned, View, check_isotropic
from airtune.radio.facing import AHEAD, Facing
from airtune.radio.movement import Movement
from airtune.radio.units import from_db
from airtune.registry import SCHEMES
from airtune.schemes import RadioRound, Travel
from airtune.schemes.arrays.base import Effort
from airtune.schemes.precoding import aligned
from airtune.streams import generator

COARSE = (np.linspace(-1.0, 1.0, 5), np.linspace(-1.0, 1.0, 3), np.zeros(1))
"""Yaw, pitch and roll of the first angles that are tried, as shares of the largest."""

STEPS = (0.25, 0.125)
"""Steps of the search about the best of them, as shares of the largest."""

READ = {"array", "radio", "clients", "placement", "planning", "faults"}
"""Sections of the scenario that angles depend on."""

_FOUND: WeakKeyDictionary[Channel, dict[tuple[object, ...], list[Facing]]] = WeakKeyDictionary()


def facing_scheme(repetition: Repetition, scheme: str) -> Repetition:
    """Return the repetition of a scheme whose array turns; as it is where it does not.

    Parameters
    ----------
    repetition : Repetition
    scheme : str
        Name of the scheme.

    Raises
    ------
    InputError
        The array is to turn, and the channel does not go with it.
    """
    array, settings = SCHEMES[scheme].array, repetition.scenario.array.rotation
    how = settings.movable if array.moves else settings.others
    if not array.rotates or how == "none":
        return repetition if repetition.facings is None else _with(repetition, None)
    if repetition.facings is not None and repetition.facings.key == (array, how):
        return repetition
    resting = _with(repetition, None)
    setting = f"array.rotation.{'movable' if array.moves else 'others'} = {how}"
    check_isotropic(resting.paths, repetition.scenario.radio.channel, setting, "none")
    return _with(repetition, Facings(resting, scheme, how))


def _with(repetition: Repetition, facings: Turning | None) -> Repetition:
    """Return a repetition with other facings, on the channel below those that it has."""
    channel, array = repetition.paths, repetition.scenario.array
    if isinstance(channel, Turned):
        channel = channel.channel
    if facings is not None:
        channel = Turned(channel, array.region, array.element, facings.of)
    return replace(repetition, channel=channel, facings=facings)


class Facings(Turning):
    """Where an array faces by statistics, and what it costs to turn it.

    Parameters
    ----------
    repetition : Repetition
        With an array that faces straight ahead.
    scheme : str
        Name of the scheme.
    how : str
        ``mounted`` or ``turned``.
    """

    def __init__(self, repetition: Repetition, scheme: str, how: str) -> None:
        self._key = SCHEMES[scheme].array, how
        self._repetition, self._settings = repetition, repetition.scenario.array.rotation
        self._scheme, self._turned = scheme, how == "turned"
        self._every = self._settings.every if self._turned else None
        self._channel = repetition.paths
        if isinstance(self._channel, Turned):
            self._channel = self._channel.channel
        self._chosen = self._found_before()

    @property
    def key(self) -> tuple[object, str]:
        """The class of the array, and whether it is mounted or turned."""
        return self._key

    def of(self, round_index: int) -> Facing:
        """Return where the array faces in a round.

        A turned one faces straight ahead before the first round; a mounted one always does as it
        was put up.
        """
        if round_index < 1 and self._turned:
            return AHEAD
        period = 0 if self._every is None else (round_index - 1) // self._every
        while len(self._chosen) <= period:
            last = self._chosen[-1] if self._chosen else AHEAD
            self._chosen.append(self._choose(1 + len(self._chosen) * (self._every or 1), last))
        return self._chosen[period]

    def way(self, round_index: int) -> tuple[float, float]:
        """Return time [s] and energy [J] of the turn in a round."""
        if not self._turned:
            return 0.0, 0.0
        settings, before = self._settings, self.of(round_index - 1)
        return before.way_to(self.of(round_index), settings.speed_dps, settings.drive_power_w)

    def before(self, radio: RadioRound) -> RadioRound | None:
        """Return a round as the array sees it before it turns; None where it does not turn."""
        if self.way(radio.round)[0] == 0.0:
            return None
        return replace(radio, block=radio.block.facing(self.of(radio.round - 1)))

    def moved(self, round_index: int, movement: Movement) -> Movement:
        """Return the movement of a round with the turn, while the antennas move."""
        time_s, energy_j = self.way(round_index)
        return replace(
            movement,
            time_s=max(movement.time_s, time_s),
            energy_j=movement.energy_j + energy_j,
        )

    def booked(self, costs: FixedCosts, round_index: int) -> FixedCosts:
        """Return what a plan counts for the rounds from this one on.

        The turn of the round counts once, besides the movement of the antennas; those that follow
        are taken to be as long as the first one of its time, in the mean over the rounds.
        """
        (time_s, energy_j), share_s, share_j = self.way(round_index), 0.0, 0.0
        if self._every is not None:
            last_turn = 1 + (round_index - 1) // self._every * self._every
            share_s, share_j = (one / self._every for one in self.way(last_turn))
        return replace(
            costs,
            move_s=costs.move_s + share_s,
            move_j=costs.move_j + share_j,
            first_move_s=costs.first_move_s + time_s,
            first_move_j=costs.first_move_j + energy_j,
        )

    def _found_before(self) -> list[Facing]:
        """Return the angles of each time, which are found once for a channel and its settings."""
        repetition = self._repetition
        settings = repetition.scenario.model_dump_json(include=READ)
        try:
            found = _FOUND.setdefault(self._channel, {})
        except TypeError:  # a channel of one's own that has no hash
            return []
        key = *self.key, repetition.seed, settings, repetition.omega.tobytes()
        return found.setdefault(key, [])

    def _choose(self, round_index: int, last: Facing) -> Facing:
        """Return the best angles for the rounds from one on, `last` where they gain too little."""
        trying, judging = (self._drawn(round_index, name) for name in ("turn", "judge turn"))
        best = search(
            lambda facing: self._error(facing, trying, round_index),
            self._settings.largest_deg,
            last,
        )
        if best == last:
            return last
        new, old = (self._error(facing, judging, round_index) for facing in (best, last))
        return best if new * from_db(self._settings.least_gain_db) <= old else last

    def _drawn(self, round_index: int, purpose: str) -> list[Transmitters]:
        """Draw what may be around the array, from what the server believes in a round."""
        repetition, draws = self._repetition, self._settings.draws
        known = self._channel.block(round_index).perceived
        horizon = self._every or repetition.scenario.planning.horizon
        ahead = np.linspace(1, horizon, draws).round().astype(int).tolist()
        return [
            self._channel.ahead(
                known, count, generator(repetition.seed, purpose, round_index, index)
            )
            for index, count in enumerate(ahead)
        ]

    def _error(self, facing: Facing, around: Sequence[Transmitters], round_index: int) -> float:
        """Return the mean MSE* over some blocks with the antennas at their best places for each."""
        repetition, scenario = self._repetition, self._repetition.scenario
        array, weights = repetition.scheme(self._scheme).array, repetition.omega
        view = View(facing, scenario.array.region, scenario.array.element)
        radios = []
        for one in around:
            turned = view.of(one)
            block = Block(turned, turned)
            radios.append(RadioRound.of(scenario, repetition.seed, round_index, block))
        start, free = array.start(), Travel()
        if array.moves and scenario.planning.movement in ("once", "statistical"):
            places = [array.place_average(radios, weights, start, free)] * len(radios)
        else:
            fast = Effort(mode="fast")
            places = [array.place(radio, weights, start, free, fast) for radio in radios]
        gains = [
            aligned(link, weights).chosen(weights).worst_gain
            for radio, positions in zip(radios, places, strict=True)
            for link in array.expected_link(radio, weights, positions).subbands
        ]
        return float(np.mean(1.0 / np.array(gains)))


def search(
    error: Callable[[Facing], float], largest_deg: tuple[float, float, float], last: Facing
) -> Facing:
    """Return the angles of the least error that a coarse grid and a compass search find.

    Parameters
    ----------
    error : callable
        Of a facing; evaluated once for each.
    largest_deg : (float, float, float)
        Largest yaw, pitch and roll, either way [deg].
    last : Facing
        Tried first, so that it stays where nothing is better.

    Examples
    --------
    >>> search(lambda f: abs(f.yaw - 38.0) + abs(f.pitch), (60.0, 30.0, 0.0), Facing()).angles
    (37.5, 0.0, 0.0)
    """
    grid = (
        sorted({float(share * most) for share in shares})
        for shares, most in zip(COARSE, largest_deg, strict=True)
    )
    best, least = last, error(last)
    tried = {last}

    def offer(facing: Facing) -> bool:
        nonlocal best, least
        if facing in tried:
            return False
        tried.add(facing)
        value = error(facing)
        if not value < least:
            return False
        best, least = facing, value
        return True

    for angles in itertools.product(*grid):
        offer(Facing(*(angle + 0.0 for angle in angles)))
    for step in STEPS:
        improved = True
        while improved:
            improved = False
            for axis, most in enumerate(largest_deg):
                for sign in (-1.0, 1.0) if most > 0 else ():
                    nearby = list(best.angles)
                    there = nearby[axis] + sign * step * most
                    nearby[axis] = min(max(there, -most), most) + 0.0
                    improved |= offer(Facing(*nearby))
    return best
