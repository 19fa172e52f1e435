"""Ray-traced scenes through Sionna RT, which runs in a process of its own.

The ray tracer needs LLVM 17 or newer and ends the whole process where it finds an older one, so it
is started apart (:mod:`airtune.radio.channels.scene_worker`) and hands over arrays.  Reflections
are specular, so every wave front spreads from a mirror image of the base station or client: its
distance is the whole length of the path, and wave fronts are spherical.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from airtune.errors import InputError, clip, shown
from airtune.kinds import Complex, Real
from airtune.npz import load_arrays
from airtune.radio.channels.base import Paths
from airtune.radio.channels.cell import ring_distances
from airtune.radio.channels.rays import TurningRays
from airtune.radio.units import SPEED_OF_LIGHT, wavelength
from airtune.scenario import Clients, Radio
from airtune.streams import generator

RELEASE = "2.2."
"""Releases of Sionna RT that are known."""

PLACES = {"munich": (8.5, 21.0, 27.0)}
"""Where the base station stands if nothing is said, as in the ray tracer's own examples [m]."""

CANDIDATES, MORE = 8, 40
"""Places drawn for each client, and besides: many are inside of buildings, where no path leads."""

DEPTH = 4
"""Most reflections of a path."""

WORKER = "airtune.radio.channels.scene_worker"


class Scene(TurningRays):
    """Clients and interferers at random places of a scene that rays reach.

    Places are uniform over the rings of `clients.distance_m` and `radio.interferers.distance_m`
    around the base station, `radio.tr38901.client_height_m` above the ground; those without a path
    are drawn anew.  Rays stay and turn their phases as those of :class:`Tr38901` do.

    Parameters
    ----------
    argument : str
        A scene of Sionna RT or an XML file of its own, ``NAME`` or ``NAME@x,y,z`` with the base
        station's place [m].
    radio : Radio
        Section ``radio`` of the scenario.
    clients : Clients
        Section ``clients`` of the scenario.
    seed : int
        Seed of the repetition.

    Raises
    ------
    InputError
        Sionna RT is not installed or cannot run, there is no such scene, or too few places have
        paths.
    """

    def __init__(self, argument: str, radio: Radio, clients: Clients, seed: int) -> None:
        self._radio, self._seed = radio, seed
        name, self._place = _parsed(argument)
        self.library = f"Sionna RT {_version()}"
        others = radio.interferers
        wanted = {
            "clients": (clients.count, clients.distance_m),
            "interferers": (others.count, others.distance_m),
        }
        drawn = {group: self._candidates(group, *one) for group, one in wanted.items()}
        places = np.concatenate(list(drawn.values()))
        request = {
            "scene": name,
            "carrier_hz": radio.carrier_hz,
            "base": list(self._place),
            "places": places.tolist(),
            "depth": DEPTH,
            "seed": seed % 2**31,
        }
        arrays = traced(request)
        reached = (arrays["gains"] != 0).any(axis=1)
        chosen: dict[str, Any] = {}
        for group, first in (("clients", 0), ("interferers", len(drawn["clients"]))):
            count = wanted[group][0]
            here = first + np.flatnonzero(reached[first : first + len(drawn[group])])
            if len(here) < count:
                raise InputError(
                    f"scene {clip(argument)}: of {len(drawn[group])} places for {count} {group} "
                    f"only {len(here)} have paths; choose other distances"
                )
            chosen[group] = here[:count]
        facing = _facing(places[chosen["clients"]] - self._place)
        self._paths = {
            group: _paths(arrays, here, facing, radio.carrier_hz) for group, here in chosen.items()
        }
        self._shifts = {g: self._doppler(arrays, here, g) for g, here in chosen.items()}

    def _at(self, group: str, time_s: float) -> Paths:
        one = self._paths[group]
        turned = one.gains * np.exp(2j * np.pi * self._shifts[group] * time_s)
        return Paths(turned, one.directions, one.delays, one.distances)

    def _candidates(self, group: str, count: int, ring: tuple[float, float]) -> Real:
        rng = generator(self._seed, "scene", group)
        total = CANDIDATES * count + (MORE if count else 0)
        distance, turn = ring_distances(total, ring, rng), rng.uniform(0.0, 2.0 * np.pi, total)
        height = np.full(total, self._radio.tr38901.client_height_m)
        x = self._place[0] + distance * np.cos(turn)
        return np.stack([x, self._place[1] + distance * np.sin(turn), height], axis=-1)

    def _doppler(self, arrays: dict[str, Any], here: Any, group: str) -> Real:
        rng = generator(self._seed, "scene", group, "motion")
        turn = rng.uniform(0.0, 2.0 * np.pi, len(here))
        towards = _unit(arrays["theta_r"][here], arrays["phi_r"][here])[..., :2]
        along = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
        return np.asarray(self._radio.paths.doppler_hz * np.einsum("kld,kd->kl", towards, along))


def _parsed(argument: str) -> tuple[str, Real]:
    """Return the scene's name and the base station's place."""
    name, at, text = argument.partition("@")
    if not at:
        if name not in PLACES:
            raise InputError(
                f"scene {shown(argument)}: needs the base station's place, as {clip(name)}@x,y,z"
            )
        return name, np.array(PLACES[name])
    try:
        place = np.array([float(part) for part in text.split(",")])
    except ValueError:
        place = np.zeros(0)
    if place.shape != (3,) or not np.isfinite(place).all():
        raise InputError(f"scene {shown(argument)}: what follows @ must be x,y,z in m")
    return name, place


def _version() -> str:
    need = f"scene: needs sionna-rt {RELEASE}* (pip install 'sionna-rt=={RELEASE}0')"
    try:
        version = metadata.version("sionna-rt")
    except metadata.PackageNotFoundError:
        raise InputError(f"{need}, which is not installed") from None
    if not version.startswith(RELEASE):
        raise InputError(f"{need}, installed is {version}")
    return version


def traced(request: dict[str, Any]) -> dict[str, Any]:
    """Trace rays in a process of its own.

    Parameters
    ----------
    request : dict
        What :func:`airtune.radio.channels.scene_worker.trace` takes, as JSON types.

    Returns
    -------
    dict of str to ndarray
        `gains` (U, L), complex; `tau` [s], `theta_t`, `phi_t`, `theta_r`, `phi_r` [rad], (U, L).

    Raises
    ------
    InputError
        The worker said what is wrong, or came to an end without a word.
    """
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder, "request.json"), Path(folder, "rays.npz")
        question.write_text(json.dumps(request), encoding="utf-8")
        command = [sys.executable, "-P", "-m", WORKER, str(question), str(answer)]
        done = subprocess.run(  # noqa: S603 - our own module, no shell
            command, capture_output=True, text=True, check=False
        )
        if done.returncode == 2:
            raise InputError(f"scene {clip(request['scene'])}: {clip(done.stderr.strip())}")
        if done.returncode or not answer.is_file():
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            llvm = "; it needs LLVM 17 or newer, named by the variable DRJIT_LIBLLVM_PATH"
            if done.returncode > 0 and "llvm" not in done.stderr.lower():
                llvm = ""
            raise InputError(
                f"scene {clip(request['scene'])}: the ray tracer came to an end{llvm} "
                f"({clip(last[-120:])})"
            )
        return load_arrays(answer, ["gains", "tau", "theta_t", "phi_t", "theta_r", "phi_r"])


def _paths(arrays: dict[str, Any], here: Any, facing: float, carrier_hz: float) -> Paths:
    gains: Complex = arrays["gains"][here]
    there = gains != 0
    delays = np.where(there, arrays["tau"][here], np.inf)
    first = delays.min(axis=1, keepdims=True, initial=np.inf)
    u = _unit(arrays["theta_t"][here], arrays["phi_t"][here] - facing)[..., 1:]
    metres = np.where(there, SPEED_OF_LIGHT * arrays["tau"][here], np.inf)
    return Paths(
        gains,
        u / np.maximum(1.0, np.linalg.norm(u, axis=-1, keepdims=True)),
        np.where(there, delays - np.where(np.isfinite(first), first, 0.0), 0.0),
        metres / wavelength(carrier_hz),
    )


def _facing(offsets: Real) -> float:
    """Return the azimuth towards the middle of places [rad]."""
    middle = offsets.mean(axis=0)
    return float(np.arctan2(middle[1], middle[0]))


def _unit(zenith: Real, azimuth: Real) -> Real:
    sine = np.sin(zenith)
    return np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), np.cos(zenith)], axis=-1)
