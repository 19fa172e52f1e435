"""All clients at once: MMSE receivers that decode one client after the other.

References
----------
.. [1] D. Tse, P. Viswanath, "Fundamentals of Wireless Communication", chapters 6 and 10, 2005.
.. [2] D. N. C. Tse, S. V. Hanly, "Multiaccess fading channels, part I: polymatroid structure",
   IEEE Transactions on Information Theory 44(7), 1998.
.. [3] R. D. Yates, "A framework for uplink power control in cellular radio systems", IEEE Journal
   on Selected Areas in Communications 13(7), 1995.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import linprog

from airtune.kinds import Integer, Real
from airtune.radio.links import Airtime, filtered_sinr
from airtune.radio.uplink import Known, Uplink

TOGETHER, PER_ANTENNA = 64, 4
"""Clients that are decoded together at most, or so many for each antenna if that is more; the
others send in sets, one after the other.  Finding the orders takes minutes where clients are many
times the antennas; sets end later, most in bad air (:func:`airtune.radio.access.at_once`)."""
_COLUMNS = 500
_ALL_FIRST, _SOME_FIRST = 64, 16
"""Up to how many clients every rotation is a first order; how many rotations are one with more."""
_ROUNDING = 1e-9
_POWER_ROUNDS, _SETTLED = 100, 1e-6


def sdma(uplink: Uplink, bits: Real) -> Airtime:
    """Return the airtime when all send at once and MMSE receivers decode one after the other [1]_.

    A decoded client is subtracted, so who comes later meets less interference.  The decoding order
    changes over the upload: the times lambda of the orders minimise ``sum lambda`` while each
    client gets its bits, a linear program whose columns (orders) are made as they are
    needed.  The dual's best order decodes clients of small price first, which is exact without a
    gap (the region is a polymatroid [2]_); with one the result is a schedule that works.

    Very many clients send in sets of equal size, one after the other (:data:`TOGETHER`).

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
    most = max(TOGETHER, PER_ANTENNA * uplink.channel.shape[-1])
    if len(bits) > most:
        return _in_sets(uplink, bits, most)
    orders, parts, end = _shortest(uplink.expected, bits)
    powers = least_powers(uplink.expected, bits, orders, parts)
    times = np.full(len(bits), end)
    if uplink.known is not None:
        at = replace(uplink, powers=powers)
        times = times * bits / (parts @ np.array([sic_rates(at, order) for order in orders]))
    return Airtime(times, powers * times, simultaneous=True)


def _in_sets(uplink: Uplink, bits: Real, most: int) -> Airtime:
    """Return the airtime of sets of at most so many clients, one after the other."""
    count = -(-len(bits) // most)
    times, joules, ends = np.zeros(len(bits)), np.zeros(len(bits)), []
    for first in range(count):
        some = np.arange(first, len(bits), count)
        sent = sdma(uplink.of(some), bits[some])
        times[some], joules[some] = sent.times_s, sent.energies_j
        ends.append(sent.time_s)
    return Airtime(times, joules, simultaneous=True, set_times_s=tuple(ends))


def _shortest(uplink: Uplink, bits: Real) -> tuple[list[Integer], Real, float]:
    """Return decoding orders, the time of each and the least time of all at full power [s]."""
    count = len(bits)
    scale = float(np.max(bits))

    first = count if count <= _ALL_FIRST else _SOME_FIRST
    shifts = np.arange(first) * count // first
    orders = [np.roll(np.arange(count), shift) for shift in shifts]
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
