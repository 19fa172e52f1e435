"""Multiple access of digital uploads: in turn, side by side in frequency, or all at once.

All three have the same task: bits D_k from each client to N receive antennas, no client above its
power P_k.  All at once with successive decoding reaches the whole capacity region of the uplink, so
no schedule ends earlier (but for the loss that a code's gap adds); who could end before the others
sends with less power instead.

Receivers, access, orders and powers are made from what the server knows.  Where that is not how
the air is, codes adapt: a client sends until its bits are there, at the rate that the true air
carries to the receiver that there is.

References
----------
.. [1] D. Tse, P. Viswanath, "Fundamentals of Wireless Communication", chapters 6 and 10, 2005.
.. [2] D. N. C. Tse, S. V. Hanly, "Multiaccess fading channels, part I: polymatroid structure",
   IEEE Transactions on Information Theory 44(7), 1998.
.. [3] R. D. Yates, "A framework for uplink power control in cellular radio systems", IEEE Journal
   on Selected Areas in Communications 13(7), 1995.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.optimize import brentq, linprog

from airtune.kinds import Complex, Integer, Real
from airtune.radio.links import (
    Airtime,
    filtered_sinr,
    sequential_airtime,
    shannon_rate,
    single_user_sinr,
)
from airtune.radio.transmission import Air

Access = Literal["best", "tdma", "ofdma", "sdma"]

_COLUMNS = 500
_ROUNDING = 1e-9
_POWER_ROUNDS, _SETTLED = 100, 1e-6


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


def upload(uplink: Uplink, bits: Real, access: Access) -> Airtime:
    """Return time and energy of an upload; `best` is the access that should end first.

    Parameters
    ----------
    uplink : Uplink
    bits : ndarray, float, shape (K,)
        Bits of each client.
    access : {'best', 'tdma', 'ofdma', 'sdma'}
        In turn, side by side in frequency, all at once with successive decoding, or the best.

    Returns
    -------
    Airtime

    Examples
    --------
    Two clients, each received by an antenna of its own, need not wait for each other:

    >>> channel, powers = np.eye(2, dtype=complex), np.array([3.0, 3.0])
    >>> uplink = Uplink(channel, np.eye(2, dtype=complex), powers, 1e6, 1.0)
    >>> bits = np.array([2e6, 2e6])
    >>> round(upload(uplink, bits, "tdma").time_s, 6), round(upload(uplink, bits, "best").time_s, 6)
    (2.0, 1.0)
    """
    methods = {"tdma": tdma, "ofdma": ofdma, "sdma": sdma}
    if access != "best":
        return methods[access](uplink, bits)
    if len(bits) == 1:
        return tdma(uplink, bits)
    if uplink.known is not None:
        name = min(methods, key=lambda name: methods[name](uplink.expected, bits).time_s)
        return methods[name](uplink, bits)
    airtimes = [method(uplink, bits) for method in methods.values()]
    return min(airtimes, key=lambda airtime: airtime.time_s)


def tdma(uplink: Uplink, bits: Real) -> Airtime:
    """Return the airtime when each client in turn has the whole band and all antennas.

    Parameters
    ----------
    uplink : Uplink
    bits : ndarray, float, shape (K,)
        Bits of each client.
    """
    return sequential_airtime(bits, uplink.rates(uplink.alone()), uplink.powers)


def ofdma(uplink: Uplink, bits: Real) -> Airtime:
    """Return the airtime when the clients share the band so that all end together.

    On a share beta of the band a client meets the share beta of noise and interference:
    ``rate = beta W eff log2(1 + SINR / (beta gap))``.  The shares add up to 1.  Where the air is
    not as it is known, the shares are those that should end together, and each client ends as it
    does.

    Parameters
    ----------
    uplink : Uplink
    bits : ndarray, float, shape (K,)
        Bits of each client.
    """
    expected = uplink.expected
    sinr = expected.alone()
    alone = bits / expected.rates(sinr)

    def shares(time: float) -> Real:
        low, high = np.zeros(len(bits)), np.ones(len(bits))
        for _ in range(60):
            middle = (low + high) / 2
            enough = expected.rates(sinr / middle, middle) * time >= bits
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        return high

    if len(bits) == 1:
        times = bits / uplink.rates(uplink.alone())
        return Airtime(times, uplink.powers * times, simultaneous=True)
    most, least = float(alone.sum()), float(alone.max())
    # at `least` one client needs the whole band, at `most` the shares of time do as shares of band
    time = brentq(lambda t: float(shares(t).sum()) - 1.0, least, most, xtol=1e-12 * most)
    times = np.full(len(bits), time)
    if uplink.known is not None:
        share = shares(time)
        times = bits / uplink.rates(uplink.alone() / share, share)
    return Airtime(times, uplink.powers * times, simultaneous=True)


def sdma(uplink: Uplink, bits: Real) -> Airtime:
    """Return the airtime when all send at once and MMSE receivers decode one after the other [1]_.

    A decoded client is subtracted, so who comes later meets less interference.  The decoding order
    changes over the upload: the times lambda of the orders minimise ``sum lambda`` while each
    client gets its bits, a linear program whose columns (orders) are made as they are
    needed.  The dual's best order decodes clients of small price first, which is exact without a
    gap (the region is a polymatroid [2]_); with one the result is a schedule that works.

    The time is that at full power; then each client's power is lowered as far as the same orders
    and the same time allow.  Where the air is not as it is known, orders, their shares of the time
    and powers are those that should do, and are repeated until everybody's bits are there; who is
    done stops, without the others' being counted as better heard from then on.

    Parameters
    ----------
    uplink : Uplink
    bits : ndarray, float, shape (K,)
        Bits of each client.
    """
    orders, parts, end = _shortest(uplink.expected, bits)
    powers = least_powers(uplink.expected, bits, orders, parts)
    times = np.full(len(bits), end)
    if uplink.known is not None:
        at = replace(uplink, powers=powers)
        times = times * bits / (parts @ np.array([sic_rates(at, order) for order in orders]))
    return Airtime(times, powers * times, simultaneous=True)


def _shortest(uplink: Uplink, bits: Real) -> tuple[list[Integer], Real, float]:
    """Return decoding orders, the time of each and the least time of all at full power [s]."""
    count = len(bits)
    scale = float(np.max(bits))

    orders = [np.roll(np.arange(count), shift) for shift in range(count)]
    columns = [sic_rates(uplink, order) for order in orders]
    unit = scale / float(np.mean(columns))
    while True:
        rates = np.array(columns).T * unit / scale
        optimum = linprog(np.ones(len(columns)), A_ub=-rates, b_ub=-bits / scale, method="highs-ds")
        prices = -optimum.ineqlin.marginals
        order = np.argsort(prices, kind="stable")
        column = sic_rates(uplink, order)
        if prices @ column * unit / scale <= 1.0 + _ROUNDING or len(columns) >= _COLUMNS:
            break
        orders.append(order)
        columns.append(column)
    used = np.flatnonzero(optimum.x > 0)
    return [orders[i] for i in used], optimum.x[used] * unit, float(optimum.fun) * unit


def least_powers(uplink: Uplink, bits: Real, orders: list[Integer], times: Real) -> Real:
    """Return the least constant powers that deliver the bits in these orders and times, shape (K,).

    In turns each client takes the least power that serves it while the others keep theirs; less
    power of one is less interference for others, so from powers that work the rounds go down to
    the least ones, and may be stopped at any of them [3]_.

    Parameters
    ----------
    uplink : Uplink
        Its powers are the limits, and deliver the bits.
    bits : ndarray, float, shape (K,)
    orders : list of ndarray, int, shape (K,)
        Decoding orders.
    times : ndarray, float
        Time of each order [s].
    """
    powers = uplink.powers
    for _ in range(_POWER_ROUNDS):
        at = replace(uplink, powers=powers)
        sinr = np.array([sic_sinr(at, order) for order in orders])
        low, high = np.zeros(len(powers)), np.ones(len(powers))  # shares of the present powers
        for _ in range(40):
            middle = (low + high) / 2
            enough = times @ uplink.rates(sinr * middle) >= bits
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        powers = powers * high
        if high.min() > 1.0 - _SETTLED:
            break
    return powers


def sic_rates(uplink: Uplink, order: Integer) -> Real:
    """Return the rates of MMSE receivers with successive decoding, shape (K,) [bit/s].

    ``SINR_k = P_k h_k^H (R + sum over later j of P_j h_j h_j^H)^-1 h_k``; without a gap they add up
    to ``W eff log2 det(I + R^-1 sum_k P_k h_k h_k^H)`` in every order.

    Parameters
    ----------
    uplink : Uplink
    order : ndarray, int, shape (K,)
        Clients in the order in which they are decoded.
    """
    return uplink.rates(sic_sinr(uplink, order))


def sic_sinr(uplink: Uplink, order: Integer) -> Real:
    """Return the SINR of MMSE receivers with successive decoding: :func:`sic_rates`.

    Its shape is (K,), or (I, K) with several resource blocks, which decode in the same order.
    Where the air is not as it is known, the filters are those of the known air and the powers
    behind them those of the true one.  Who is decoded is taken off as received: what it has sent is
    known by then, and as good as pilots.
    """
    if uplink.wide:
        return np.array([sic_sinr(one, order) for one in uplink.subbands])
    if uplink.known is not None:
        return _mismatched_sic_sinr(uplink, uplink.known, order)
    inverse = np.linalg.inv(uplink.covariance)
    sinr = np.zeros(len(order))
    for k in order[::-1]:  # the last one decoded meets no other
        filtered = np.sum(inverse * uplink.channel[k], axis=1)
        sinr[k] = uplink.powers[k] * np.sum(uplink.channel[k].conj() * filtered).real
        inverse = inverse - uplink.powers[k] * np.outer(filtered, filtered.conj()) / (1.0 + sinr[k])
    return sinr


def _mismatched_sic_sinr(uplink: Uplink, known: Known, order: Integer) -> Real:
    inverse, met = np.linalg.inv(known.covariance), uplink.covariance
    sinr = np.zeros(len(order))
    for k in order[::-1]:
        h, power = uplink.channel[k], uplink.powers[k]
        filtered = np.sum(inverse * known.channel[k], axis=1)
        sinr[k] = filtered_sinr(filtered[None], h[None], met, power)[0]
        expected = power * np.sum(known.channel[k].conj() * filtered).real
        inverse = inverse - power * np.outer(filtered, filtered.conj()) / (1.0 + expected)
        met = met + power * np.outer(h, h.conj())
    return sinr
