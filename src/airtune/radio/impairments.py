"""What a client's analog symbols suffer on their way: power limits, amplifier, cuts, delay, phase.

With b_k the transmit scalar of client k and x_k its symbols, the base station receives ``h_k b_k
y_k`` in place of ``h_k b_k x_k``.  The order is that of the hardware: the client keeps its power
limit, the amplifier clips [1]_, the upload breaks off, the symbols arrive late [2]_ and turned.

References
----------
.. [1] H. Ochiai, H. Imai, "Performance analysis of deliberately clipped OFDM signals", IEEE
   Transactions on Communications 50(1), 2002: the soft limiter, and its Bussgang decomposition.
.. [2] Y. Shao, D. Gündüz, S. C. Liew, "Federated edge learning with misaligned over-the-air
   computation", IEEE Transactions on Wireless Communications 21(6), 2022: phases and delays of
   rectangular pulses.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from airtune.kinds import Complex, Integer, Mask, Real
from airtune.radio.scales import Scales
from airtune.radio.transmission import Air
from airtune.radio.units import from_db


@dataclass(frozen=True)
class Impairments:
    """What goes wrong with the uploads of S clients.

    Attributes
    ----------
    limits : ndarray, float, shape (S,)
        Power limits P_k [W].
    phases : ndarray, float, shape (S,)
        Carrier phase errors [rad].
    delays : ndarray, float, shape (S,)
        Timing errors in symbols, in [-1, 1]; positive arrives late.
    sent : ndarray, float, shape (S,)
        Share of the symbols that is sent before the upload breaks off; 1 is all.  The repetitions
        of a symbol follow each other, so of a repeated upload it is the same share.
    report_factors : ndarray, float, shape (S,)
        Reported scales over the true ones.
    clip_db : float or None
        Level of the amplifier's saturation over P_k [dB]; None: it is linear.
    """

    limits: Real
    phases: Real
    delays: Real
    sent: Real
    report_factors: Real
    clip_db: float | None = None

    def of(self, clients: Integer) -> Impairments:
        """Return those of some of the clients (indices into the S)."""
        return replace(
            self,
            limits=self.limits[clients],
            phases=self.phases[clients],
            delays=self.delays[clients],
            sent=self.sent[clients],
            report_factors=self.report_factors[clients],
        )

    @property
    def whole(self) -> Mask:
        """Whose upload does not break off, shape (S,)."""
        return self.sent >= 1.0

    @property
    def saturation(self) -> Real:
        """Largest amplitude that each amplifier gives, shape (S,) [sqrt(W)]."""
        if self.clip_db is None:
            return np.full(len(self.limits), np.inf)
        return np.asarray(np.sqrt(self.limits * from_db(self.clip_db)))

    def reported(self, scales: Scales) -> Scales:
        """Return the reports as the server reads them; the same object if all are right."""
        if (self.report_factors == 1.0).all():
            return scales
        factors = self.report_factors[:, None]
        return replace(scales, means=scales.means * factors, deviations=scales.deviations * factors)

    def restraint(self, powers: Real, symbol_powers: Real) -> Real:
        """Return the factors by which clients lower their symbols to keep their limits, shape (S,).

        A client whose scale was understood too small is given a scalar b_k for weaker symbols than
        it has: it sends with its limit instead, and is received too weak.

        Parameters
        ----------
        powers : ndarray, float, shape (S,)
            ``|b_k|^2`` [W].
        symbol_powers : ndarray, float, shape (S,)
            Mean power of x_k.
        """
        asked = powers * symbol_powers
        over = (self.report_factors < 1.0) & (asked > self.limits)
        return np.where(over, np.sqrt(self.limits / np.where(over, asked, 1.0)), 1.0)


def impair(
    pieces: Iterable[Complex], impairments: Impairments, amplitudes: Real, symbols: int
) -> Iterator[tuple[Complex, Complex]]:
    """Yield what is sent and what arrives in place of x_k, piece by piece of an upload.

    Parameters
    ----------
    pieces : iterable of ndarray, complex, shape (S, n)
        x_k in pieces, one after the other; one piece is held back for the delays.
    impairments : Impairments
    amplitudes : ndarray, float, shape (S,)
        ``|b_k|`` [sqrt(W)].
    symbols : int
        Symbols of the whole upload.

    Yields
    ------
    sent, arriving : ndarray, complex, shape (S, n)
        Symbols over b_k after the amplifier; with delay and phase.
    """
    ends = np.floor(impairments.sent * symbols)[:, None]
    silent = amplitudes == 0
    tops = impairments.saturation / np.where(silent, 1.0, amplitudes)
    turns = np.exp(1j * impairments.phases)[:, None]
    held, start = None, 0
    before = np.zeros((len(amplitudes), 1), dtype=np.complex128)
    for piece in pieces:
        sent = clipped(piece, tops)
        sent = np.where(np.arange(start, start + piece.shape[1]) < ends, sent, 0.0)
        start += piece.shape[1]
        if held is not None:
            yield held, turns * delayed(held, impairments.delays, before, sent[:, :1])
            before = held[:, -1:]
        held = sent
    if held is not None:
        after = np.zeros_like(before)
        yield held, turns * delayed(held, impairments.delays, before, after)


def clipped(symbols: Complex, tops: Real) -> Complex:
    """Return symbols after a soft limiter: the modulus is at most `top`, the phase stays [1]_.

    Parameters
    ----------
    symbols : ndarray, complex, shape (S, n)
    tops : ndarray, float, shape (S,)
        Largest moduli; infinite does not clip.

    Examples
    --------
    >>> clipped(np.array([[1.0 + 0j, 3j, -0.5]]), np.array([2.0])).tolist()
    [[(1+0j), 2j, (-0.5+0j)]]
    """
    moduli = np.abs(symbols)
    over = moduli > tops[:, None]
    lowered = np.where(over, tops[:, None], 1.0) / np.where(over, moduli, 1.0)
    return np.where(over, symbols * lowered, symbols)


def delayed(symbols: Complex, delays: Real, before: Complex, after: Complex) -> Complex:
    """Return the matched filter's samples of rectangular pulses that arrive late [2]_.

    The triangle of two rectangles: ``(1 - |tau|) x[n] + |tau| x[n - 1]`` for a delay tau > 0, and
    ``x[n + 1]`` for an early arrival; the other symbols are not met.

    Parameters
    ----------
    symbols : ndarray, complex, shape (S, n)
    delays : ndarray, float, shape (S,)
        tau in symbols, in [-1, 1].
    before, after : ndarray, complex, shape (S, 1)
        The symbols before and after these.

    Examples
    --------
    >>> none = np.zeros((1, 1), complex)
    >>> delayed(np.array([[1.0 + 0j, 2.0]]), np.array([0.25]), none, none).real.tolist()
    [[0.75, 1.75]]
    """
    if not delays.any():
        return symbols
    late = np.hstack([before, symbols[:, :-1]])
    early = np.hstack([symbols[:, 1:], after])
    tau = np.abs(delays)[:, None]
    others = np.where(delays[:, None] > 0, late, early)
    return np.asarray((1.0 - tau) * symbols + tau * others)


@dataclass(frozen=True)
class Arrival:
    """How symbols arrived, measured on the symbols of an upload.

    Attributes
    ----------
    gains : ndarray, complex, shape (S,)
        ``<x, y> / <x, x>``: what each client's symbols are multiplied with in the mean (the
        Bussgang gain where only the amplifier clips).
    distortion : ndarray, float, shape (S,)
        Power of ``y - gain x`` for each symbol.
    symbol_powers, sent_powers : ndarray, float, shape (S,)
        Mean powers of x_k and of what is sent in its place.
    """

    gains: Complex
    distortion: Real
    symbol_powers: Real
    sent_powers: Real


class Meter:
    """Adds up what :class:`Arrival` needs, piece by piece.

    Parameters
    ----------
    clients : int
        S.
    """

    def __init__(self, clients: int) -> None:
        self._products = np.zeros(clients, dtype=np.complex128)
        self._meant, self._sent, self._arrived = (np.zeros(clients) for _ in range(3))
        self._count = 0

    def add(self, meant: Complex, sent: Complex, arriving: Complex) -> None:
        """Take a piece: x_k, what is sent and what arrives, shape (S, n)."""
        self._products += np.sum(meant.conj() * arriving, axis=1)
        self._meant += np.sum(np.abs(meant) ** 2, axis=1)
        self._sent += np.sum(np.abs(sent) ** 2, axis=1)
        self._arrived += np.sum(np.abs(arriving) ** 2, axis=1)
        self._count += meant.shape[1]

    def arrival(self) -> Arrival:
        """Return what was measured; a client without symbols has gain 1."""
        some, count = self._meant > 0, max(self._count, 1)
        energies = np.where(some, self._meant, 1.0)
        gains = np.where(some, self._products / energies, 1.0)
        distortion = self._arrived - np.abs(self._products) ** 2 / energies
        return Arrival(
            gains=gains,
            distortion=np.maximum(distortion, 0.0) / count,
            symbol_powers=self._meant / count,
            sent_powers=self._sent / count,
        )


def muted(air: Air, antennas: Integer) -> Air:
    """Return the air with antennas that hear nobody: thermal noise alone is left of them.

    Parameters
    ----------
    air : Air
    antennas : ndarray, int
        Their indices.
    """
    channel, interference = air.channel.copy(), air.interference.copy()
    channel[:, antennas] = interference[:, antennas] = 0.0
    return replace(air, channel=channel, interference=interference)


def phase_misalignment(deviation: npt.ArrayLike) -> Real:
    """Return ``E |1 - e^{j phi}|^2 = 2 - 2 exp(-s^2 / 2)`` of Gaussian phases, over nu_k^2.

    Parameters
    ----------
    deviation : array_like, float
        Standard deviation s [rad].

    Examples
    --------
    >>> phase_misalignment([0.0, 0.1, 100.0]).round(4).tolist()
    [0.0, 0.01, 2.0]
    """
    return np.asarray(-2.0 * np.expm1(-(np.asarray(deviation, dtype=np.float64) ** 2) / 2.0))


def clipping_of_gaussian(clip_db: float) -> tuple[float, float]:
    """Return the Bussgang gain and the distortion of clipped complex Gaussian symbols [1]_.

    With gamma the largest modulus over the root of the mean power,
    ``gain = 1 - e^{-gamma^2} + (sqrt(pi) / 2) gamma erfc(gamma)``, the power left is
    ``1 - e^{-gamma^2}``, and the distortion is what of it the gain does not explain.

    Parameters
    ----------
    clip_db : float
        20 log10 gamma.

    Returns
    -------
    gain, distortion : float
        The distortion over the power of the symbols.

    Examples
    --------
    >>> [round(x, 4) for x in clipping_of_gaussian(0.0)]
    [0.7715, 0.0369]
    """
    gamma = 10.0 ** (clip_db / 20.0)
    kept = -math.expm1(-(gamma**2))
    gain = kept + math.sqrt(math.pi) / 2.0 * gamma * math.erfc(gamma)
    return gain, max(kept - gain**2, 0.0)
