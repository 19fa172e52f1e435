"""Channels from a DeepMIMO v4 folder: rays that a ray tracer found, read without its package.

A folder holds one array a file, ``{name}_t{set}_tx{index}_r{set}.npz`` (.npy and .mat are read
too), the names those of :data:`_ARRAYS`, and ``params.json`` with the carrier [1]_.  Transmitters
are base stations, receivers the places of users, shape (U, L), unused paths NaN: powers [dB, of 1 W
sent], phases, azimuths (from +x) and elevations (from +z) [deg], delays [s].  By reciprocity the
uplink has the same paths, and arrives from where the downlink departs.

References
----------
.. [1] DeepMIMO v4, "DeepMIMO Specs" and "Conventions", github.com/DeepMIMO/DeepMIMO,
   docs/resources.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airtune.errors import InputError, clip, shown
from airtune.kinds import Complex, Integer, Mask, Real
from airtune.npz import load_arrays
from airtune.radio.channels.base import Paths
from airtune.radio.channels.rays import TurningRays
from airtune.radio.units import wavelength
from airtune.scenario import Clients, Radio
from airtune.streams import generator

_ARRAYS = ("power", "phase", "delay", "aod_az", "aod_el", "aoa_az", "aoa_el", "rx_pos", "tx_pos")
_CODE = re.compile(r"t\d{3}_tx\d{3}_r\d{3}")
LOUDEST_DB = 100.0
"""Power of a path over that sent, at most [dB]: antenna gains included, far above any."""
FARTHEST_M = 1e9
"""Largest coordinate of a place [m]: maps of countries count from far away."""
_LARGEST_JSON = 1 << 26
"""Bytes of params.json at most."""


@dataclass(frozen=True)
class RayTraced:
    """Rays from one base station to U places.

    Attributes
    ----------
    gains : ndarray, complex, shape (U, L)
    directions : ndarray, float, shape (U, L, 2)
        In-plane part `u` of an upright array that faces the middle of the places.
    delays : ndarray, float, shape (U, L)
        Excess delays [s].
    towards : ndarray, float, shape (U, L, 3)
        Unit vectors from the places to where the rays come from.
    distances : ndarray, float, shape (U,)
        Horizontal, from the base station [m].
    carrier_hz : float  [Hz]
    """

    gains: Complex
    directions: Real
    delays: Real
    towards: Real
    distances: Real
    carrier_hz: float


def read_folder(folder: str | Path, code: str | None = None) -> RayTraced:
    """Read the rays of a base station.

    Parameters
    ----------
    folder : str or Path
    code : str, optional
        Which base station and grid of places, as ``t001_tx000_r000``; by default the first whose
        receivers have places of their own.

    Raises
    ------
    InputError
        Names the folder or file and what is wrong with it.
    """
    folder = Path(folder)
    codes = _codes(folder)
    if code is None:
        # Base stations also are receivers of each other, in a set of their own.
        users = [one for one in codes if one[1:4] != one[-3:]]
        code = (users or codes)[0]
    elif code not in codes:
        raise InputError(f"{clip(folder)}: has no {shown(code)}; there is {', '.join(codes)}")
    arrays = {name: _array(folder, name, code) for name in _ARRAYS}
    shape = arrays["power"].shape
    if len(shape) != 2:
        raise InputError(f"{clip(folder)}: power_{code} must have shape (U, L), not {shape}")
    for name, array in arrays.items():
        wanted = {"rx_pos": (shape[0], 3), "tx_pos": (1, 3)}.get(name, shape)
        if array.ndim != 2 or array.shape != wanted or 0 in shape:
            raise InputError(
                f"{clip(folder)}: {name}_{code} must have shape {wanted if shape[1:] else '(U, L)'}"
                f", not {array.shape}"
            )
    for name in ("rx_pos", "tx_pos"):
        if not (np.abs(arrays[name]) <= FARTHEST_M).all():
            raise InputError(
                f"{clip(folder)}: {name}_{code} must be numbers of at most {FARTHEST_M:g} m in size"
            )
    loudest = np.nanmax(arrays["power"], initial=-np.inf)
    if loudest > LOUDEST_DB:
        raise InputError(
            f"{clip(folder)}: power_{code} must be at most {LOUDEST_DB:g} dB of 1 W sent, not "
            f"{loudest:.6g}"
        )
    return _rays(arrays, _carrier(folder))


def _codes(folder: Path) -> list[str]:
    if "\0" in str(folder) or not folder.is_dir():
        raise InputError(f"{clip(folder)}: must be a folder of DeepMIMO v4")
    found = (_CODE.search(path.stem) for path in sorted(folder.glob("power_t*")))
    codes = sorted({match.group() for match in found if match})
    if not codes:
        raise InputError(
            f"{clip(folder)}: has no file power_t..._tx..._r... of DeepMIMO v4 (.npz, .npy, .mat)"
        )
    return codes


def _array(folder: Path, name: str, code: str) -> NDArray[Any]:
    """Read one array of numbers; nothing is unpickled."""
    stem = f"{name}_{code}"
    for suffix, read in _READERS.items():
        path = folder / f"{stem}{suffix}"
        if path.is_file():
            array = read(path, name)
            if array is None or array.dtype.kind not in "iuf":
                raise InputError(f"{clip(path)}: must hold one array of numbers, {name}")
            return np.asarray(array, dtype=np.float64)
    raise InputError(f"{clip(folder)}: has no file {stem}{' or '.join(_READERS)}")


def _npz(path: Path, name: str) -> NDArray[Any] | None:
    return load_arrays(path, [name]).get(name)


def _npy(path: Path, name: str) -> NDArray[Any] | None:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except Exception as error:  # numpy has several ways to say that bytes are wrong
        raise InputError(f"{clip(path)}: not a readable .npy file ({clip(error)})") from error


def _mat(path: Path, name: str) -> NDArray[Any] | None:
    from scipy.io import loadmat

    try:
        found = loadmat(path, variable_names=[name]).get(name)
    except Exception as error:  # and so has scipy
        raise InputError(f"{clip(path)}: not a readable .mat file ({clip(error)})") from error
    return None if found is None else np.asarray(found)


_READERS: dict[str, Callable[[Path, str], NDArray[Any] | None]] = {
    ".npz": _npz,
    ".npy": _npy,
    ".mat": _mat,
}


def _carrier(folder: Path) -> float:
    path = folder / "params.json"
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise InputError(f"{clip(path)}: is larger than {_LARGEST_JSON} bytes")
        carrier = json.loads(path.read_text(encoding="utf-8"))["rt_params"]["frequency"]
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{clip(path)}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{clip(path)}: must be JSON with rt_params.frequency") from error
    if isinstance(carrier, bool) or not isinstance(carrier, int | float) or not 0 < carrier < 1e15:
        raise InputError(f"{clip(path)}: rt_params.frequency = {shown(carrier)}: must be in Hz")
    return float(carrier)


def _rays(arrays: dict[str, NDArray[Any]], carrier_hz: float) -> RayTraced:
    there = np.isfinite(arrays["power"])
    for name in ("phase", "delay", "aod_az", "aod_el", "aoa_az", "aoa_el"):
        there &= np.isfinite(arrays[name])
    clean = {name: np.where(there, arrays[name], 0.0) for name in _ARRAYS if "pos" not in name}
    amplitude = np.where(there, 10.0 ** (clean["power"] / 20.0), 0.0)
    delays = np.where(there, clean["delay"], np.inf)
    first = delays.min(axis=1, keepdims=True)
    offsets = arrays["rx_pos"] - arrays["tx_pos"]
    seen = there.any(axis=1)
    middle = offsets[seen].mean(axis=0) if seen.any() else np.array([1.0, 0.0, 0.0])
    facing = np.rad2deg(np.arctan2(middle[1], middle[0]))
    departing = _unit(clean["aod_az"] - facing, clean["aod_el"])
    # Of an upright array that looks along +x: x of the array is the room's y, y its z.
    u = departing[..., 1:]
    return RayTraced(
        gains=amplitude * np.exp(1j * np.deg2rad(clean["phase"])),
        directions=u / np.maximum(1.0, np.linalg.norm(u, axis=-1, keepdims=True)),
        delays=np.where(there, delays - np.where(np.isfinite(first), first, 0.0), 0.0),
        towards=_unit(clean["aoa_az"], clean["aoa_el"]),
        distances=np.linalg.norm(offsets[:, :2], axis=1),
        carrier_hz=carrier_hz,
    )


def _unit(azimuth_deg: Real, elevation_deg: Real) -> Real:
    """Return unit vectors, shape (..., 3); elevations count from +z."""
    azimuth, elevation = np.deg2rad(azimuth_deg), np.deg2rad(elevation_deg)
    sine = np.sin(elevation)
    return np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), np.cos(elevation)], axis=-1)


class DeepMimo(TurningRays):
    """Clients and interferers at places of a DeepMIMO folder.

    Places that have paths and lie in the ring of `clients.distance_m` (of interferers:
    `radio.interferers.distance_m`) are drawn without replacement.  Rays stay; each turns its phase
    from round to round by the Doppler shift of a walk in a random direction, whose largest shift
    is `radio.paths.doppler_hz`.

    Parameters
    ----------
    argument : str
        The folder, or ``FOLDER:t001_tx000_r000`` for another base station than the first.
    radio : Radio
        Section ``radio`` of the scenario.
    clients : Clients
        Section ``clients`` of the scenario.
    seed : int
        Seed of the repetition.

    Raises
    ------
    InputError
        The folder cannot be used, or it has too few places in a ring.
    """

    library = "DeepMIMO v4 folder"

    def __init__(self, argument: str, radio: Radio, clients: Clients, seed: int) -> None:
        if not argument:
            raise InputError("SOURCE = 'deepmimo:': must name a folder, deepmimo:FOLDER")
        folder, _, code = argument.rpartition(":")
        named = bool(folder) and _CODE.fullmatch(code) is not None
        self._rays = read_folder(folder if named else argument, code if named else None)
        self.carrier_hz = self._rays.carrier_hz
        self._radio, self._seed = radio, seed
        free = (self._rays.gains != 0).any(axis=1)
        self._places: dict[str, Integer] = {}
        others = radio.interferers
        for group, count, ring, setting in (
            ("clients", clients.count, clients.distance_m, "clients"),
            ("interferers", others.count, others.distance_m, "radio.interferers"),
        ):
            inside = free & (self._rays.distances >= ring[0]) & (self._rays.distances <= ring[1])
            self._places[group] = self._drawn(group, inside, count, setting, ring)
            free[self._places[group]] = False

    def _drawn(
        self, group: str, inside: Mask, count: int, setting: str, ring: tuple[float, float]
    ) -> Integer:
        candidates = np.flatnonzero(inside)
        if len(candidates) < count:
            raise InputError(
                f"{setting}.count = {count}: only {len(candidates)} places with paths have "
                f"distances in {setting}.distance_m = {list(ring)} m from the base station"
            )
        rng = generator(self._seed, "deepmimo", group)
        return np.asarray(rng.choice(candidates, count, replace=False), dtype=np.int64)

    def _at(self, group: str, time_s: float) -> Paths:
        rays, places = self._rays, self._places[group]
        turn = generator(self._seed, "deepmimo", group, "motion").uniform(
            0.0, 2.0 * np.pi, len(places)
        )
        speed = self._radio.paths.doppler_hz * wavelength(rays.carrier_hz)
        velocity = speed * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
        shift = np.einsum("kld,kd->kl", rays.towards[places][..., :2], velocity)
        doppler = shift / wavelength(rays.carrier_hz)
        gains = rays.gains[places] * np.exp(2j * np.pi * doppler * time_s)
        return Paths(gains, rays.directions[places], rays.delays[places])
