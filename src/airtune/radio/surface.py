"""A reconfigurable surface: further paths from every transmitter to the array, over M elements.

The reflected channel is ``sum_m D_nm theta_m f_km`` with ``|theta_m| = 1``: f_k from transmitter k
to the elements, D from the elements to the antennas.  D consists of paths itself, so that for given
phases the reflection is a set of further paths of each transmitter with the directions of D, and
everything that works on paths works with a surface, too [1]_.

References
----------
.. [1] Q. Wu, R. Zhang, "Intelligent reflecting surface enhanced wireless network via joint active
   and passive beamforming", IEEE Transactions on Wireless Communications 18(11), 2019.
.. [2] 3GPP TR 36.814, "Further advancements for E-UTRA physical layer aspects", table A.2.1.1.2-3
   (line-of-sight losses of macro to relay and relay to user).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from airtune.kinds import Complex, Real
from airtune.radio.array import channel
from airtune.radio.channels.base import Paths, Transmitters
from airtune.radio.channels.block_fading import evolve_paths, initial_paths
from airtune.radio.channels.cell import Stations, path_loss_db, place_stations
from airtune.radio.channels.csi import perceived_paths
from airtune.radio.channels.directions import uniform
from airtune.radio.layouts import fixed_array
from airtune.radio.units import from_db
from airtune.scenario import Clients, Csi, Radio, Ris
from airtune.streams import generator


@dataclass(frozen=True)
class Surface:
    """The hops by way of a surface in one coherence block.

    Attributes
    ----------
    incident : ndarray, complex, shape (K, M)
        f_k: from each client to each element.
    interference : ndarray, complex, shape (J, M)
        The same of the interferers.
    departing : ndarray, complex, shape (L, M)
        From each element to the base station, path by path.
    directions : ndarray, float, shape (L, 2)
        Directions of these paths at the base station.
    """

    incident: Complex
    interference: Complex
    departing: Complex
    directions: Real

    def to_antennas(self, positions: Real) -> Complex:
        """Return D for antennas at `positions` (N, 2) [wavelengths], shape (N, M)."""
        phases = np.exp(2j * np.pi * (positions @ self.directions.T))
        return np.asarray(np.einsum("nl,lm->nm", phases, self.departing))

    def reflect(self, direct: Transmitters, phases: Real) -> Transmitters:
        """Return the direct paths with those that the surface reflects.

        Parameters
        ----------
        direct : Transmitters
            Paths without the surface.
        phases : ndarray, float, shape (M,)
            Phases of the elements [rad].

        Returns
        -------
        Transmitters
        """
        turned = np.exp(1j * phases) * self.departing
        return Transmitters(
            self._with_reflection(direct.clients, np.einsum("km,lm->kl", self.incident, turned)),
            self._with_reflection(
                direct.interferers, np.einsum("jm,lm->jl", self.interference, turned)
            ),
        )

    def widened(self, interferers: int) -> Surface:
        """Return the surface for so many interferers; it does not see those that it has not."""
        more = interferers - len(self.interference)
        if more <= 0:
            return self
        return replace(self, interference=np.pad(self.interference, ((0, more), (0, 0))))

    def _with_reflection(self, paths: Paths, gains: Complex) -> Paths:
        shape, plane = (*gains.shape, 2), np.full(gains.shape, np.inf)
        return Paths(
            np.hstack([paths.gains, gains]),
            np.concatenate([paths.directions, np.broadcast_to(self.directions, shape)], axis=1),
            np.hstack([paths.delays, np.zeros(gains.shape)]),
            None if paths.distances is None else np.hstack([paths.distances, plane]),
        )


@dataclass(frozen=True)
class Hops:
    """The paths of which a surface's hops consist.

    Attributes
    ----------
    clients, interferers : Paths
        From the transmitters to the elements; directions are those at the surface, in its plane.
    base : Paths
        Of one transmitter, the surface, to the base station.
    steering : ndarray, complex, shape (L, M)
        What these paths take from the elements.
    elements : ndarray, float, shape (M, 2)
        Places of the elements in the plane of the surface [wavelengths].
    """

    clients: Paths
    interferers: Paths
    base: Paths
    steering: Complex
    elements: Real

    def surface(self) -> Surface:
        """Return what the elements receive and send on."""
        return Surface(
            incident=channel(self.clients, self.elements),
            interference=channel(self.interferers, self.elements),
            departing=self.base.gains[0][:, None] * self.steering,
            directions=self.base.directions[0],
        )


class SurfaceFading:
    """The surface's hops, round after round; it stands still and so does its hop to the array.

    It stands upright at `ris.position_m`, its plane that of the y and z axes, and serves both
    half spaces.  Both hops have a line of sight [2]_ and no shadowing; the clients' scattered paths
    change from round to round as those of the direct channel do.

    Parameters
    ----------
    ris : Ris
        Section ``ris`` of the scenario.
    radio : Radio
        Section ``radio`` of the scenario.
    clients : Clients
        Section ``clients`` of the scenario.
    seed : int
        Seed of the repetition.
    """

    def __init__(self, ris: Ris, radio: Radio, clients: Clients, seed: int) -> None:
        self._ris, self._csi, self._seed = ris, radio.csi, seed
        self._settings = radio.paths.model_copy(
            update={"fading": "rician", "rician_k_db": ris.rician_k_db}
        )
        others = radio.interferers
        groups = {
            "clients": place_stations(clients.count, clients.distance_m, radio, seed, "clients"),
            "interferers": place_stations(
                others.count, others.distance_m, radio, seed, "interferers"
            ),
        }
        self._stations = {name: self._seen_from_surface(group) for name, group in groups.items()}
        self._base, self._departures = self._base_hop()
        self._elements = fixed_array(ris.elements, (float(ris.elements), float(ris.elements)))
        self._round = -1
        self._paths: dict[str, Paths] = {}

    @property
    def elements(self) -> int:
        """M, number of elements."""
        return len(self._elements)

    @property
    def csi(self) -> Csi:
        """How wrong the server is about the hops; they do not change within a round."""
        return self._csi

    def surface(self, round_index: int) -> tuple[Surface, Surface]:
        """Return the surface of a round: as it is, and as the server believes it to be."""
        true, perceived = self.hops(round_index)
        surface = true.surface()
        return surface, surface if perceived is true else perceived.surface()

    def hops(self, round_index: int) -> tuple[Hops, Hops]:
        """Return the paths of the hops of a round: as they are, and as the server believes.

        An error of a direction turns the wave about the middle of the surface, where the server
        knows its phase up to the error of the gain.
        """
        self._go_to(round_index)
        true = self._hops(self._paths, self._base, self._elements)
        if self._csi.gain_error == 0 and self._csi.angle_error_deg == 0:
            return true, true
        middle = self._elements.mean(axis=0)
        perceived = {
            name: perceived_paths(
                replace(
                    paths, gains=paths.gains * np.exp(2j * np.pi * (paths.directions @ middle))
                ),
                self._csi,
                self._stream("surface-csi", round_index, name),
            )
            for name, paths in self._paths.items()
        }
        base = perceived_paths(
            self._base, self._csi, self._stream("surface-csi", round_index, "base")
        )
        return true, self._hops(perceived, base, self._elements - middle)

    def _hops(self, paths: dict[str, Paths], base: Paths, elements: Real) -> Hops:
        steering = np.exp(2j * np.pi * (self._departures @ self._elements.T))
        return Hops(paths["clients"], paths["interferers"], base, steering, elements)

    def _go_to(self, round_index: int) -> None:
        if round_index < self._round:
            self._round = -1
        while self._round < round_index:
            self._round += 1
            for name, stations in self._stations.items():
                stream = self._stream("surface", self._round, name)
                if self._round == 0:
                    self._paths[name] = initial_paths(stations, self._settings, stream)
                else:
                    last = self._paths[name]
                    self._paths[name] = evolve_paths(last, stations, self._settings, stream)

    def _base_hop(self) -> tuple[Paths, Real]:
        """Return the paths to the base station, and their directions at the surface (L, 2)."""
        place = np.array(self._ris.position_m)
        distance = float(np.linalg.norm(place))
        loss = path_loss_db(distance, self._ris.base_intercept_db, self._ris.base_slope_db)
        here = Stations(
            np.array([distance]), (place[:2] / distance)[None], np.atleast_1d(from_db(-loss))
        )
        random = self._stream("surface", "base")
        base = initial_paths(here, self._settings, random)
        departures = uniform((base.gains.shape[1],), random)
        departures[0] = -place[1:] / distance  # the line of sight
        return base, departures

    def _seen_from_surface(self, stations: Stations) -> Stations:
        """Return distance, direction and mean gain of transmitters as the surface sees them."""
        u = stations.directions
        ahead = np.sqrt(np.maximum(0.0, 1.0 - np.sum(u**2, axis=1)))
        places = stations.distances[:, None] * np.column_stack([u, ahead])
        offsets = places - np.array(self._ris.position_m)
        distances = np.maximum(np.linalg.norm(offsets, axis=1), 1.0)
        loss = path_loss_db(distances, self._ris.client_intercept_db, self._ris.client_slope_db)
        return replace(
            stations,
            distances=distances,
            directions=offsets[:, 1:] / distances[:, None],
            path_gains=from_db(-loss),
        )

    def _stream(self, *name: str | int) -> np.random.Generator:
        return generator(self._seed, *name)
