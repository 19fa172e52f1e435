"""The channel `file`: paths from an .npz file, and the file's reader and writer.

`airtune channel` writes such files from every channel of the package, and other programs can: the
arrays are those of :func:`read_paths`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airtune.errors import FailedError, InputError, clip, shown
from airtune.npz import check_target, load_arrays
from airtune.radio.channels.base import Block, Channel, Paths, Transmitters
from airtune.radio.channels.csi import perceived
from airtune.radio.units import wavelength
from airtune.scenario import Clients, Radio

LENGTH = 1e-9
"""Tolerance of the length of directions; what is longer by less is set to 1."""

NEAREST_M = 1e-3
"""Least distance of where a wave front spreads from: nothing finer is computed with."""

CARRIER = 1e-6
"""Relative tolerance of the carrier frequency."""

_GROUPS = {"clients": "", "interferers": "interferer_"}
_PARTS = ("gains", "directions", "delays")
_NAMES = (
    *(prefix + part for prefix in _GROUPS.values() for part in (*_PARTS, "distances")),
    "departures",
    "carrier_hz",
    "source",
)


@dataclass(frozen=True)
class PathSet:
    """The paths of several blocks, as a file holds them.

    Attributes
    ----------
    blocks : tuple of Transmitters
        T blocks of K clients and J interferers; L paths for each client, L' for each interferer.
    carrier_hz : float
        Carrier frequency, to which gains and distances belong [Hz].
    source : str
        What made the paths, with version and settings.
    """

    blocks: tuple[Transmitters, ...]
    carrier_hz: float
    source: str


def write_paths(path: str | Path, paths: PathSet) -> None:
    """Write a path file.

    Parameters
    ----------
    path : str or Path
        Replaced if it exists.
    paths : PathSet

    Raises
    ------
    InputError
        There is no such folder, the name is that of a folder, or the paths are none that
        :func:`read_paths` takes.
    FailedError
        The file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> one = Paths(np.ones((2, 3), complex), np.zeros((2, 3, 2)), np.zeros((2, 3)))
    >>> block = Transmitters(one, one.of(np.arange(0)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_paths(f"{folder}/paths.npz", PathSet((block, block), 3.5e9, "by hand"))
    ...     read = read_paths(f"{folder}/paths.npz")
    >>> len(read.blocks), read.blocks[1].clients.gains.shape, read.source
    (2, (2, 3), 'by hand')
    """
    target = check_target(path)
    arrays: dict[str, Any] = {"carrier_hz": paths.carrier_hz, "source": np.array(paths.source)}
    for group, prefix in _GROUPS.items():
        of_group: list[Paths] = [getattr(block, group) for block in paths.blocks]
        longest = max(one.gains.shape[1] for one in of_group)
        of_group = [one.filled(longest) for one in of_group]
        for part in _PARTS:
            arrays[prefix + part] = np.stack([getattr(one, part) for one in of_group])
        if any(one.distances is not None for one in of_group):
            plane = np.full((len(of_group[0].gains), longest), np.inf)
            metres = wavelength(paths.carrier_hz)
            arrays[prefix + "distances"] = metres * np.stack(
                [plane if one.distances is None else one.distances for one in of_group]
            )
    departures = [one.clients.filled(arrays["gains"].shape[2]).departures for one in paths.blocks]
    if departures[0] is not None:
        arrays["departures"] = np.stack([one for one in departures if one is not None])
    _path_set({name: np.asarray(array) for name, array in arrays.items()})
    new = target.with_name(f".{target.name}.new")
    try:
        with new.open("wb") as file:
            np.savez_compressed(file, **arrays)
        new.replace(target)
    except OSError as error:
        raise FailedError(f"{clip(target)}: cannot be written ({error.strerror})") from error
    finally:
        with suppress(OSError):
            new.unlink()


def read_paths(path: str | Path) -> PathSet:
    """Read a path file and check every number of it.

    Parameters
    ----------
    path : str or Path
        An .npz file with `gains` (T, K, L), complex, `directions` (T, K, L, 2), `delays` (T, K, L)
        [s], the same of J interferers as `interferer_gains` (T, J, L') and so on, `carrier_hz` ()
        [Hz] and `source` ().  Interferers may be absent.  `distances` (T, K, L) [m], at least
        `NEAREST_M`, make wave fronts spherical, `interferer_distances` too; infinite ones stay
        plane.  `departures` (T, K, L, 2) of the clients are for clients with several antennas
        (`Paths.departures`).
        Paths that fill up have gain 0, and what else stands for them does not matter.

    Returns
    -------
    PathSet

    Raises
    ------
    InputError
        Names the file, the array and what is allowed.
    """
    arrays = load_arrays(path, _NAMES)
    try:
        return _path_set(arrays)
    except InputError as error:
        raise InputError(f"{clip(path)}: {error}") from error


def _path_set(arrays: Mapping[str, NDArray[Any]]) -> PathSet:
    missing = [name for name in (*_PARTS, "carrier_hz", "source") if name not in arrays]
    if missing:
        raise InputError(f"no array {', '.join(missing)}; `airtune channel` writes all of them")
    carrier, source = arrays["carrier_hz"], arrays["source"]
    for name, array in (("carrier_hz", carrier), ("source", source)):
        if array.shape != ():  # its entries would take more memory as text than the file
            raise InputError(f"{name} must be a single value, its shape is {array.shape}")
    if carrier.dtype.kind not in "iuf" or not 0 < carrier < np.inf:
        raise InputError(f"carrier_hz = {shown(carrier.tolist())}: must be one number > 0")
    if source.dtype.kind != "U":
        raise InputError(f"source = {shown(source.tolist())}: must be one text")
    metres = wavelength(float(carrier))
    clients = _group(arrays, "clients", metres)
    silent = np.argwhere(np.abs(clients["gains"]).max(axis=2) == 0)
    if len(silent):
        block, client = silent[0].tolist()
        raise InputError(
            f"client {client} has no path of gain > 0 in block {block}; leave the client out"
        )
    blocks = len(clients["gains"])
    if "interferer_gains" in arrays:
        others = _group(arrays, "interferers", metres)
        if len(others["gains"]) != blocks:
            raise InputError(
                f"interferer_gains must have T = {blocks} blocks as gains has, not "
                f"{len(others['gains'])}"
            )
    else:
        nobody = np.zeros((blocks, 0, 1))
        others = {
            "gains": nobody.astype(np.complex128),
            "directions": np.zeros((blocks, 0, 1, 2)),
            "delays": nobody,
        }
    return PathSet(
        tuple(
            Transmitters(
                Paths(**{name: array[t] for name, array in clients.items()}),
                Paths(**{name: array[t] for name, array in others.items()}),
            )
            for t in range(blocks)
        ),
        float(carrier),
        str(source),
    )


def _group(
    arrays: Mapping[str, NDArray[Any]], group: str, metres: float
) -> dict[str, NDArray[Any]]:
    """Return the checked arrays of the clients or interferers; `metres` of a wavelength."""
    prefix = _GROUPS[group]
    gains = _numbers(arrays, prefix + "gains", np.complex128)
    if gains.ndim != 3 or 0 in (gains.shape[0], gains.shape[2]) or not (prefix or gains.shape[1]):
        letter = "J, L'" if prefix else "K, L"
        raise InputError(f"{prefix}gains must have shape (T, {letter}), not {gains.shape}")
    found = {"gains": gains}
    heard = gains != 0
    vectors = ["directions"]
    if not prefix and "departures" in arrays:
        vectors.append("departures")
    for part in (*vectors, "delays"):
        flat = part == "delays"
        found[part] = _numbers(
            arrays, prefix + part, np.float64, gains.shape if flat else (*gains.shape, 2)
        )
        found[part] = np.where(heard if flat else heard[..., None], found[part], 0.0)
    for name in ("gains", *vectors, "delays"):
        if not np.isfinite(found[name]).all():
            raise InputError(f"{prefix}{name} must be finite numbers")
    if found["delays"].min(initial=0.0) < 0:
        raise InputError(f"{prefix}delays must be >= 0 s, not {found['delays'].min():g}")
    for name in vectors:
        with np.errstate(over="ignore"):  # what is too long for its square is refused all the same
            length = np.linalg.norm(found[name], axis=-1)
        if length.max(initial=0.0) > 1.0 + LENGTH:
            raise InputError(
                f"{prefix}{name} must have length at most 1, not {length.max():.9g}: they are the "
                "in-plane part of unit vectors"
            )
        long = length > 1.0
        found[name][long] /= length[long][:, None]
    if prefix + "distances" in arrays:
        distances = _numbers(arrays, prefix + "distances", np.float64, gains.shape)
        distances = np.where(heard, distances, np.inf)
        if not (distances >= NEAREST_M).all():
            raise InputError(
                f"{prefix}distances must be at least {NEAREST_M:g} m, not {distances.min():g}"
            )
        with np.errstate(over="ignore"):  # as far as that, waves are plane
            found["distances"] = distances / metres
    return found


def _numbers(
    arrays: Mapping[str, NDArray[Any]], name: str, kind: Any, shape: tuple[int, ...] | None = None
) -> NDArray[Any]:
    """Return an array of numbers in double precision, checked for its shape."""
    if name not in arrays:
        raise InputError(f"no array {name}")
    array = arrays[name]
    if array.dtype.kind not in ("iufc" if kind is np.complex128 else "iuf"):
        raise InputError(f"{name} must hold numbers, its type is {array.dtype}")
    if shape is not None and array.shape != shape:
        raise InputError(f"{name} must have shape {shape} as gains has, not {array.shape}")
    return np.asarray(array, dtype=kind)


class FileChannel(Channel):
    """Paths from a file: block t serves round t, cyclically.

    The errors of `radio.csi` are added to what the file holds, as to drawn paths; powers and noise
    are the scenario's.

    Parameters
    ----------
    radio : Radio
        Section ``radio`` of the scenario; `channel_file` names the file.
    clients : Clients
        Section ``clients`` of the scenario.
    seed : int
        Seed of the repetition; all repetitions meet the same paths.

    Raises
    ------
    InputError
        The file cannot be used, or it is of another number of clients or interferers or of another
        carrier than the scenario.
    """

    def __init__(self, radio: Radio, clients: Clients, seed: int) -> None:
        name = radio.channel_file
        if name is None:
            raise InputError("radio.channel_file = null: must be a path file with channel = file")
        self._csi, self._seed = radio.csi, seed
        try:
            self._paths = read_paths(name)
        except InputError as error:
            raise InputError(f"radio.channel_file = {error}") from error
        first = self._paths.blocks[0]
        for setting, wanted, given, noun in (
            ("clients.count", clients.count, len(first.clients.gains), "clients"),
            (
                "radio.interferers.count",
                radio.interferers.count,
                len(first.interferers.gains),
                "interferers",
            ),
        ):
            if given != wanted:
                raise InputError(
                    f"radio.channel_file = {clip(name)}: has the paths of {given} {noun}; "
                    f"{setting} = {wanted}"
                )
        carrier = self._paths.carrier_hz
        if abs(carrier - radio.carrier_hz) > CARRIER * radio.carrier_hz:
            raise InputError(
                f"radio.channel_file = {clip(name)}: is for a carrier of {carrier:.9g} Hz; "
                f"radio.carrier_hz = {radio.carrier_hz:.9g}"
            )

    @property
    def isotropic(self) -> bool:
        """Whether the file is not of the report's rays, which have its antennas in their gains."""
        return "TR 38.901" not in self._paths.source

    def block(self, round_index: int) -> Block:
        """Return block t of the file for round t, cyclically.

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
        if round_index < 0:
            raise ValueError(f"round must be >= 0, got {round_index}")
        true = self._paths.blocks[round_index % len(self._paths.blocks)]
        return Block(true, perceived(true, self._csi, self._seed, round_index))
