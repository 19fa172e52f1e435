"""What the antennas meet, and uniform forcing (system model, sections 4 and 5)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from airtune.kinds import Complex, Real
from airtune.radio.array import channel as channel_at
from airtune.radio.array import covariance
from airtune.radio.channels.base import Transmitters
from airtune.radio.units import LinkBudget


@dataclass(frozen=True)
class Air:
    """The true air at the antennas' places.

    Attributes
    ----------
    channel : ndarray, complex, shape (K, N)
        h_k of the clients that transmit.
    interference : ndarray, complex, shape (J, N)
        v_j of the interferers; J may be 0.
    interference_powers : ndarray, float, shape (J,)
        q_j [W].
    noise : float
        sigma^2 [W]; 0 for noiseless air.
    """

    channel: Complex
    interference: Complex
    interference_powers: Real
    noise: float

    def of(self, clients: npt.ArrayLike) -> Air:
        """Return the same air for a selection of the clients (indices)."""
        return replace(self, channel=self.channel[np.asarray(clients, dtype=np.int64)])

    def heard_by(self, antennas: slice) -> Air:
        """Return the same air at some of the antennas."""
        return replace(
            self, channel=self.channel[:, antennas], interference=self.interference[:, antennas]
        )

    @property
    def covariance(self) -> Complex:
        """Noise-plus-interference covariance R, shape (N, N) [W]."""
        return covariance(self.interference, self.interference_powers, self.noise)


@dataclass(frozen=True)
class Transmission:
    """Receive beamformer and transmit scalars.

    Attributes
    ----------
    beamformer : ndarray, complex, shape (N,)
        w, back-off included.
    scalars : ndarray, complex, shape (K,)
        b_k [sqrt(W)]; 0 for a silent client.
    """

    beamformer: Complex
    scalars: Complex

    @property
    def powers(self) -> Real:
        """Average transmit powers ``|b_k|^2``, shape (K,) [W]."""
        return np.abs(self.scalars) ** 2


def air_at(transmitters: Transmitters, positions: Real, budget: LinkBudget) -> Air:
    """Return the air that antennas at `positions` meet in a round.

    Parameters
    ----------
    transmitters : Transmitters
        Paths of the round: the true ones, or those that the server perceives.
    positions : ndarray, float, shape (N, 2)
        Antenna positions [wavelengths].
    budget : LinkBudget
        Noise and powers of the interferers.

    Returns
    -------
    Air

    Examples
    --------
    One client and one interferer, both from the right; two antennas half a wavelength apart:

    >>> from airtune.radio.channels.base import Paths
    >>> paths = Paths(np.array([[2.0 + 0j]]), np.array([[[1.0, 0.0]]]), np.zeros((1, 1)))
    >>> budget = LinkBudget(np.array([0.1]), np.array([0.25]), noise=0.5)
    >>> positions = np.array([[0.0, 0.0], [0.5, 0.0]])
    >>> air = air_at(Transmitters(clients=paths, interferers=paths), positions, budget)
    >>> air.channel.real.round(6).tolist(), air.covariance.real.round(6).tolist()
    ([[2.0, -2.0]], [[1.5, -1.0], [-1.0, 1.5]])
    """
    return Air(
        channel=channel_at(transmitters.clients, positions),
        interference=channel_at(transmitters.interferers, positions),
        interference_powers=budget.interferer_powers,
        noise=budget.noise,
    )


def uniform_forcing(
    channel: Complex,
    beamformer: Complex,
    effective_weights: Real,
    powers: Real,
    backoff: float = 1.0,
) -> Transmission:
    """Align all clients, ``b_k = nu_k / (w^H h_k)``, with the strongest use of the power limits.

    w is scaled (its direction stays) so that the weakest client just meets its limit,
    ``min_k P_k |w^H h_k|^2 / nu_k^2 = 1 / rho`` (system model, section 5): then ``|b_k|^2 <= rho
    P_k`` for all, and the MSE is 1/rho of the one at full power.

    Parameters
    ----------
    channel : ndarray, complex, shape (K, N)
        h_k as known to the server.
    beamformer : ndarray, complex, shape (N,)
        Direction of w.
    effective_weights : ndarray, float, shape (K,)
        nu_k; clients with 0 stay silent.
    powers : ndarray, float, shape (K,)
        Power limits P_k [W].
    backoff : float
        rho in (0, 1].

    Returns
    -------
    Transmission

    Raises
    ------
    ValueError
        If rho is outside (0, 1], or w is blind to a client that has to transmit.

    Examples
    --------
    The second client is received at half the amplitude: it sends at its limit, the other below:

    >>> channel, nu = np.array([[1.0 + 0j], [0.5j]]), np.array([0.5, 0.5])
    >>> sent = uniform_forcing(channel, np.ones(1, complex), nu, powers=np.array([0.1, 0.1]))
    >>> sent.powers.round(6).tolist()
    [0.025, 0.1]
    >>> (channel @ sent.beamformer.conj() * sent.scalars).real.round(6).tolist()  # nu again
    [0.5, 0.5]
    """
    if not 0.0 < backoff <= 1.0:
        raise ValueError(f"power back-off must be in (0, 1], got {backoff}")
    received = channel @ beamformer.conj()  # w^H h_k
    active = effective_weights > 0
    scalars = np.zeros(len(channel), dtype=np.complex128)
    if not active.any():
        return Transmission(beamformer, scalars)
    gains = np.sqrt(powers[active]) * np.abs(received[active]) / effective_weights[active]
    if not gains.min() > 0:
        raise ValueError("the beamformer does not hear every client: no alignment is possible")
    scale = 1.0 / (np.sqrt(backoff) * gains.min())
    scalars[active] = effective_weights[active] / (scale * received[active])
    return Transmission(scale * beamformer, scalars)
