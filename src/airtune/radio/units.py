"""Units of the link budget: decibels, watts, thermal noise, wavelength."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from airtune.kinds import Real
from airtune.scenario import Clients, Interferers, Radio

SPEED_OF_LIGHT = 299_792_458.0
"""Speed of light [m/s]."""


def from_db(value_db: npt.ArrayLike) -> Real:
    """Return the power ratio of `value_db` decibels: ``10^(value_db / 10)``.

    Examples
    --------
    >>> from_db([0.0, 10.0, 3.0]).round(3).tolist()
    [1.0, 10.0, 1.995]
    """
    return np.asarray(10.0 ** (np.asarray(value_db, dtype=np.float64) / 10.0))


def to_db(ratio: npt.ArrayLike) -> Real:
    """Return the power ratio `ratio` (> 0) in decibels: ``10 log10(ratio)``.

    Examples
    --------
    >>> to_db([1.0, 10.0, 2.0]).round(3).tolist()
    [0.0, 10.0, 3.01]
    """
    return np.asarray(10.0 * np.log10(np.asarray(ratio, dtype=np.float64)))


def dbm_to_watt(power_dbm: npt.ArrayLike) -> Real:
    """Return the power in W of `power_dbm` (dB over one milliwatt).

    Examples
    --------
    >>> dbm_to_watt([30.0, 20.0]).round(6).tolist()
    [1.0, 0.1]
    """
    return from_db(np.asarray(power_dbm, dtype=np.float64) - 30.0)


def noise_power(psd_dbm_hz: float, bandwidth_hz: float, noise_figure_db: float) -> float:
    """Return the noise power sigma^2 of a receiver.

    ``sigma^2 [dBm] = psd + 10 log10(W) + noise figure``; a psd of -174 dBm/Hz is ``k T`` at 290 K.

    Parameters
    ----------
    psd_dbm_hz : float
        Density of the thermal noise [dBm/Hz].
    bandwidth_hz : float
        Bandwidth W [Hz], > 0.
    noise_figure_db : float
        Noise figure [dB].

    Returns
    -------
    float
        Noise power sigma^2 [W].

    Examples
    --------
    One megahertz at a noise figure of 9 dB, in dBm:

    >>> round(float(to_db(noise_power(-174.0, 1e6, 9.0))) + 30.0, 6)
    -105.0
    """
    return float(dbm_to_watt(psd_dbm_hz + to_db(bandwidth_hz) + noise_figure_db))


def wavelength(carrier_hz: float) -> float:
    """Return the wavelength [m] at `carrier_hz` (> 0) [Hz].

    Examples
    --------
    >>> round(wavelength(3.5e9), 4)
    0.0857
    """
    return SPEED_OF_LIGHT / carrier_hz


def client_powers(clients: Clients) -> Real:
    """Return the power limits P_k of the clients, shape (K,) [W]."""
    return np.broadcast_to(dbm_to_watt(clients.tx_power_dbm), (clients.count,)).copy()


def interferer_powers(interferers: Interferers) -> Real:
    """Return the powers q_j of the interferers, shape (J,) [W]."""
    return np.full(interferers.count, dbm_to_watt(interferers.tx_power_dbm))


def receiver_noise(radio: Radio) -> float:
    """Return the noise power sigma^2 of the scenario's receivers [W]."""
    return noise_power(radio.noise_psd_dbm_hz, radio.bandwidth_hz, radio.noise_figure_db)


@dataclass(frozen=True)
class LinkBudget:
    """Powers of transmitters and receivers.

    Attributes
    ----------
    client_powers : ndarray, float, shape (K,)
        Power limits P_k [W].
    interferer_powers : ndarray, float, shape (J,)
        Transmit powers q_j [W].
    noise : float
        Noise power sigma^2 of a receiver of the base station [W].
    """

    client_powers: Real
    interferer_powers: Real
    noise: float

    @classmethod
    def of(cls, radio: Radio, clients: Clients) -> LinkBudget:
        """Return the link budget of the sections ``radio`` and ``clients`` of a scenario."""
        return cls(
            client_powers(clients), interferer_powers(radio.interferers), receiver_noise(radio)
        )
