"""The receive array: channel and noise covariance at given positions.

Positions are in wavelengths, in the box [0, A_x] x [0, A_y] (A_y = 0: a line).
"""

from __future__ import annotations

import numpy as np

from airtune.errors import InputError
from airtune.kinds import Complex, Real
from airtune.radio.channels.base import Paths

SINGLE = (
    "something asks for the channel vector of a client, and there is none until its antennas are "
    "weighed (airtune.schemes.precoding); must be 1 with it"
)
"""What is wrong where code for clients of one antenna meets clients with several."""


def channel(paths: Paths, positions: Real) -> Complex:
    """Return the channel of each transmitter at the antennas (system model, section 3).

    ``h_k(r)[n] = sum_l a_kl exp(+j 2 pi u_kl . r_n)``; of spherical waves see :func:`response`.

    Parameters
    ----------
    paths : Paths
        Paths of K transmitters.
    positions : ndarray, float, shape (N, 2)
        Antenna positions r_n [wavelengths].

    Returns
    -------
    ndarray, complex, shape (K, N)
        Row k is h_k(r).

    Raises
    ------
    InputError
        The paths are those of transmitters with several antennas, which have a matrix each.

    Examples
    --------
    One path from the right, two antennas half a wavelength apart:

    >>> paths = Paths(np.array([[2.0 + 0j]]), np.array([[[1.0, 0.0]]]), np.zeros((1, 1)))
    >>> channel(paths, np.array([[0.0, 0.0], [0.5, 0.0]])).real.round(6).tolist()
    [[2.0, -2.0]]
    """
    if paths.departures is not None:
        raise InputError(f"clients.antennas > 1: {SINGLE}")
    return np.asarray(np.einsum("kl,kln->kn", paths.gains, response(paths, positions)))


def response(paths: Paths, positions: Real) -> Complex:
    """Return what paths of gain 1 bring to the antennas.

    A plane wave brings ``exp(+j 2 pi u . r)``.  A spherical one, which spreads from a point at the
    distance d from r = 0 in the direction u, brings ``(d / d(r)) exp(-j 2 pi (d(r) - d))`` with
    the distance ``d(r) = sqrt(d^2 - 2 d u . r + |r|^2)`` from an antenna; as d grows it becomes the
    plane one, and differs by the order of ``|r|^2 / d``.

    Parameters
    ----------
    paths : Paths
        Paths of K transmitters.
    positions : ndarray, float, shape (N, 2)
        Antenna positions r_n [wavelengths].

    Returns
    -------
    ndarray, complex, shape (K, L, N)
    """
    along = paths.directions @ positions.T
    if paths.distances is None:
        return np.asarray(np.exp(2j * np.pi * along))
    longer, stretch = _spread(paths.distances, along, positions)
    return np.asarray(np.exp(-2j * np.pi * longer) / stretch)


def _spread(distances: Real, along: Real, positions: Real) -> tuple[Real, Real]:
    """Return ``d(r) - d`` and ``d(r) / d``, shape (K, L, N), without loss for large d."""
    bend, square = 1.0 / distances[..., None], (positions**2).sum(axis=-1)
    stretch = np.sqrt(1.0 - 2.0 * bend * along + bend**2 * square)
    return (bend * square - 2.0 * along) / (1.0 + stretch), stretch


def response_slopes(paths: Paths, positions: Real) -> Complex:
    """Return the derivatives of :func:`response` by the positions, shape (K, L, N, 2)."""
    value, u = response(paths, positions)[..., None], paths.directions[:, :, None]
    if paths.distances is None:
        return np.asarray(2j * np.pi * u * value)
    bend = 1.0 / paths.distances[..., None]
    _, stretch = _spread(paths.distances, paths.directions @ positions.T, positions)
    tilt = (bend[..., None] * positions - u) / stretch[..., None]
    per_metre = -2j * np.pi - (bend / stretch)[..., None]
    return np.asarray(value * per_metre * tilt)


def covariance(interference: Complex, powers_w: Real, noise_w: float) -> Complex:
    """Return ``R = sigma^2 I + sum_j q_j v_j v_j^H`` from the interferers' channels.

    Parameters
    ----------
    interference : ndarray, complex, shape (J, N)
        Row j is v_j; J may be 0.
    powers_w : ndarray, float, shape (J,)
        Transmit powers q_j [W].
    noise_w : float
        Noise power sigma^2 [W].

    Returns
    -------
    ndarray, complex, shape (N, N)
        Hermitian covariance [W].

    Examples
    --------
    >>> covariance(np.array([[1.0, 1j]]), np.array([2.0]), 0.5).tolist()
    [[(2.5+0j), -2j], [2j, (2.5+0j)]]
    """
    white = noise_w * np.eye(interference.shape[1])
    return np.asarray(white + (interference.T * powers_w) @ interference.conj())
