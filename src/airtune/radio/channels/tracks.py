"""The channel `tracks`: clients and interferers move, and all of their paths follow from geometry.

Scatterers are fixed in space.  A path of length d from the transmitter by way of its scatterer to
the array arrives from the scatterer's direction with phase ``-2 pi d / lambda`` and delay d / c, so
its Doppler shift is ``v cos(theta) / lambda``, theta the angle between motion and path, and drifts
with the angle.  Path loss follows the distance, shadowing a map of the ground.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from airtune.kinds import Complex, Real
from airtune.memory import demand
from airtune.radio.channels import directions
from airtune.radio.channels.base import Paths
from airtune.radio.channels.cell import path_loss_db, ring_distances
from airtune.radio.channels.rays import TurningRays
from airtune.radio.gaussian import complex_normal
from airtune.radio.shadowing import ShadowingMap
from airtune.radio.tracks import Sampled, Straight, Waypoints, read_tracks, ring_points
from airtune.radio.tracks import Tracks as Places
from airtune.radio.units import SPEED_OF_LIGHT, from_db, wavelength
from airtune.scenario import Clients, Radio
from airtune.streams import generator

NEAREST_M = 1.0
"""Distance below which path loss falls, and clusters narrow, no more [m]."""

WINDOW_SPREAD = float(np.sqrt(1.0 / 12.0 - 1.0 / (2.0 * np.pi**2)))
"""Deviation of the density 2 cos^2(pi x) on [-1/2, 1/2]: of the scatterers about a client."""


@dataclass(frozen=True)
class Scatterers:
    """Scatterers of K transmitters, L each.

    Around the array (`radio.paths.angles: uniform`) they are the same for ever.  Around the
    transmitter (`cluster`) they repeat over the ground every `window` metres, each copy with a
    phase of its own, and fade in and out with the squared cosine of their distance from it: so
    there are L within the window wherever it goes, and none comes or goes with a jump.

    Attributes
    ----------
    places : ndarray, float, shape (K, L, 3)
        Of one copy [m].
    gains : ndarray, complex, shape (K, L)
        Of mean power 1 / L.
    window : ndarray, float, shape (K, 1), or None
        Side of the square in which a transmitter meets scatterers [m]; None: all are met.
    turns : ndarray, float, shape (K, L, 2)
        Phases from one copy to the next along x and z, in turns.
    """

    places: Real
    gains: Complex
    window: Real | None
    turns: Real

    def met(self, transmitters: Real) -> tuple[Real, Complex]:
        """Return places and gains, shapes (K, L, 3) and (K, L), for transmitters at (K, 3)."""
        if self.window is None:
            return self.places.copy(), self.gains
        window = self.window[..., None]
        away = (transmitters[:, None, ::2] - self.places[..., ::2]) / window
        copy = np.round(away)
        met = self.places.copy()
        met[..., ::2] += copy * window
        weight = np.prod(2.0 * np.cos(np.pi * (away - copy)) ** 2, axis=-1)
        turns = np.sum(copy * self.turns, axis=-1)
        return met, np.sqrt(weight) * self.gains * np.exp(2j * np.pi * turns)


class Tracks(TurningRays):
    """Clients on tracks (`radio.mobility`), with the errors of `radio.csi`.

    Of `radio.paths` it takes fading, count, rician_k_db, angles, angle_spread_deg,
    block_interval_s and scatterer_distance_m: of scatterers around the array (as far as clients are
    by default); where it is set wave fronts are spherical.  Delays and Doppler shifts follow from
    the geometry.

    Parameters
    ----------
    radio : Radio
        Section ``radio`` of the scenario.
    clients : Clients
        Section ``clients`` of the scenario.
    seed : int
        Seed of the repetition.

    Raises
    ------
    InputError
        `radio.mobility.track_file` cannot be used, or there is too little memory.

    Examples
    --------
    A client that walks for a second: the strength of its path changes a little, the phase a lot.

    >>> from airtune.scenario import Mobility
    >>> radio = Radio(channel="tracks", shadowing_db=0, mobility=Mobility(speed_mps=1.5))
    >>> channel = Tracks(radio, Clients(count=1), seed=1)
    >>> before, after = (channel.block(t).true.clients.gains[0, 0] for t in (0, 1))
    >>> bool(0.9 < abs(after / before) < 1.1), bool(abs(np.angle(after / before)) > 0.1)
    (True, True)
    """

    isotropic = True

    def __init__(self, radio: Radio, clients: Clients, seed: int) -> None:
        self._radio, self._seed = radio, seed
        self._wavelength = wavelength(radio.carrier_hz)
        others = radio.interferers
        rings = {"clients": clients.distance_m, "interferers": others.distance_m}
        counts = {"clients": clients.count, "interferers": others.count}
        # Some ten arrays of numbers for each path.
        paths = float(sum(counts.values())) * (radio.paths.count + 1)
        demand("radio.channel = tracks: its paths", 160.0 * paths)
        name = radio.mobility.track_file
        given: dict[str, Sampled] = {} if name is None else read_tracks(name, counts)
        self.places: dict[str, Places] = {
            group: given.get(group) or self._moving(group, count, rings[group])
            for group, count in counts.items()
        }
        self._speed = max(
            given[group].largest_speed
            if group in given
            else float(self._speeds(group, count).max())
            for group, count in counts.items()
            if count
        )
        shadowing = radio.mobility.shadowing_distance_m
        self._map = ShadowingMap.drawn(shadowing, generator(seed, "tracks", "shadowing"))
        self._scatterers = {group: self._drawn(group, rings[group]) for group in counts}

    @property
    def max_doppler_hz(self) -> float:
        """Speed of the fastest over the wavelength [Hz]."""
        return self._speed / self._wavelength

    def _speeds(self, group: str, count: int) -> Real:
        """Return the speeds of a group that is not in a file, shape (count,) [m/s]."""
        settings = self._radio.mobility
        mine = settings.speed_mps if group == "clients" else settings.interferer_speed_mps
        return np.broadcast_to(np.asarray(mine, dtype=np.float64), (count,))

    def _moving(self, group: str, count: int, ring: tuple[float, float]) -> Places:
        """Return the drawn tracks of a group."""
        settings = self._radio.mobility
        rng = generator(self._seed, "tracks", group)
        start, turn = ring_points(count, ring, settings, rng), rng.uniform(0.0, 2.0 * np.pi, count)
        speeds = self._speeds(group, count)
        if settings.track == "random-waypoint":
            return Waypoints(self._seed, group, ring, settings, speeds, start)
        heading = np.stack([np.sin(turn), np.zeros(count), np.cos(turn)], axis=-1)
        return Straight(start, speeds[:, None] * heading)

    def _drawn(self, group: str, ring: tuple[float, float]) -> Scatterers:
        settings, start = self._radio.paths, self.places[group].at(0.0)
        rng = generator(self._seed, "tracks", group, "scatterers")
        shape = (len(start), settings.count)
        gains = complex_normal(shape, rng) / np.sqrt(settings.count)
        if settings.angles == "uniform":
            towards = directions.lift(directions.uniform(shape, rng))
            far = ring_distances(
                int(np.prod(shape)), settings.scatterer_distance_m or ring, rng
            ).reshape(shape)
            return Scatterers(far[..., None] * towards, gains, None, np.zeros((*shape, 2)))
        spread = np.deg2rad(min(settings.angle_spread_deg, 80.0))
        far = np.maximum(np.linalg.norm(start, axis=-1), NEAREST_M)  # a window has a width
        deviation = (far * np.tan(spread))[:, None]
        window = deviation / WINDOW_SPREAD
        places = start[:, None] + window[..., None] * rng.uniform(-0.5, 0.5, (*shape, 3))
        above = deviation * np.abs(rng.standard_normal(shape))
        places[..., 1] = start[:, None, 1] + above
        return Scatterers(places, gains, window, rng.uniform(size=(*shape, 2)))

    def _at(self, group: str, time_s: float) -> Paths:
        settings, places = self._radio.paths, self.places[group].at(time_s)
        met, gains = self._scatterers[group].met(places)
        met[..., 2] = np.abs(met[..., 2])  # before the array
        first = np.linalg.norm(places[:, None] - met, axis=-1)
        second = np.linalg.norm(met, axis=-1)
        sight = np.linalg.norm(places, axis=-1)
        if settings.fading == "rician":
            share = 1.0 / (float(from_db(settings.rician_k_db)) + 1.0)
            line = np.full((len(places), 1), np.sqrt(1.0 - share))
            gains = np.hstack([line, np.sqrt(share) * gains])
            met = np.concatenate([places[:, None], met], axis=1)
            first = np.hstack([np.zeros_like(line), first])
            second = np.hstack([sight[:, None], second])
        length = first + second
        strength = np.sqrt(self._path_gains(places, sight))[:, None]
        plane = settings.scatterer_distance_m is None
        return Paths(
            gains=strength * gains * np.exp(-2j * np.pi * (length / self._wavelength % 1.0)),
            directions=met[..., :2] / np.maximum(second, 1e-9)[..., None],
            delays=np.maximum(0.0, length - sight[:, None]) / SPEED_OF_LIGHT,
            distances=None if plane else np.maximum(second, 1e-9) / self._wavelength,
        )

    def _path_gains(self, places: Real, distances: Real) -> Real:
        """Return the mean power gains: path loss and shadowing, linear, shape (K,)."""
        radio = self._radio
        far = np.maximum(distances, NEAREST_M)
        loss = path_loss_db(far, radio.path_loss_intercept_db, radio.path_loss_slope_db)
        return from_db(-(loss + radio.shadowing_db * self._map.at(places[:, ::2])))
