"""Channels of 3GPP TR 38.901: umi, uma, rma and cdl-a to cdl-e, drawn by Sionna PHY.

Where the transmitters stand, their motion and all rays are drawn once a seed; from round to round
each ray turns its phase by its Doppler shift, as in the report without mobility updates (step 11),
so directions, delays and powers of the rays stay.  No ray is left out: L is 381 for umi.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from airtune.errors import InputError
from airtune.kinds import Real
from airtune.memory import demand
from airtune.radio.channels import sionna_rays
from airtune.radio.channels.base import Paths
from airtune.radio.channels.cell import place_stations, ring_distances
from airtune.radio.channels.rays import TurningRays
from airtune.radio.units import wavelength
from airtune.scenario import Clients, Radio
from airtune.streams import generator, torch_seed

HEIGHTS_M = {"umi": 10.0, "uma": 25.0, "rma": 35.0}
"""Of base stations (TR 38.901, Table 7.2-1 and 7.2-3) [m]."""

FARTHEST_M = {"umi": 5e3, "uma": 5e3, "rma": 1e4}
"""Horizontal distances to which the path loss holds (Table 7.4.1-1), from 10 m on [m]."""


class Tr38901(TurningRays):
    """Rays of one of the report's models, with the errors of `radio.csi`.

    Parameters
    ----------
    model : str
        umi, uma, rma, cdl-a ... cdl-e.  The first three have path loss and shadowing of the
        report; cdl those of the section ``radio``, as drawn for block-fading, and its delay spread.
    radio : Radio
        Section ``radio`` of the scenario.
    clients : Clients
        Section ``clients`` of the scenario.
    seed : int
        Seed of the repetition.

    Raises
    ------
    InputError
        Sionna is not installed, or a setting is outside of what the model is for.
    """

    def __init__(self, model: str, radio: Radio, clients: Clients, seed: int) -> None:
        self._model, self._radio, self._clients, self._seed = model, radio, clients, seed
        _check(model, radio, clients)
        version = sionna_rays.check_installed(model)
        most = max(clients.count, radio.interferers.count)
        # Some twenty arrays of 400 rays, and correlations between all clients.
        demand(f"radio.channel = {model}: the rays", 3e5 * most + 150.0 * most**2)
        self.library = f"Sionna PHY {version}, TR 38.901 V{sionna_rays.SPECIFICATION}"
        self._drawn: dict[str, sionna_rays.Rays] = {}

    def rays(self, group: str) -> sionna_rays.Rays:
        """Return the rays of the clients or interferers at time 0, drawn when first asked for."""
        if group not in self._drawn:
            self._drawn[group] = self._draw(group)
        return self._drawn[group]

    def _at(self, group: str, time_s: float) -> Paths:
        if self._count(group) == 0:
            none = np.zeros((0, 1))
            return Paths(none.astype(np.complex128), np.zeros((0, 1, 2)), none)
        rays = self.rays(group)
        turned = rays.gains * np.exp(2j * np.pi * rays.doppler * time_s)
        return Paths(turned, rays.directions, rays.delays)

    def _count(self, group: str) -> int:
        return self._clients.count if group == "clients" else self._radio.interferers.count

    def _draw(self, group: str) -> sionna_rays.Rays:
        radio, settings = self._radio, self._radio.tr38901
        ring = self._clients.distance_m if group == "clients" else radio.interferers.distance_m
        count, rng = self._count(group), generator(self._seed, "tr38901", group)
        distances = ring_distances(count, ring, generator(self._seed, "placement", group))
        half = np.deg2rad(settings.sector_deg) / 2.0
        azimuth, motion = rng.uniform(-half, half, count), rng.uniform(0.0, 2.0 * np.pi, count)
        indoor = rng.uniform(size=count) < settings.indoor
        speed = radio.paths.doppler_hz * wavelength(radio.carrier_hz)
        cdl = self._model.startswith("cdl-")
        site = sionna_rays.Site(
            model=self._model[4:].upper() if cdl else self._model,
            carrier_hz=radio.carrier_hz,
            pattern=settings.pattern,
            places=_around(distances, azimuth, settings.client_height_m),
            velocities=speed * _around(np.ones(count), motion, 0.0),
            base_height_m=settings.base_height_m or HEIGHTS_M.get(self._model, 0.0),
            indoor=indoor,
            sight={"random": None, "always": True, "never": False}[settings.sight],
            delay_spread_s=radio.paths.delay_spread_s,
        )
        rays = sionna_rays.draw(site, torch_seed(self._seed, "tr38901", group, "rays") % 2**31)
        if cdl:
            powers = place_stations(count, ring, radio, self._seed, group).path_gains
            rays = replace(rays, gains=np.sqrt(powers)[:, None] * rays.gains)
        return rays


def _around(distances: Real, azimuth: Real, height: float) -> Real:
    """Return points at horizontal distances and azimuths, shape (K, 3)."""
    flat = distances * np.cos(azimuth), distances * np.sin(azimuth)
    return np.stack([*flat, np.full(len(distances), height)], axis=-1)


def _check(model: str, radio: Radio, clients: Clients) -> None:
    """Refuse settings outside of what the model is for."""
    if not 5e8 <= radio.carrier_hz <= 1e11:
        raise InputError(
            f"radio.carrier_hz = {radio.carrier_hz:g}: must be 5e8 .. 1e11 with "
            f"radio.channel = {model}"
        )
    if model not in FARTHEST_M:
        return
    rings = {"clients.distance_m": clients.distance_m}
    if radio.interferers.count:
        rings["radio.interferers.distance_m"] = radio.interferers.distance_m
    for setting, ring in rings.items():
        if ring[0] < 10.0 or ring[1] > FARTHEST_M[model]:
            raise InputError(
                f"{setting} = {list(ring)}: must be 10 .. {FARTHEST_M[model]:g} m with "
                f"radio.channel = {model}"
            )
    if model == "rma" and radio.tr38901.client_height_m > 10.0:
        raise InputError(
            f"radio.tr38901.client_height_m = {radio.tr38901.client_height_m:g}: must be at most "
            "10 with radio.channel = rma"
        )


UMI, UMA, RMA, CDL_A, CDL_B, CDL_C, CDL_D, CDL_E = (
    partial(Tr38901, name)
    for name in ("umi", "uma", "rma", "cdl-a", "cdl-b", "cdl-c", "cdl-d", "cdl-e")
)
"""What the registry names: channels that are made of (radio, clients, seed)."""
