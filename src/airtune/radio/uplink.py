"""The uplink of digital messages: channel, covariance and powers, and the rates that they carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from airtune.kinds import Complex, Integer, Real
from airtune.radio.links import filtered_sinr, shannon_rate, single_user_sinr
from airtune.radio.transmission import Air


@dataclass(frozen=True)
class Known:
    """The air as the server believes it to be.

    Attributes
    ----------
    channel : ndarray, complex, shape (K, N) or (I, K, N)
        h_k, as in :class:`Uplink`.
    covariance : ndarray, complex, shape (N, N) or (I, N, N)
        R over the whole band [W].
    """

    channel: Complex
    covariance: Complex


@dataclass(frozen=True)
class Uplink:
    """The uplink of some clients.

    In a wide band every message is spread evenly over the I resource blocks, with 1/I of the power
    on each: its rate is the mean of the rates that the blocks would carry over the whole band.

    Attributes
    ----------
    channel : ndarray, complex, shape (K, N) or (I, K, N)
        h_k, of each of I resource blocks where there are several.
    covariance : ndarray, complex, shape (N, N) or (I, N, N)
        R over the whole band, as if all of it were like the block [W].
    powers : ndarray, float, shape (K,)
        P_k [W].
    bandwidth_hz, efficiency, gap_db : float
        Band W [Hz], its share that carries data, gap of the code to the Shannon limit [dB].
    clipping : tuple of two floats
        Gain of the clients' amplifiers and the power of their distortion over that of the symbols
        (:func:`airtune.radio.impairments.clipping_of_gaussian`); (1, 0) is linear.
    known : Known or None
        What receivers and schedules are made from; None: the air as it is.
    """

    channel: Complex
    covariance: Complex
    powers: Real
    bandwidth_hz: float
    efficiency: float
    gap_db: float = 0.0
    clipping: tuple[float, float] = (1.0, 0.0)
    known: Known | None = None

    @classmethod
    def over(
        cls,
        true: Sequence[Air],
        believed: Sequence[Air],
        powers: Real,
        band: tuple[float, float],
        gap_db: float = 0.0,
    ) -> Uplink:
        """Return the uplink over the air of each resource block.

        Parameters
        ----------
        true, believed : sequence of Air
            One a block: as the air is, and as the server believes it to be.
        powers : ndarray, float, shape (K,)
            P_k [W].
        band : tuple of two floats
            Bandwidth W [Hz], and its share that carries data.
        """
        channel, covariance = _stacked(true)
        believed_channel, believed_covariance = _stacked(believed)
        right = np.array_equal(believed_channel, channel)
        right = right and np.array_equal(believed_covariance, covariance)
        known = None if right else Known(believed_channel, believed_covariance)
        return cls(channel, covariance, powers, *band, gap_db, known=known)

    @property
    def subbands(self) -> tuple[Uplink, ...]:
        """The uplink as each of several resource blocks by itself would have it."""
        known = self.known
        return tuple(
            replace(
                self,
                channel=self.channel[i],
                covariance=self.covariance[i],
                known=None if known is None else Known(known.channel[i], known.covariance[i]),
            )
            for i in range(len(self.channel))
        )

    def of(self, clients: Integer) -> Uplink:
        """Return the uplink of some of the clients."""
        known = self.known
        if known is not None:
            known = replace(known, channel=known.channel[..., clients, :])
        return replace(
            self,
            channel=self.channel[..., clients, :],
            powers=self.powers[clients],
            known=known,
        )

    @property
    def wide(self) -> bool:
        """Whether the band has several resource blocks."""
        return self.channel.ndim == 3

    @property
    def expected(self) -> Uplink:
        """The uplink that the server expects."""
        if self.known is None:
            return self
        channel, covariance = self.known.channel, self.known.covariance
        return replace(self, channel=channel, covariance=covariance, known=None)

    def alone(self) -> Real:
        """Return the SINR of each client alone on the air, shape (K,) or (I, K)."""
        if self.wide:
            return np.array([one.alone() for one in self.subbands])
        if self.known is None:
            return single_user_sinr(self.channel, self.covariance, self.powers)
        solved = np.linalg.solve(self.known.covariance, self.known.channel.T)
        filters: Complex = solved.T.astype(np.complex128)
        return filtered_sinr(filters, self.channel, self.covariance, self.powers)

    def rates(self, sinr: Real, share: Real | float = 1.0) -> Real:
        """Return the rates on a share of the band, the SINR being that on this share [bit/s].

        `sinr` has shape (..., K), or (..., I, K) with the resource blocks that are averaged over.

        A client's distortion comes from its own direction and is no signal: an SINR s becomes
        ``gain^2 s / (1 + distortion s)``.
        """
        gain, distortion = self.clipping
        if self.clipping != (1.0, 0.0):
            sinr = gain**2 * sinr / (1.0 + distortion * sinr)
        rates = shannon_rate(sinr, self.bandwidth_hz, self.efficiency, self.gap_db)
        return share * (rates.mean(axis=-2) if self.wide else rates)


def _stacked(airs: Sequence[Air]) -> tuple[Complex, Complex]:
    """Return channel and covariance of one block, or of several with an axis for them."""
    if len(airs) == 1:
        return airs[0].channel, airs[0].covariance
    return np.array([air.channel for air in airs]), np.array([air.covariance for air in airs])
