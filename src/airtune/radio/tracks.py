"""Where transmitters are at any time: straight tracks, random waypoints, and tracks from a file.

Places are in m from the array's corner r = 0: x and y in the plane of the array, y upwards, and z
before it.  The array hangs on the wall z = 0, at which straight tracks are mirrored.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from airtune.errors import InputError, clip
from airtune.kinds import Real
from airtune.npz import load_arrays
from airtune.scenario import Mobility
from airtune.streams import generator

FARTHEST_M, LATEST_S = 1e6, 1e12
"""Largest coordinate [m] and time [s] of a file of tracks."""

FASTEST_MPS = 1e4
"""Largest speed between two times of a file of tracks, as of `radio.mobility.speed_mps` [m/s]."""

MOST_POINTS = 100_000
"""Random points that a transmitter may pass in a run."""


class Tracks(Protocol):
    """Places of K transmitters over time."""

    def at(self, time_s: float) -> Real:
        """Return the places at a time [s], at least 0, shape (K, 3) [m]."""


def ring_points(
    count: int, ring_m: tuple[float, float], settings: Mobility, rng: np.random.Generator
) -> Real:
    """Draw points spread evenly over the area of a sector of a ring before the array.

    Parameters
    ----------
    count : int
    ring_m : tuple of two floats
        Inner and outer radius, along the ground [m].
    settings : Mobility
        Its angle and its heights are read.
    rng : Generator

    Returns
    -------
    ndarray, float, shape (count, 3)  [m]
    """
    inner, outer = ring_m
    radius = np.sqrt(inner**2 + (outer**2 - inner**2) * rng.uniform(size=count))
    half = np.deg2rad(settings.sector_deg) / 2.0
    azimuth = rng.uniform(-half, half, count)
    height = np.full(count, settings.client_height_m - settings.base_height_m)
    return np.stack([radius * np.sin(azimuth), height, radius * np.cos(azimuth)], axis=-1)


@dataclass(frozen=True)
class Straight:
    """Straight on for ever; the wall of the array mirrors the track.

    Attributes
    ----------
    start : ndarray, float, shape (K, 3)  [m]
    velocity : ndarray, float, shape (K, 3)  [m/s]

    Examples
    --------
    >>> towards = Straight(np.array([[0.0, 0.0, 10.0]]), np.array([[0.0, 0.0, -1.0]]))
    >>> towards.at(4.0).tolist(), towards.at(14.0).tolist()
    ([[0.0, 0.0, 6.0]], [[0.0, 0.0, 4.0]])
    """

    start: Real
    velocity: Real

    def at(self, time_s: float) -> Real:
        """Return the places at a time, shape (K, 3) [m]."""
        places = self.start + time_s * self.velocity
        places[:, 2] = np.abs(places[:, 2])
        return places


@dataclass
class Waypoints:
    """From one random point to the next at constant speed (random waypoint [1]_).

    Points are drawn when they are needed, each transmitter's from a stream of its own, so the place
    at a time does not depend on which times were asked for before.

    Attributes
    ----------
    seed : int
    group : str
        Names the streams.
    ring_m : tuple of two floats
        Where points lie [m].
    settings : Mobility
    speeds : ndarray, float, shape (K,)  [m/s]
    start : ndarray, float, shape (K, 3)  [m]

    References
    ----------
    .. [1] D. Johnson, D. Maltz, "Dynamic source routing in ad hoc wireless networks", Mobile
       Computing, Kluwer 1996.  At constant speed; points are spread evenly, places in time are not:
       they are denser in the middle.
    """

    seed: int
    group: str
    ring_m: tuple[float, float]
    settings: Mobility
    speeds: Real
    start: Real
    _legs: list[_Legs] = field(init=False)

    def __post_init__(self) -> None:
        self._legs = [
            _Legs([0.0], [place], generator(self.seed, "tracks", self.group, k))
            for k, place in enumerate(self.start)
        ]

    def at(self, time_s: float) -> Real:
        """Return the places at a time, shape (K, 3) [m]."""
        return np.array([self._place(k, time_s) for k in range(len(self.start))]).reshape(-1, 3)

    def _place(self, k: int, time_s: float) -> Real:
        legs, speed = self._legs[k], float(self.speeds[k])
        if speed == 0.0:
            return legs.points[0]
        pause = self.settings.pause_s
        while legs.starts[-1] <= time_s:
            if len(legs.points) > MOST_POINTS:
                raise InputError(
                    f"radio.mobility.speed_mps = {speed:g}: passes more than {MOST_POINTS} random "
                    f"points in {time_s:g} s (radio.paths.block_interval_s times rounds); must be "
                    "slower, or the time shorter"
                )
            point = ring_points(1, self.ring_m, self.settings, legs.rng)[0]
            way = float(np.linalg.norm(point - legs.points[-1]))
            legs.starts.append(legs.starts[-1] + way / speed + pause)
            legs.points.append(point)
        leg = bisect_right(legs.starts, time_s) - 1
        here, there = legs.points[leg], legs.points[leg + 1]
        walk = legs.starts[leg + 1] - legs.starts[leg] - pause
        share = min(1.0, (time_s - legs.starts[leg]) / walk) if walk > 0 else 1.0
        return np.asarray(here + share * (there - here))


@dataclass
class _Legs:
    """The points of one transmitter, and when it leaves each of them."""

    starts: list[float]
    points: list[Real]
    rng: np.random.Generator


@dataclass(frozen=True)
class Sampled:
    """Straight between given places; at rest before the first time and after the last.

    Attributes
    ----------
    times : ndarray, float, shape (T,)
        Rising [s].
    places : ndarray, float, shape (T, K, 3)  [m]

    Examples
    --------
    >>> places = np.array([[[0.0, 0.0, 10.0]], [[4.0, 0.0, 10.0]]])
    >>> Sampled(np.array([0.0, 2.0]), places).at(0.5).tolist()
    [[1.0, 0.0, 10.0]]
    """

    times: Real
    places: Real

    def at(self, time_s: float) -> Real:
        """Return the places at a time, shape (K, 3) [m]."""
        after = int(np.searchsorted(self.times, time_s, side="right"))
        if after in (0, len(self.times)):
            return np.array(self.places[min(after, len(self.times) - 1)])
        before, next_ = self.times[after - 1], self.times[after]
        share = (time_s - before) / (next_ - before)
        return np.asarray(
            self.places[after - 1] + share * (self.places[after] - self.places[after - 1])
        )

    @property
    def largest_speed(self) -> float:
        """The greatest speed between two times [m/s]."""
        if len(self.times) < 2 or self.places.size == 0:
            return 0.0
        ways = np.linalg.norm(np.diff(self.places, axis=0), axis=-1)
        with np.errstate(over="ignore"):
            return float((ways / np.diff(self.times)[:, None]).max())


def read_tracks(path: str, counts: dict[str, int]) -> dict[str, Sampled]:
    """Read a file of tracks.

    Parameters
    ----------
    path : str
        An .npz file with ``times`` (T,), ``clients`` (T, K, 3) and, optionally, ``interferers``
        (T, J, 3).
    counts : dict of str to int
        K and J that are wanted, by the names of the arrays.

    Returns
    -------
    dict of str to Sampled
        By the names of the arrays that are there.

    Raises
    ------
    InputError
        Names what is wrong.
    """
    named = f"radio.mobility.track_file = {clip(path)}"
    try:
        arrays = load_arrays(path, ("times", *counts))
    except InputError as error:
        raise InputError(f"radio.mobility.track_file = {error}") from error
    for name in ("times", "clients"):
        if name not in arrays:
            raise InputError(f"{named}: has no array {name}; needs times and clients")
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise InputError(f"{named}: {name} must be finite real numbers")
    times = arrays.pop("times").astype(np.float64)
    if times.ndim != 1 or not len(times) or (np.diff(times) <= 0).any():
        raise InputError(f"{named}: times must be one list of rising numbers, in s")
    if np.abs(times).max() > LATEST_S:
        raise InputError(f"{named}: times must be at most {LATEST_S:g} s in size")
    found = {}
    for name, array in arrays.items():
        wanted = (len(times), counts[name], 3)
        if array.shape != wanted:
            setting = "clients.count" if name == "clients" else "radio.interferers.count"
            raise InputError(
                f"{named}: {name} is of shape {array.shape}; must be {wanted}: times, "
                f"{setting} = {counts[name]}, and x, y, z in m"
            )
        places = array.astype(np.float64)
        if places.size and (np.abs(places).max() > FARTHEST_M or places[..., 2].min() < 0):
            raise InputError(
                f"{named}: {name} must be at most {FARTHEST_M:g} m in size, with z >= 0: before "
                "the array"
            )
        found[name] = Sampled(times, places)
        speed = found[name].largest_speed
        if not speed <= FASTEST_MPS:
            raise InputError(
                f"{named}: {name} go at {speed:g} m/s between two times; must be at most "
                f"{FASTEST_MPS:g} m/s"
            )
    return found
