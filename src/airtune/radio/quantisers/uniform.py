"""A uniform grid over the largest entry of each group, without entropy coding.

References
----------
.. [1] D. Alistarh et al., "QSGD: communication-efficient SGD via gradient quantization and
   encoding", NeurIPS 2017.
.. [2] S. P. Karimireddy et al., "Error feedback fixes SignSGD and other gradient compression
   schemes", ICML 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from airtune.kinds import Floating, Real
from airtune.radio.quantisers.base import SCALE_BITS, Quantised, Quantiser, spans

LEAST, MOST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Uniform(Quantiser):
    """2^bits levels an entry, evenly spread over [-M, M], M the largest modulus of the group.

    All digital schemes had this grid before there were others.  With random numbers it rounds
    without bias (:func:`quantise_unbiased`), else to the nearest level with the scale of least
    squares (:func:`quantise_contractive`).
    """

    name: ClassVar[str] = "uniform"
    group_bits: ClassVar[int] = SCALE_BITS

    def quantise(
        self, update: Floating, sizes: npt.ArrayLike, rng: np.random.Generator | None = None
    ) -> Quantised:
        """Quantise an update; with random numbers, without bias."""
        if rng is not None:
            return quantise_unbiased(update, sizes, self.bits, rng)
        return quantise_contractive(update, sizes, self.bits)

    def encode_group(self, group: Real) -> tuple[Real, float]:
        """Return what is decoded of a group, and the bits of its entries."""
        decoded = quantise_contractive(group, [len(group)], self.bits)
        return decoded.values, float(decoded.payload_bits)

    def expected_error(self, sizes: npt.ArrayLike) -> float:
        """Return the distortion for normal entries: :func:`expected_error`."""
        return expected_error(sizes, self.bits)

    def error_of(self, sizes: npt.ArrayLike, feedback: bool) -> float:
        """Return the expected error; that of the first round with feedback, as it always was."""
        return self.expected_error(sizes)


def quantise_unbiased(
    update: Floating, sizes: npt.ArrayLike, bits: int, rng: np.random.Generator
) -> Quantised:
    """Round each entry at random to one of its two neighbours on a uniform grid.

    Each group has 2^bits levels, evenly spread over [-M, M], M its largest modulus, as in QSGD
    [1]_ with the maximum for the norm (finer for the same bits).  The nearer neighbour is the
    likelier, so that the mean of the result is the entry itself.

    Parameters
    ----------
    update : ndarray, float, shape (d,)
        Update of one client.
    sizes : array_like, int, shape (B,)
        Group lengths, sum d.
    bits : int
        Bits an entry, >= 1.
    rng : Generator
        Source of the rounding.

    Returns
    -------
    Quantised
    """
    values = np.zeros(len(update))
    for span in spans(sizes, len(update)):
        group, top = update[span], _range(update[span])
        if top > 0:
            step = 2.0 * top / (2**bits - 1)
            if step < LEAST or 2.0 * top > MOST:  # float32 would make 0 or infinity
                group = group.astype(np.float64)
            steps = (group + top) / step
            level = np.floor(steps + rng.uniform(size=len(steps)))
            values[span] = np.clip(level, 0, 2**bits - 1) * step - top
    return _booked(values, update, sizes, bits)


def quantise_contractive(update: Floating, sizes: npt.ArrayLike, bits: int) -> Quantised:
    """Round each entry to the nearest level, then fit the group's scale by least squares.

    The grid is that of :func:`quantise_unbiased`; the scale sent with the group is the one that
    brings the result q closest to the group x, ``<q, x> / <q, q>``.  The error is then never above
    the group itself, ``|x - q|^2 <= |x|^2``, which error feedback needs to stay bounded [2]_; with
    one bit this is the scaled sign of that paper.

    Parameters
    ----------
    update : ndarray, float, shape (d,)
        Update of one client, its memory added.
    sizes : array_like, int, shape (B,)
        Group lengths, sum d.
    bits : int
        Bits an entry, >= 1.

    Returns
    -------
    Quantised
    """
    values = np.zeros(len(update))
    for span in spans(sizes, len(update)):
        group = update[span].astype(np.float64)
        top = _range(group)
        if top > 0:
            # in units of top: keeps the squares below away from underflow
            level = np.floor((group / top + 1.0) * (2**bits - 1) / 2.0 + 0.5)
            grid = 2.0 * np.clip(level, 0, 2**bits - 1) / (2**bits - 1) - 1.0
            fit = float(grid @ (group / top)) / float(grid @ grid)
            values[span] = float(np.float32(fit * top)) * grid
    return _booked(values, update, sizes, bits)


def expected_error(sizes: npt.ArrayLike, bits: int) -> float:
    """Return the mean squared quantisation error of Gaussian entries over their variance.

    A group of n entries reaches about ``sqrt(2 ln n)`` deviations; a step of the grid over that
    range errs by ``step^2 / 12``.

    Parameters
    ----------
    sizes : array_like, int, shape (B,)
        Group lengths.
    bits : int
        Bits an entry.
    """
    lengths = np.asarray(sizes, dtype=np.float64)
    step = 2 * np.sqrt(2 * np.log(np.maximum(lengths, 2))) / (2**bits - 1)
    return float(lengths @ step**2) / (12 * float(lengths.sum()))


def _booked(values: Real, update: Floating, sizes: npt.ArrayLike, bits: int) -> Quantised:
    """Return what is decoded with its bits; a group of zeros costs its scale only."""
    groups = spans(sizes, len(update))
    entries = sum(len(update[span]) for span in groups if update[span].any())
    return Quantised(values, entries * bits, len(groups) * SCALE_BITS, entries)


def _range(group: Floating) -> float:
    """Return the largest modulus of a group, rounded up to a float32 that can be sent."""
    top = float(np.abs(group).max())
    sent = np.float32(top)
    return float(sent) if sent >= top else float(np.nextafter(sent, np.float32(np.inf)))
