"""Placement problem files: .npz in, .npz out (the format of `airtune place`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airtune.errors import InputError, shown
from airtune.npz import load_arrays
from airtune.placement.problem import Placement, Problem, ProblemError

PER_INSTANCE = (
    "gains",
    "directions",
    "weights",
    "powers",
    "noise",
    "interferer_gains",
    "interferer_directions",
    "interferer_powers",
)
SHARED = ("antennas", "region", "spacing")


def load_problems(path: str | Path) -> list[Problem]:
    """Read I instances that share N, region and spacing.

    Parameters
    ----------
    path : str or Path
        An .npz file with `gains` (I, K, L), `directions` (I, K, L, 2), `weights` (I, K), `powers`
        (I, K) [W], `noise` (I,) [W], `interferer_gains` (I, J, L), `interferer_directions`
        (I, J, L, 2), `interferer_powers` (I, J) [W], `antennas` (), `region` (2,) and `spacing` ()
        [wavelengths].

    Returns
    -------
    list of Problem

    Raises
    ------
    ProblemError
        If the file cannot be read, an array is missing, or an instance is not valid.

    Examples
    --------
    >>> import tempfile
    >>> from airtune.placement.examples import random_problem
    >>> problem = random_problem(0, antennas=2, clients=3)
    >>> arrays = {name: np.array([getattr(problem, name)]) for name in PER_INSTANCE}
    >>> arrays |= {name: np.array(getattr(problem, name)) for name in SHARED}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/problems.npz", **arrays)
    ...     problems = load_problems(f"{folder}/problems.npz")
    >>> len(problems), problems[0].antennas, problems[0].gains.shape
    (1, 2, (3, 10))
    """
    data = _arrays(path)
    missing = [name for name in (*PER_INSTANCE, *SHARED) if name not in data]
    if missing:
        raise ProblemError(f"{path}: array {missing[0]!r} is missing")
    counts = {name: data[name].shape[:1] for name in PER_INSTANCE}
    instances = counts["gains"]
    for name, count in counts.items():
        if count != instances or not count:
            raise ProblemError(
                f"{path}: {name} must have {instances[0] if instances else '(I, K, L)'} instances "
                f"along its first axis, its shape is {data[name].shape}"
            )
    for name in ("antennas", "spacing"):
        if data[name].shape != ():
            raise ProblemError(
                f"{path}: {name} must be one number, its shape is {data[name].shape}"
            )
        if data[name].dtype.kind not in "iuf":
            raise ProblemError(f"{path}: {name} must be a number, not {shown(data[name].item())}")
    for name, array in data.items():
        if array.dtype.kind not in "biufc":
            raise ProblemError(f"{path}: {name} must hold numbers, its type is {array.dtype}")
    problems = []
    for i in range(instances[0]):
        try:
            problems.append(
                Problem(
                    **{name: data[name][i] for name in PER_INSTANCE},
                    antennas=data["antennas"].item(),
                    region=data["region"],
                    spacing=data["spacing"].item(),
                )
            )
        except ProblemError as error:
            raise ProblemError(f"{path}, instance {i}: {error}") from error
    return problems


def _arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    """The arrays of a problem file that are there."""
    try:
        return load_arrays(path, (*PER_INSTANCE, *SHARED))
    except InputError as error:
        raise ProblemError(str(error)) from error


def save_problems(path: str | Path, problems: Sequence[Problem]) -> None:
    """Write a problem file as :func:`load_problems` reads it.

    Parameters
    ----------
    path : str or Path
    problems : sequence of Problem
        At least one, all with the same antennas, region and spacing.  Fewer clients, interferers or
        paths than in another instance are padded: clients with weight 0, paths with gain 0.

    Raises
    ------
    ProblemError
        There is no problem, the problems differ in what a file has once, or it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from airtune.placement.examples import random_problem
    >>> problems = [random_problem(k, antennas=2, clients=k + 1) for k in range(2)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_problems(f"{folder}/problems.npz", problems)
    ...     read = load_problems(f"{folder}/problems.npz")
    >>> [problem.weights.shape for problem in read], int(read[0].active.sum())
    ([(2,), (2,)], 1)
    """
    if not problems:
        raise ProblemError("problems: must be at least one")
    arrays: dict[str, Any] = {}
    for name in SHARED:
        values = [getattr(problem, name) for problem in problems]
        if any(np.any(value != values[0]) for value in values):
            raise ProblemError(f"problems: must agree in {name}, which a file has once")
        arrays[name] = np.array(values[0])
    for name in PER_INSTANCE:
        arrays[name] = _padded([np.asarray(getattr(problem, name)) for problem in problems])
    try:
        with Path(path).open("wb") as file:
            np.savez(file, **arrays)
    except OSError as error:
        raise ProblemError(f"{path}: cannot be written ({error.strerror})") from error


def _padded(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Stack arrays of one number of axes, with zeros behind those that are shorter."""
    most = [max(sizes) for sizes in zip(*(array.shape for array in arrays), strict=True)]
    return np.concatenate(
        [
            np.pad(
                array[None], [(0, 0), *((0, m - n) for m, n in zip(most, array.shape, strict=True))]
            )
            for array in arrays
        ]
    )


def save_placements(path: str | Path, placements: Sequence[Placement]) -> None:
    """Write positions (I, N, 2), beamformer (I, N), worst_gain, seconds and upper_bound (I,).

    Parameters
    ----------
    path : str or Path
    placements : sequence of Placement
        All with the same number of antennas. `upper_bound` is written if every one has it.

    Examples
    --------
    >>> import tempfile
    >>> placement = Placement(np.zeros((1, 2)), np.ones(1, np.complex128), worst_gain=2.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_placements(f"{folder}/out.npz", [placement])
    ...     with np.load(f"{folder}/out.npz") as file:
    ...         sorted(file), file["positions"].shape
    (['beamformer', 'positions', 'seconds', 'worst_gain'], (1, 1, 2))
    """
    arrays: dict[str, Any] = {
        "positions": np.array([p.positions for p in placements]),
        "beamformer": np.array([p.beamformer for p in placements]),
        "worst_gain": np.array([p.worst_gain for p in placements]),
        "seconds": np.array([p.seconds for p in placements]),
    }
    bounds = [p.upper_bound for p in placements if p.upper_bound is not None]
    if placements and len(bounds) == len(placements):
        arrays["upper_bound"] = np.array(bounds)
    with Path(path).open("wb") as file:
        np.savez(file, **arrays)
