"""Digital links: rates, airtime and energy of uploads, reports, pilots and the downlink."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from airtune.kinds import Complex, Real


@dataclass(frozen=True)
class Airtime:
    """What uploads take.

    Attributes
    ----------
    times_s : ndarray, float, shape (K,)
        How long each client sends [s].
    energies_j : ndarray, float, shape (K,)
        Radio energy of each client, ``P_k t_k`` [J].
    simultaneous : bool
        Whether the clients send at the same time, not one after the other.
    set_times_s : tuple of float
        Times of sets of clients that send at the same time each, one set after the other; empty:
        all are one [s].
    """

    times_s: Real
    energies_j: Real
    simultaneous: bool = False
    set_times_s: tuple[float, ...] = ()

    @property
    def time_s(self) -> float:
        """Time until the last client has sent [s]."""
        if self.set_times_s:
            return sum(self.set_times_s)
        return float(self.times_s.max(initial=0.0) if self.simultaneous else self.times_s.sum())

    @property
    def energy_j(self) -> float:
        """Energy of all clients [J]."""
        return float(self.energies_j.sum())


SILENT = Airtime(np.zeros(0), np.zeros(0), simultaneous=True)
"""Nobody sends."""


def single_user_sinr(channel: Complex, covariance: Complex, powers: Real) -> Real:
    """Return the SINR of each client alone on the air, ``P_k h_k^H R^-1 h_k``.

    This is what the max-SINR (MMSE) receiver ``w = R^-1 h_k`` reaches.

    Parameters
    ----------
    channel : ndarray, complex, shape (K, N)
        h_k.
    covariance : ndarray, complex, shape (N, N)
        Noise-plus-interference covariance R [W].
    powers : ndarray, float, shape (K,)
        Transmit powers P_k [W].

    Returns
    -------
    ndarray, float, shape (K,)
        SINR, linear.

    Examples
    --------
    >>> single_user_sinr(np.array([[1.0, 1j]]), 0.1 * np.eye(2), np.array([0.5])).round(6).tolist()
    [10.0]
    """
    whitened = np.linalg.solve(covariance, channel.T)  # column k: R^-1 h_k
    return np.asarray(powers * np.einsum("kn,nk->k", channel.conj(), whitened).real)


def filtered_sinr(
    filters: Complex, channel: Complex, covariance: Complex, powers: npt.ArrayLike
) -> Real:
    """Return the SINR behind receive filters, ``P_k |w_k^H h_k|^2 / (w_k^H R w_k)``.

    Parameters
    ----------
    filters : ndarray, complex, shape (K, N)
        w_k, of any length.
    channel : ndarray, complex, shape (K, N)
        h_k.
    covariance : ndarray, complex, shape (N, N)
        Of all that w_k meets besides client k [W].
    powers : array_like, float, shape (K,) or ()
        Transmit powers P_k [W].

    Returns
    -------
    ndarray, float, shape (K,)
        SINR, linear.

    Examples
    --------
    A filter that is blind to the second antenna loses what arrives there:

    >>> filters, h = np.array([[1.0, 0j]]), np.array([[1.0, 1j]])
    >>> filtered_sinr(filters, h, 0.1 * np.eye(2), np.array([0.5])).round(6).tolist()
    [5.0]
    """
    signals = np.abs(np.sum(filters.conj() * channel, axis=1)) ** 2
    met = np.einsum("kn,nm,km->k", filters.conj(), covariance, filters).real
    return np.asarray(powers * signals / met)


def shannon_rate(
    sinr: npt.ArrayLike, bandwidth_hz: float, efficiency: float, gap_db: float = 0.0
) -> Real:
    """Return the rate ``W eff log2(1 + SINR / gap)``.

    Parameters
    ----------
    sinr : array_like, float
        SINR, linear.
    bandwidth_hz : float
        Bandwidth W [Hz].
    efficiency : float
        Share of the time-frequency grid that carries data.
    gap_db : float
        Gap of the code to the Shannon limit [dB].

    Returns
    -------
    ndarray, float
        Rate [bit/s], shape of `sinr`.

    Examples
    --------
    >>> shannon_rate([1.0, 3.0], bandwidth_hz=1e6, efficiency=0.5).round(3).tolist()
    [500000.0, 1000000.0]
    """
    gap = 10.0 ** (gap_db / 10.0)
    # log1p keeps the rate exact at very low SINR
    return np.asarray(
        bandwidth_hz * efficiency * np.log1p(np.asarray(sinr, dtype=np.float64) / gap) / np.log(2.0)
    )


def sequential_airtime(bits: npt.ArrayLike, rates: Real, powers: Real) -> Airtime:
    """Return time and energy when the clients send `bits` one after the other.

    Uploads of the digital baseline and the reports of the scales (side information) alike.

    Parameters
    ----------
    bits : array_like, float, shape (K,) or ()
        Bits of each client, or of every client.
    rates : ndarray, float, shape (K,)
        Rates [bit/s].
    powers : ndarray, float, shape (K,)
        Transmit powers P_k [W].

    Returns
    -------
    Airtime

    Examples
    --------
    >>> sent = sequential_airtime(1000, np.array([500.0, 1000.0]), np.array([0.1, 0.2]))
    >>> sent.time_s, round(sent.energy_j, 6)
    (3.0, 0.4)
    """
    times = np.asarray(bits, dtype=np.float64) / rates
    return Airtime(times, powers * times)


def pilot_airtime(symbols: int, bandwidth_hz: float, powers: Real) -> Airtime:
    """Return time and energy of the pilots: each client in turn, ``symbols / W``.

    Parameters
    ----------
    symbols : int
        Pilot symbols of each client.
    bandwidth_hz : float
        Bandwidth W [Hz].
    powers : ndarray, float, shape (K,)
        Transmit powers P_k [W].

    Returns
    -------
    Airtime

    Examples
    --------
    >>> pilot_airtime(8, 1e6, np.array([0.01, 0.01])).time_s
    1.6e-05
    """
    times = np.full(len(powers), symbols / bandwidth_hz)
    return Airtime(times, powers * times)


def downlink_rates(
    channel: Complex,
    power: float,
    noise: float,
    bandwidth_hz: float,
    efficiency: float,
    beamformer: Complex | None = None,
) -> Real:
    """Return the broadcast rates that the clients can decode; the weakest one's counts.

    With a beamformer v = w* / |w| all clients receive ``SNR_k = P_BS |w^H h_k|^2 / (|w|^2
    sigma^2)`` (physical-layer multicasting: Sidiropoulos, Davidson, Luo, IEEE TSP 2006).  Without
    one the base station spreads its power evenly over its antennas by a space-time block code,
    which needs no channel knowledge and has no array gain, ``SNR_k = P_BS |h_k|^2 / (N sigma^2)``
    (Alamouti 1998; Tarokh et al. 1999, rate losses of larger codes not counted).  The channel is
    the uplink's (reciprocity), the clients' noise figure the base station's, and interference at
    the clients is not modelled.  The rate is what these channels carry, whatever the server
    believed when it chose the beamformer.  Clients with several antennas add up the powers that
    these receive (maximum-ratio combining).

    Parameters
    ----------
    channel : ndarray, complex, shape (K, N) or (K, M, N)
        h_k, or H_k^T of clients with M antennas.
    power : float
        P_BS [W].
    noise : float
        Noise power sigma^2 of a client [W].
    bandwidth_hz : float
        Bandwidth W [Hz].
    efficiency : float
        Share of the time-frequency grid that carries data.
    beamformer : ndarray, complex, shape (N,), optional
        w, of any length; by default a space-time block code.

    Returns
    -------
    ndarray, float, shape (K,)
        Rates [bit/s].

    Examples
    --------
    A beamformer for the only client gains a factor of N = 2 over a space-time block code:

    >>> h = np.array([[1.0, 1.0 + 0j]])
    >>> downlink_rates(h, 3.5, 1.0, 1e6, 1.0, beamformer=h[0]).round().tolist()
    [3000000.0]
    >>> downlink_rates(h, 7.0, 1.0, 1e6, 1.0).round().tolist()
    [3000000.0]
    """
    if beamformer is None:
        gains = np.mean(np.abs(channel) ** 2, axis=-1)
    else:
        # no BLAS, whose rounding depends on where arrays lie in memory
        sums = (channel * beamformer.conj()).sum(axis=-1)
        gains = np.abs(sums) ** 2 / np.sum(np.abs(beamformer) ** 2)
    if channel.ndim == 3:
        gains = gains.sum(axis=1)
    return shannon_rate(power * gains / noise, bandwidth_hz, efficiency)
