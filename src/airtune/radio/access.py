"""Multiple access of digital uploads: in turn, side by side in frequency, or all at once.

All three have the same task: bits D_k from each client to N receive antennas, no client above its
power P_k.  All at once with successive decoding reaches the whole capacity region of the uplink, so
no schedule ends earlier (but for the loss that a code's gap adds, and with very many clients, of
whom only some are decoded together); who could end before the others
sends with less power instead.

Receivers, access, orders and powers are made from what the server knows.  Where that is not how
the air is, codes adapt: a client sends until its bits are there, at the rate that the true air
carries to the receiver that there is.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.optimize import brentq

from airtune.kinds import Real
from airtune.radio.links import Airtime, sequential_airtime
from airtune.radio.successive import sdma
from airtune.radio.uplink import Uplink

Access = Literal["best", "tdma", "ofdma", "sdma"]


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
    methods = {"tdma": tdma, "ofdma": ofdma, "sdma": at_once}
    if access != "best":
        return methods[access](uplink, bits)
    if len(bits) == 1:
        return tdma(uplink, bits)
    if uplink.known is not None:
        name = min(methods, key=lambda name: methods[name](uplink.expected, bits).time_s)
        return methods[name](uplink, bits)
    airtimes = [method(uplink, bits) for method in methods.values()]
    return min(airtimes, key=lambda airtime: airtime.time_s)


def at_once(uplink: Uplink, bits: Real) -> Airtime:
    """Return the airtime of :func:`airtune.radio.successive.sdma`.

    Where there are so many clients that they would send in sets, it is that of :func:`ofdma` if
    they should end earlier so: in bad air sets take two or three times as long.

    Parameters
    ----------
    uplink : Uplink
    bits : ndarray, float, shape (K,)
        Bits of each client.
    """
    expected = uplink.expected
    sets = sdma(expected, bits)
    if sets.set_times_s and ofdma(expected, bits).time_s < sets.time_s:
        return ofdma(uplink, bits)
    return sets if uplink.known is None else sdma(uplink, bits)


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
    above = {time: float(shares(time).sum()) - 1.0 for time in (least, most)}

    def too_much(time: float) -> float:
        return above[time] if time in above else float(shares(time).sum()) - 1.0

    # Far below the noise a narrow band is as good as a wide one, to the last digits of a rate: who
    # is the slowest alone then leaves room for all others.
    time = least if above[least] <= 0 else most
    if above[least] > 0 > above[most]:
        time = brentq(too_much, least, most, xtol=1e-12 * most)
    times = np.full(len(bits), time)
    if uplink.known is not None:
        share = shares(time)
        times = bits / uplink.rates(uplink.alone() / share, share)
    return Airtime(times, uplink.powers * times, simultaneous=True)
