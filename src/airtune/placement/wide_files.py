"""Placement problem files of wide bands: path delays and resource blocks besides the problems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airtune.band import block_offsets, check_delays, gains_at
from airtune.errors import InputError, shown
from airtune.npz import load_arrays
from airtune.placement.files import load_problems
from airtune.placement.problem import Problem, ProblemError
from airtune.placement.wideband import WidebandPlacement

MOST_BLOCKS = 256

_NAMES = ("resource_blocks", "bandwidth_hz", "delays", "interferer_delays")


def load_blocks(path: str | Path) -> list[list[Problem]] | None:
    """Read the problems of a file block by block; None where it has one resource block.

    Parameters
    ----------
    path : str or Path
        A file as :func:`airtune.placement.load_problems` reads it, with `resource_blocks` (),
        `bandwidth_hz` () [Hz], `delays` (I, K, L) and, with interferers, `interferer_delays`
        (I, J, L) [s] besides.

    Returns
    -------
    list of list of Problem, or None
        Of each instance the problem in each block.

    Raises
    ------
    ProblemError
        An array is missing, or a value is out of range.

    Examples
    --------
    >>> import tempfile
    >>> from airtune.placement import save_problems
    >>> from airtune.placement.examples import random_problem
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_problems(f"{folder}/flat.npz", [random_problem(0, antennas=2, clients=3)])
    ...     wide = dict(np.load(f"{folder}/flat.npz"), resource_blocks=4, bandwidth_hz=1e6)
    ...     np.savez(f"{folder}/wide.npz", **wide, delays=np.full((1, 3, 10), 1e-7))
    ...     flat, blocks = (load_blocks(f"{folder}/{name}.npz") for name in ("flat", "wide"))
    >>> flat, [len(instance) for instance in blocks]
    (None, [4])
    """
    problems = load_problems(path)
    try:
        data = load_arrays(path, _NAMES)
    except InputError as error:
        raise ProblemError(str(error)) from error
    if "resource_blocks" not in data:
        return None
    count = _number(path, data, "resource_blocks")
    if not 1 <= count <= MOST_BLOCKS or count != int(count):
        raise ProblemError(
            f"{path}: resource_blocks must be an integer from 1 to {MOST_BLOCKS}, not {count:g}"
        )
    if count == 1:
        return None
    bandwidth = _number(path, data, "bandwidth_hz")
    if not 0 < bandwidth < np.inf:
        raise ProblemError(f"{path}: bandwidth_hz must be positive and finite, not {bandwidth:g}")
    gains = np.array([one.gains for one in problems])
    others = np.array([one.interferer_gains for one in problems])
    if not others.size:
        data["interferer_delays"] = np.zeros(others.shape)
    delays = _delays(path, data, "delays", gains)
    waits = _delays(path, data, "interferer_delays", others)
    try:
        check_delays(gains, delays, bandwidth, f"{path}: delays")
        check_delays(others, waits, bandwidth, f"{path}: interferer_delays")
    except InputError as error:
        raise ProblemError(str(error)) from error
    return [
        [
            replace(
                problem,
                gains=gains_at(problem.gains, own, offset),
                interferer_gains=gains_at(problem.interferer_gains, theirs, offset),
            )
            for offset in block_offsets(bandwidth, int(count)).tolist()
        ]
        for problem, own, theirs in zip(problems, delays, waits, strict=True)
    ]


def _number(path: str | Path, data: dict[str, NDArray[Any]], name: str) -> float:
    if name not in data:
        raise ProblemError(f"{path}: array {name!r} is missing, which resource_blocks needs")
    value = data[name]
    if value.shape != ():
        raise ProblemError(f"{path}: {name} must be one number, its shape is {value.shape}")
    if value.dtype.kind not in "iuf":
        raise ProblemError(f"{path}: {name} must be one number, not {shown(value.item())}")
    return float(value)


def _delays(
    path: str | Path, data: dict[str, NDArray[Any]], name: str, gains: NDArray[Any]
) -> NDArray[np.float64]:
    """Return checked delays; those of paths of gain 0 do not matter."""
    if name not in data:
        raise ProblemError(f"{path}: array {name!r} is missing, which resource_blocks needs")
    found = data[name]
    if found.shape != gains.shape or found.dtype.kind not in "iuf":
        raise ProblemError(
            f"{path}: {name} must be numbers of shape {gains.shape}, not {found.dtype} of shape "
            f"{found.shape}"
        )
    delays = np.where(gains != 0, found.astype(np.float64), 0.0)
    if not (np.isfinite(delays).all() and (delays >= 0).all()):
        wrong = delays[~(np.isfinite(delays) & (delays >= 0))][0]
        raise ProblemError(f"{path}: {name} must be finite and >= 0 s, not {wrong:g}")
    return delays


def save_wide(path: str | Path, placements: Sequence[WidebandPlacement]) -> None:
    """Write positions (I, N, 2), beamformer (I, B, N), block_gain (I, B), worst_gain and seconds.

    `worst_gain` (I,) is the harmonic mean of `block_gain`; `upper_bound` (I,) is written if every
    placement has one.
    """
    arrays: dict[str, Any] = {
        "positions": np.array([one.positions for one in placements]),
        "beamformer": np.array([[b.beamformer for b in one.blocks] for one in placements]),
        "block_gain": np.array([[b.worst_gain for b in one.blocks] for one in placements]),
        "worst_gain": np.array([one.worst_gain for one in placements]),
        "seconds": np.array([one.seconds for one in placements]),
    }
    bounds = [one.upper_bound for one in placements if one.upper_bound is not None]
    if placements and len(bounds) == len(placements):
        arrays["upper_bound"] = np.array(bounds)
    with Path(path).open("wb") as file:
        np.savez(file, **arrays)
