"""The cell that is looked at: a scenario, what was changed of it, and who was moved in it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from airtune.errors import InputError, shown
from airtune.kinds import Real
from airtune.radio.channels.base import Channel
from airtune.radio.channels.block_fading import BlockFading
from airtune.radio.channels.cell import Stations, path_loss_db
from airtune.radio.units import from_db
from airtune.registry import CHANNELS
from airtune.scenario import Scenario
from airtune.scenario import file as scenario_file

Group = Literal["clients", "interferers"]
GROUPS: tuple[Group, ...] = get_args(Group)

NEAREST_M, FARTHEST_M = 1.0, 1e5
"""Where stations can be put: the limits of `clients.distance_m`."""

MOST_CLIENTS, MOST_ANTENNAS = 200, 64
"""What the page places while one drags; a run may have more."""

CHANGEABLE = (
    "array.antennas",
    "array.region",
    "array.drive",
    "clients.count",
    "clients.tx_power_dbm",
    "radio.interferers.count",
    "radio.interferers.tx_power_dbm",
    "radio.noise_psd_dbm_hz",
    "radio.paths.fading",
    "radio.paths.angles",
)
"""Settings that the page changes."""


@dataclass(frozen=True)
class Spot:
    """Where a station stands, seen from the array.

    Attributes
    ----------
    distance_m : float
        Distance d to the array [m].
    azimuth_deg : float
        From broadside, positive to the right (towards +x) [deg].
    elevation_deg : float
        Above the horizon [deg].
    """

    distance_m: float
    azimuth_deg: float
    elevation_deg: float

    @property
    def direction(self) -> Real:
        """In-plane part ``u`` of the direction (:mod:`airtune.radio.channels.directions`)."""
        azimuth, elevation = math.radians(self.azimuth_deg), math.radians(self.elevation_deg)
        return np.array([math.cos(elevation) * math.sin(azimuth), math.sin(elevation)])

    @classmethod
    def of(cls, distance_m: float, direction: Real) -> Spot:
        """Return where a station of a distance and an in-plane direction stands.

        Examples
        --------
        >>> Spot.of(100.0, np.array([0.5, 0.0]))
        Spot(distance_m=100.0, azimuth_deg=30.0, elevation_deg=0.0)
        """
        x, y = (float(part) for part in direction)
        front = math.sqrt(max(0.0, 1.0 - x * x - y * y))
        azimuth = math.degrees(math.atan2(x, front))
        elevation = math.degrees(math.asin(min(1.0, max(-1.0, y))))
        return cls(float(distance_m), round(azimuth, 9), round(elevation, 9))


@dataclass(frozen=True)
class Cell:
    """A scenario with what was changed of it; made by :func:`open_cell`.

    Attributes
    ----------
    source : str
        A YAML file or the name of a shipped scenario.
    scenario : Scenario
        With the changes.
    changes : mapping of str to Any
        Values by dotted path, of :data:`CHANGEABLE` only.
    moved : mapping of (Group, int) to Spot
        Stations that do not stand where the scenario draws them.
    limited : bool
        Whether antennas go as far as in one round of a run at most.
    """

    source: str
    scenario: Scenario
    changes: Mapping[str, Any] = field(default_factory=dict)
    moved: Mapping[tuple[Group, int], Spot] = field(default_factory=dict)
    limited: bool = False

    @property
    def overrides(self) -> list[str]:
        """The changes as arguments of ``--set``."""
        return [f"{path}={json.dumps(value)}" for path, value in self.changes.items()]

    @property
    def movable(self) -> bool:
        """Whether stations can be moved: the channel draws their places one by one."""
        return self.scenario.radio.channel == "block-fading"

    def changed(self, path: str, value: Any) -> Cell:
        """Return the cell with one setting changed.

        Parameters
        ----------
        path : str
            One of :data:`CHANGEABLE`.
        value : Any
            Plain JSON.

        Raises
        ------
        InputError
            The page does not change that setting, or the scenario does not take the value.
        """
        if path not in CHANGEABLE:
            raise InputError(f"{shown(path)}: the page changes {', '.join(CHANGEABLE)}")
        changes = {**self.changes, path: value}
        cell = replace(self, changes=changes)
        scenario = _within(scenario_file.load(self.source, cell.overrides))
        # The draws of one count are no part of those of another: who was moved is another one.
        counts = {"clients.count": "clients", "radio.interferers.count": "interferers"}
        moved = {key: spot for key, spot in self.moved.items() if key[0] != counts.get(path)}
        return replace(cell, scenario=scenario, moved=moved)

    def with_station(self, group: str, index: int, spot: Spot) -> Cell:
        """Return the cell with a station elsewhere; what is out of range is set to its limit.

        Raises
        ------
        InputError
            There is no such station, or the channel places them by itself.
        """
        if not self.movable:
            raise InputError(
                f"radio.channel = {shown(self.scenario.radio.channel)}: places the stations by "
                "itself; must be block-fading to move them"
            )
        if group not in GROUPS or not 0 <= index < self._count(group):
            raise InputError(f"{shown(group)} {shown(index)}: is not in this cell")
        numbers = (spot.distance_m, spot.azimuth_deg, spot.elevation_deg)
        if not all(map(math.isfinite, numbers)):
            raise InputError(f"place of {group} {index}: must be finite numbers, not {numbers}")
        distance, azimuth, elevation = numbers
        inside = Spot(
            min(FARTHEST_M, max(NEAREST_M, distance)),
            min(89.0, max(-89.0, azimuth)),
            min(89.0, max(-89.0, elevation)),
        )
        key: tuple[Group, int] = ("clients" if group == "clients" else "interferers", index)
        return replace(self, moved={**self.moved, key: inside})

    def as_drawn(self) -> Cell:
        """Return the cell with all stations where the scenario draws them."""
        return replace(self, moved={})

    @cached_property
    def stations(self) -> dict[Group, list[Spot]]:
        """Where everybody stands; empty lists where the channel does not tell."""
        channel = self.channel()
        if not isinstance(channel, BlockFading):
            return {"clients": [], "interferers": []}
        both = {"clients": channel.clients, "interferers": channel.interferers}
        return {
            group: [
                self.moved.get((group, index)) or Spot.of(distance, direction)
                for index, (distance, direction) in enumerate(
                    zip(both[group].distances, both[group].directions, strict=True)
                )
            ]
            for group in GROUPS
        }

    def channel(self) -> Channel:
        """Return the channel of the first repetition, with the moved stations in their places.

        Shadowing, fading and scatterers are drawn as for a run; who is moved keeps the draws.
        """
        scenario, seed = self.scenario, self.scenario.seed
        make = CHANNELS[scenario.radio.channel]
        channel: Channel = make(scenario.radio, scenario.clients, seed)
        if isinstance(channel, BlockFading):
            channel.clients = self._with_moved("clients", channel.clients)
            channel.interferers = self._with_moved("interferers", channel.interferers)
        return channel

    def _count(self, group: str) -> int:
        radio, clients = self.scenario.radio, self.scenario.clients
        return clients.count if group == "clients" else radio.interferers.count

    def _with_moved(self, group: Group, drawn: Stations) -> Stations:
        mine = {index: spot for (name, index), spot in self.moved.items() if name == group}
        if not mine:
            return drawn
        radio = self.scenario.radio
        intercept, slope = radio.path_loss_intercept_db, radio.path_loss_slope_db
        distances, towards = drawn.distances.copy(), drawn.directions.copy()
        gains = drawn.path_gains.copy()
        for index, spot in mine.items():
            loss = path_loss_db([distances[index], spot.distance_m], intercept, slope)
            gains[index] *= from_db(loss[0] - loss[1])
            distances[index], towards[index] = spot.distance_m, spot.direction
        return Stations(distances, towards, gains)


def open_cell(source: str) -> Cell:
    """Return the cell of a scenario.

    Parameters
    ----------
    source : str
        A YAML file or the name of a shipped scenario.

    Raises
    ------
    InputError
        It cannot be read, or it is larger than what the page shows.

    Examples
    --------
    >>> cell = open_cell("quickstart").changed("array.antennas", 6)
    >>> cell.overrides, cell.scenario.array.antennas, len(cell.stations["clients"])
    (['array.antennas=6'], 6, 10)
    """
    return Cell(source, _within(scenario_file.load(source)))


def _within(scenario: Scenario) -> Scenario:
    """Refuse what cannot be placed while one drags."""
    for name, value, most in (
        ("clients.count", scenario.clients.count, MOST_CLIENTS),
        ("radio.interferers.count", scenario.radio.interferers.count, MOST_CLIENTS),
        ("array.antennas", scenario.array.antennas, MOST_ANTENNAS),
    ):
        if value > most:
            raise InputError(f"{name} = {value}: must be at most {most} on the live page")
    return scenario
