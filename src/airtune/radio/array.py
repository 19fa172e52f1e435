"""The receive array: channel and noise covariance at given positions.

Positions are in wavelengths, in the box [0, A_x] x [0, A_y] (A_y = 0: a line).
"""

from __future__ import annotations

import numpy as np

from airtune.kinds import Complex, Real
from airtune.radio.channels.base import Paths


def channel(paths: Paths, positions: Real) -> Complex:
    """Return the channel of each transmitter at the antennas (system model, section 3).

    ``h_k(r)[n] = sum_l a_kl exp(+j 2 pi u_kl . r_n)``

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

    Examples
    --------
    One path from the right, two antennas half a wavelength apart:

    >>> paths = Paths(np.array([[2.0 + 0j]]), np.array([[[1.0, 0.0]]]), np.zeros((1, 1)))
    >>> channel(paths, np.array([[0.0, 0.0], [0.5, 0.0]])).real.round(6).tolist()
    [[2.0, -2.0]]
    """
    phases = np.exp(2j * np.pi * (paths.directions @ positions.T))
    return np.asarray(np.einsum("kl,kln->kn", paths.gains, phases))


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
