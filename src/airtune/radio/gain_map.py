"""What one antenna would receive at each place of the region (system model, sections 3 and 5)."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from airtune.kinds import Complex, Real

_PER_WAVELENGTH, _LEAST, _MOST = 10, 21, 61
"""Points of a map along a side, and their least and largest number."""

_RANGE_DB = 40.0
"""What is weaker than the strongest place by more than this has the lowest level."""


def weakest_gain_db(
    gains: Complex,
    directions: Real,
    interferer_gains: Complex,
    interferer_directions: Real,
    noise: float,
    x: Real,
    y: Real,
    *,
    client_antennas: int = 1,
) -> Real:
    """Return the weakest client's signal over local noise and interference, on a grid.

    That is ``min_k |g_k(p)|^2 / (sigma^2 + sum_j |v_j(p)|^2)`` of a single antenna at p, with the
    norm over its antennas in place of the modulus for a client that has several.

    Parameters
    ----------
    gains : ndarray, complex, shape (K, L)
        Path gains of the auxiliary channels g_k; clients that are 0 throughout do not count.
    directions : ndarray, float, shape (K, L, 2)
    interferer_gains : ndarray, complex, shape (J, L')
        Path gains of the interferers times the square roots of their powers [sqrt(W)]; J may be 0.
    interferer_directions : ndarray, float, shape (J, L', 2)
    noise : float
        sigma^2 [W].
    x : ndarray, float, shape (X,)  [wavelengths]
    y : ndarray, float, shape (Y,)  [wavelengths]
    client_antennas : int
        M: rows of `gains` that belong to one client, one for each of its antennas.

    Returns
    -------
    ndarray, float, shape (Y, X)  [dB]

    Examples
    --------
    Two paths of one client, from the right and from the left, cancel a quarter wavelength away:

    >>> gains, directions = np.ones((1, 2), complex), np.array([[[1.0, 0.0], [-1.0, 0.0]]])
    >>> none, nowhere = np.zeros((0, 1), complex), np.zeros((0, 1, 2))
    >>> line, start = np.array([0.0, 0.125, 0.25]), np.zeros(1)
    >>> weakest_gain_db(gains, directions, none, nowhere, 1.0, line, start).round(2).tolist()
    [[6.02, 3.01, -300.0]]
    """
    signal = _power(gains, directions, x, y)
    # Clients of weight 0 do not send and have no auxiliary channel.
    signal = signal[np.any(gains != 0, axis=1)]
    if client_antennas > 1:
        signal = signal.reshape(-1, client_antennas, *signal.shape[1:]).sum(axis=1)
    interference = _power(interferer_gains, interferer_directions, x, y).sum(axis=0)
    weakest = signal.min(axis=0) / (noise + interference)
    return np.asarray(10 * np.log10(np.maximum(weakest, 1e-30)))


def places_along(side: float) -> Real:
    """Return the points of a map along a side of the region; one where there is no extent.

    Parameters
    ----------
    side : float
        Length [wavelengths].
    """
    if side <= 0:
        return np.zeros(1)
    count = int(np.clip(round(_PER_WAVELENGTH * side) + 1, _LEAST, _MOST))
    return np.linspace(0.0, side, count)


def as_levels(level: Real) -> dict[str, Any]:
    """Return a map with one byte a point, as :class:`airtune.record.documents.GainMap` has it.

    Parameters
    ----------
    level : ndarray, float, shape (Y, X)  [dB]

    Examples
    --------
    >>> as_levels(np.array([[0.0, 25.5]]))
    {'shape': [1, 2], 'low_db': 0.0, 'step_db': 0.1, 'values': 'AP8='}

    One level throughout has no steps:

    >>> as_levels(np.full((1, 2), 3.0))
    {'shape': [1, 2], 'low_db': 3.0, 'step_db': 0.0, 'values': 'AAA='}
    """
    high = float(level.max())
    low = max(float(level.min()), high - _RANGE_DB)
    # A step that is written as 0 stands for no difference at all.
    step = (high - low) / 255 if round((high - low) / 255, 6) else 0.0
    levels = np.zeros(level.shape, np.uint8)
    if step:
        levels = np.rint((np.maximum(level, low) - low) / step).astype(np.uint8)
    return {
        "shape": list(levels.shape),
        "low_db": float(np.round(low, 4)),
        "step_db": float(np.round(step, 6)),
        "values": base64.b64encode(levels.tobytes()).decode(),
    }


def _power(gains: Complex, directions: Real, x: Real, y: Real) -> Real:
    """Return |sum_l a_kl exp(+j 2 pi u_kl . p)|^2 of every k, shape (K, Y, X)."""
    # The phase separates: exp(j 2 pi (u_x x + u_y y)) is a product of a row and a column.
    across = np.exp(2j * np.pi * directions[..., 0, None] * x)
    along = np.exp(2j * np.pi * directions[..., 1, None] * y) * gains[..., None]
    field = np.einsum("kly,klx->kyx", along, across)
    return np.asarray(np.abs(field) ** 2)
