"""A wide band in resource blocks: where they lie, and what paths with delays are in each of them.

A path of gain a and excess delay tau has the gain ``a exp(-j 2 pi f tau)`` at frequency f beside
the carrier (D. Tse, P. Viswanath, "Fundamentals of Wireless Communication", section 2.2, 2005).
"""

from __future__ import annotations

import numpy as np

from airtune.errors import InputError
from airtune.kinds import Complex, Real

MOST_TURNS = 1e9
"""Most turns of a phase over the band: of more, rounding leaves no accuracy of 1e-6."""


def block_offsets(bandwidth_hz: float, count: int) -> Real:
    """Return the middle frequencies of equal resource blocks beside the carrier.

    Parameters
    ----------
    bandwidth_hz : float
        W, the whole band, with the carrier in its middle [Hz].
    count : int
        I, resource blocks of W / I each.

    Returns
    -------
    ndarray, float, shape (I,)  [Hz]

    Examples
    --------
    >>> block_offsets(4e6, 4).tolist()
    [-1500000.0, -500000.0, 500000.0, 1500000.0]
    """
    return np.asarray((np.arange(count) - (count - 1) / 2) * (bandwidth_hz / count))


def gains_at(gains: Complex, delays: Real, offset_hz: float) -> Complex:
    """Return the gains of paths at a frequency beside the carrier.

    Parameters
    ----------
    gains : ndarray, complex, any shape
        At the carrier.
    delays : ndarray, float, of the same shape
        Excess delays [s].
    offset_hz : float
        Frequency less that of the carrier [Hz].

    Returns
    -------
    ndarray, complex, of the same shape

    Examples
    --------
    Two paths 1 us apart add up at the carrier and cancel 0.5 MHz beside it:

    >>> two, delays = np.ones(2, complex), np.array([0.0, 1e-6])
    >>> [round(float(abs(gains_at(two, delays, f).sum())), 6) for f in (0.0, 0.25e6, 0.5e6)]
    [2.0, 1.414214, 0.0]
    """
    return np.asarray(gains * np.exp(-2j * np.pi * offset_hz * delays), dtype=np.complex128)


def flat(gains: Complex, delays: Real) -> bool:
    """Return whether paths have no delay, so that all resource blocks are alike.

    Parameters are those of :func:`gains_at`; paths of gain 0 do not count.
    """
    return not np.any(delays[gains != 0])


def check_delays(gains: Complex, delays: Real, bandwidth_hz: float, name: str) -> None:
    """Refuse delays whose phases over the band are lost in rounding.

    Parameters
    ----------
    gains, delays : ndarray
        As in :func:`gains_at`; paths of gain 0 do not count.
    bandwidth_hz : float
        Of the whole band [Hz].
    name : str
        What the delays are called.

    Raises
    ------
    InputError
        A delay is longer than 1e9 over the bandwidth.
    """
    longest, most = float(np.max(delays, where=gains != 0, initial=0.0)), MOST_TURNS / bandwidth_hz
    if not longest <= most:
        raise InputError(
            f"{name}: must be at most {most:g} s in a band of {bandwidth_hz:g} Hz with several "
            f"resource blocks, not {longest:g} s"
        )
