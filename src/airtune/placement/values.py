"""The numbers of a placement problem: read, checked, and within what can be computed with."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from airtune.errors import InputError, shown
from airtune.kinds import Complex, Real

LENGTH = 1e-6
"""Tolerance of the length of directions, which files may hold in single precision."""

LONGEST = 1e6
"""Greatest side of a region, and one over the least spacing  [wavelengths]."""

MOST_ANTENNAS = 1024
"""Antennas at most; the work of the solver grows with their third power."""


WEAKEST, STRONGEST = 1e-75, 1e75
"""Amplitudes that are computed with  [sqrt(W)]; squares and products of squares stay finite."""

OVER_NOISE_DB = 600.0
"""Farthest that a client is above or below the noise of an antenna  [dB]."""

SPAN_DB = 300.0
"""Farthest that the strongest client is above the weakest; tables in single precision hold it."""

INTERFERENCE_DB = 130.0
"""Strongest interference of all antennas over the noise of one  [dB].

With more, sigma^2 I is lost in the rounding of sigma^2 I + sum_j q_j v_j v_j^H.
"""


class ProblemError(InputError):
    """A placement problem that makes no sense; the message names the field and what is allowed."""


def check_range(
    clients: Complex, interferers: Complex, noise: float, antennas: int, *, silent: bool = False
) -> None:
    """Refuse powers that are too large, too small or too far apart for double precision.

    Parameters
    ----------
    clients : ndarray, complex, shape (K, L)
        sqrt(P_k) / nu_k a_kl of the active clients  [sqrt(W)]
    interferers : ndarray, complex, shape (J, L)
        sqrt(q_j) times the path gains  [sqrt(W)]
    noise : float
        Noise power of an antenna  [W]
    antennas : int
        N.
    silent : bool
        Clients whose gains are all 0 are left out.

    Raises
    ------
    ProblemError

    Examples
    --------
    >>> check_range(np.ones((2, 3)), np.zeros((0, 3)), 1e-3, 4)
    >>> check_range(np.array([[1e-60]]), np.zeros((0, 1)), 1e-3, 4)
    Traceback (most recent call last):
    ...
    airtune.placement.values.ProblemError: client 0, sqrt(P) |a| / nu = 1e-60, is -1170 dB over \
the noise 0.001: must be within 600 dB of it to compute with
    """
    level = math.sqrt(noise)
    if not WEAKEST <= level <= STRONGEST:
        raise ProblemError(
            f"noise = {noise:g}: must be {WEAKEST**2:g} .. {STRONGEST**2:g} W to compute with"
        )
    sums = np.abs(clients).sum(axis=1)
    if silent:
        sums = np.where(sums == 0, sums.max(initial=0.0) or level, sums)
    outside = np.flatnonzero(~((sums >= WEAKEST) & (sums <= STRONGEST)))
    if outside.size:
        raise ProblemError(
            f"powers, gains and weight of client {outside[0]}: sqrt(P) |a| / nu = "
            f"{sums[outside[0]]:g}: must be {WEAKEST:g} .. {STRONGEST:g} to compute with"
        )
    over = 20 * np.log10(sums / level)
    far = np.flatnonzero(np.abs(over) > OVER_NOISE_DB)
    if far.size:
        raise ProblemError(
            f"client {far[0]}, sqrt(P) |a| / nu = {sums[far[0]]:g}, is {over[far[0]]:.0f} dB over "
            f"the noise {noise:g}: must be within {OVER_NOISE_DB:.0f} dB of it to compute with"
        )
    if len(sums) and 20 * math.log10(sums.max() / sums.min()) > SPAN_DB:
        raise ProblemError(
            f"sqrt(P) |a| / nu of the clients goes from {sums.min():g} to {sums.max():g}: must "
            f"span at most {SPAN_DB:.0f} dB to compute with"
        )
    received = float(np.sum((np.abs(interferers).sum(axis=1) / level) ** 2)) * antennas
    if not received <= 10 ** (INTERFERENCE_DB / 10):
        raise ProblemError(
            f"the interferers are {10 * math.log10(received):.0f} dB over the noise {noise:g}: "
            f"must be at most {INTERFERENCE_DB:.0f} dB to compute with"
        )


def check_lengths(name: str, whose: str, gains: Complex, directions: Real) -> None:
    """Refuse a direction longer than a unit vector's part in a plane can be; padding is free."""
    length = np.where(gains != 0, np.hypot(directions[..., 0], directions[..., 1]), 0.0)
    if (length > 1 + LENGTH).any():
        k, path = (int(i) for i in np.argwhere(length > 1 + LENGTH)[0])
        x, y = directions[k, path]
        raise ProblemError(
            f"{name} of {whose} {k}, path {path} are ({x:g}, {y:g}), of length "
            f"{length[k, path]:.7g}: must be parts of unit vectors, of length at most 1"
        )


def without_padding(gains: Complex, directions: Real) -> Real:
    """Return directions with 0 for those of padding that no unit vector has: they do not matter."""
    odd = (gains == 0) & (np.abs(directions) > 1).any(axis=-1)
    if not odd.any():
        return directions
    directions = np.where(odd[..., None], 0.0, directions)
    directions.setflags(write=False)
    return directions


def real(value: object, name: str) -> float:
    """Return one number, which may be infinite or NaN."""
    try:
        number = float(value)  # type: ignore[arg-type]  # whatever a file or a caller gives
    except (TypeError, ValueError, OverflowError):
        raise ProblemError(f"{name} must be a number, not {shown(value)}") from None
    return number


def array(value: object, name: str, kind: type) -> NDArray[np.generic]:
    """Return numbers of a kind, all finite, that cannot be changed."""
    try:
        given = np.asarray(value)
        if np.iscomplexobj(given) and kind is np.float64:
            raise ProblemError(f"{name} must be real numbers, not complex ones")
        array: NDArray[np.generic] = np.array(given, dtype=kind)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, ProblemError):
            raise
        raise ProblemError(f"{name} must be an array of numbers") from error
    if not np.isfinite(array).all():
        raise ProblemError(f"{name} must be finite")
    array.setflags(write=False)
    return array
