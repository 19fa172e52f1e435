"""The channel `block-fading`: the field-response model, whose paths fade from round to round.

The paths of a round are data (:class:`airtune.radio.channels.base.Block`); moving an antenna
changes only phases computed from them (:func:`airtune.radio.array.channel`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import j0

from airtune.kinds import Real
from airtune.radio.channels import directions
from airtune.radio.channels.base import Block, Channel, Paths, Transmitters
from airtune.radio.channels.cell import Stations, place_stations
from airtune.radio.channels.csi import perceived
from airtune.radio.gaussian import complex_normal
from airtune.radio.units import from_db, wavelength
from airtune.scenario import Clients, Radio
from airtune.scenario import Paths as PathSettings
from airtune.streams import generator


def doppler_correlation(settings: PathSettings) -> float:
    """Return the correlation ``J0(2 pi f_D T)`` of a path gain from round to round (Jakes)."""
    return float(j0(2.0 * np.pi * settings.doppler_hz * settings.block_interval_s))


def initial_paths(stations: Stations, settings: PathSettings, rng: np.random.Generator) -> Paths:
    """Draw the paths of the first round.

    Rayleigh: L scattered paths, gains ``CN(0, beta / L)`` with the station's mean power beta.
    Rician: one line-of-sight path of constant modulus comes first, and it and the L scattered
    paths share beta in the ratio of the K-factor.  Scattered directions are uniform over the half
    sphere, or Gaussian about the line of sight (`cluster`).  Excess delays are exponential; the
    line of sight has none.

    Parameters
    ----------
    stations : Stations
        K transmitters.
    settings : PathSettings
        Section ``radio.paths`` of the scenario.
    rng : Generator
        Source of randomness.

    Returns
    -------
    Paths
        With L paths each (Rician: L + 1).
    """
    stations_count, scattered = len(stations.distances), settings.count
    shape = (stations_count, scattered)
    powers = _mean_powers(stations, settings)
    sight = stations.directions[:, None, :]
    if settings.angles == "cluster":
        centres = np.broadcast_to(sight, (*shape, 2))
        scatterers = directions.random_step(centres, np.deg2rad(settings.angle_spread_deg), rng)
    else:
        scatterers = directions.uniform(shape, rng)
    gains = np.sqrt(powers[:, -scattered:]) * complex_normal(shape, rng)
    delays = rng.exponential(settings.delay_spread_s, size=shape)
    if settings.fading == "rician":
        phase = rng.uniform(0.0, 2.0 * np.pi, size=(stations_count, 1))
        gains = np.hstack([np.sqrt(powers[:, :1]) * np.exp(1j * phase), gains])
        scatterers = np.concatenate([sight, scatterers], axis=1)
        delays = np.hstack([np.zeros((stations_count, 1)), delays])
    return Paths(gains, scatterers, delays)


def evolve_paths(
    paths: Paths, stations: Stations, settings: PathSettings, rng: np.random.Generator
) -> Paths:
    """Return the paths one round later.

    Scattered gains follow the Gauss-Markov recursion ``a' = c a + sqrt(1 - c^2) CN(0, p_l)`` with
    ``c = J0(2 pi f_D T)`` and the path's mean power p_l.  The line of sight turns its phase by
    ``2 pi f_D T cos(psi)``, psi the random direction of motion: the same correlation c at constant
    modulus.  Directions take a random step (`angle_drift_deg`); in a cluster they are first
    pulled towards the line of sight, so that the cluster keeps its spread.  Delays stay.

    Parameters
    ----------
    paths : Paths
        Paths of the previous round.
    stations : Stations
        Their transmitters.
    settings : PathSettings
        Section ``radio.paths`` of the scenario.
    rng : Generator
        Source of this round's innovation.

    Returns
    -------
    Paths
    """
    correlation = doppler_correlation(settings)
    scale = np.sqrt((1.0 - correlation**2) * _mean_powers(stations, settings))
    gains = correlation * paths.gains + scale * complex_normal(paths.gains.shape, rng)
    if settings.fading == "rician":
        motion = rng.uniform(0.0, 2.0 * np.pi, size=len(gains))
        turn = 2.0 * np.pi * settings.doppler_hz * settings.block_interval_s * np.cos(motion)
        gains[:, 0] = paths.gains[:, 0] * np.exp(1j * turn)
    moved = paths.directions
    if settings.angles == "cluster":
        ratio = settings.angle_drift_deg / settings.angle_spread_deg
        keep = float(np.sqrt(max(0.0, 1.0 - ratio**2)))
        moved = directions.pull(moved, stations.directions[:, None, :], keep)
    moved = directions.random_step(moved, np.deg2rad(settings.angle_drift_deg), rng)
    return replace(paths, gains=gains, directions=moved)


def drifted_departures(paths: Paths, settings: PathSettings, rng: np.random.Generator) -> Paths:
    """Return paths whose departures, if they have any, have drifted as their directions do.

    Departures are uniform over the half sphere at first, whatever `angles` is: what surrounds a
    client scatters its signal all around it.

    Parameters
    ----------
    paths : Paths
    settings : PathSettings
        Section ``radio.paths`` of the scenario; `angle_drift_deg` is the deviation of a step.
    rng : Generator
        Source of the steps.
    """
    if paths.departures is None or settings.angle_drift_deg == 0:
        return paths
    step = np.deg2rad(settings.angle_drift_deg)
    return replace(paths, departures=directions.random_step(paths.departures, step, rng))


class BlockFading(Channel):
    """Paths drawn once and evolved from round to round, with CSI error; a round costs one step.

    The innovation of each round has a stream of its own, so a block depends on (seed, round) only:
    a resumed run meets the same channels as an uninterrupted one.

    Parameters
    ----------
    radio : Radio
        Section ``radio`` of the scenario.
    clients : Clients
        Section ``clients`` of the scenario.
    seed : int
        Seed of the repetition.

    Examples
    --------
    >>> from airtune.scenario import Csi
    >>> channel = BlockFading(Radio(csi=Csi(gain_error=0.1)), Clients(count=3), seed=1)
    >>> block = channel.block(2)
    >>> block.true.clients.gains.shape, block.true.interferers.gains.shape
    ((3, 10), (2, 10))
    >>> bool(np.array_equal(block.true.clients.gains, block.perceived.clients.gains))
    False
    """

    isotropic = True

    def __init__(self, radio: Radio, clients: Clients, seed: int) -> None:
        others = radio.interferers
        self._settings, self._csi = radio.paths, radio.csi
        self._client_antennas = clients.antennas
        self._seed, self._wavelength = seed, wavelength(radio.carrier_hz)
        self.clients = place_stations(clients.count, clients.distance_m, radio, seed, "clients")
        self.interferers = place_stations(
            others.count, others.distance_m, radio, seed, "interferers"
        )
        self._round = -1
        self._paths: Transmitters | None = None

    def block(self, round_index: int) -> Block:
        """Return the paths of a round (0, 1, ...); going back replays from round 0.

        Parameters
        ----------
        round_index : int

        Returns
        -------
        Block

        Raises
        ------
        ValueError
            If the round is negative.
        """
        true = self._true(round_index)
        return Block(true, perceived(true, self._csi, self._seed, round_index))

    @property
    def max_doppler_hz(self) -> float:
        """The largest Doppler shift [Hz]; the rounds' correlation follows from it."""
        return self._settings.doppler_hz

    def ahead(self, known: Transmitters, blocks: int, rng: np.random.Generator) -> Transmitters:
        """Draw what the paths may be some blocks later, by the law that they follow."""
        for _ in range(blocks):
            clients = evolve_paths(known.clients, self.clients, self._settings, rng)
            others = evolve_paths(known.interferers, self.interferers, self._settings, rng)
            known = Transmitters(drifted_departures(clients, self._settings, rng), others)
        return known

    def _true(self, round_index: int) -> Transmitters:
        """Return the true paths of a round."""
        if round_index < 0:
            raise ValueError(f"round must be >= 0, got {round_index}")
        if self._paths is None or round_index < self._round:
            self._round = 0
            clients = self._initial(self.clients, "clients")
            if self._client_antennas > 1:
                rng = generator(self._seed, "channel", "departures", 0)
                departures = directions.uniform(clients.gains.shape, rng)
                clients = replace(clients, departures=departures)
            self._paths = Transmitters(clients, self._initial(self.interferers, "interferers"))
        while self._round < round_index:
            self._round += 1
            last = self._paths
            clients = self._evolve(last.clients, self.clients, "clients")
            rng = generator(self._seed, "channel", "departures", self._round)
            self._paths = Transmitters(
                drifted_departures(clients, self._settings, rng),
                self._evolve(last.interferers, self.interferers, "interferers"),
            )
        return self._paths

    def _initial(self, stations: Stations, group: str) -> Paths:
        paths = initial_paths(stations, self._settings, self._stream(group))
        ring = self._settings.scatterer_distance_m
        if ring is None:
            return paths
        rng = generator(self._seed, "channel", "scatterers", group)
        metres = rng.uniform(*ring, size=paths.gains.shape)
        if self._settings.fading == "rician":
            metres[:, 0] = stations.distances
        return replace(paths, distances=metres / self._wavelength)

    def _stream(self, group: str) -> np.random.Generator:
        return generator(self._seed, "channel", self._round, group)

    def _evolve(self, paths: Paths, stations: Stations, group: str) -> Paths:
        return evolve_paths(paths, stations, self._settings, self._stream(group))


def _mean_powers(stations: Stations, settings: PathSettings) -> Real:
    """Return the mean power of each path, shape (K, L) or, Rician, (K, 1 + L)."""
    shares = np.full(settings.count, 1.0 / settings.count)
    if settings.fading == "rician":
        k_factor = float(from_db(settings.rician_k_db))
        shares = np.concatenate([[k_factor], shares]) / (k_factor + 1.0)
    return np.asarray(stations.path_gains[:, None] * shares)
