"""A uniform grid whose indices are entropy-coded.

References
----------
.. [1] G. J. Sullivan, "Efficient scalar quantization of exponential and Laplacian random
   variables", IEEE Transactions on Information Theory 42(5), 1996.
.. [2] R. Bamler, "Understanding entropy coding with asymmetric numeral systems (ANS): a
   statistician's perspective", arXiv 2201.01741, 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from airtune.kinds import Integer, Real
from airtune.radio.quantisers.base import SCALE_BITS, Quantiser, fitted, spans_of, starts_of
from airtune.radio.quantisers.densities import DENSITIES, LAPLACE, Density

PRECISION = 24
"""Bits of the probabilities that the coder works with; none is below 2^-24."""

RANGE_BITS = 24
"""Bits that tell the largest index of a group."""

WORD_BITS = 32
"""The coder ends with a whole word, and may have to write one more."""

_TABLE = 1 << 16
_KEPT = 1 << 12
_FINE = 0.01
_RATE = float(np.sqrt(2.0))


@dataclass(frozen=True)
class Entropy(Quantiser):
    """A uniform grid with entropy coding, `bits` an entry on average where entries are Laplace.

    The group is brought to unit mean square and rounded to multiples of a step that depends on
    `bits` alone.  A range coder writes the indices with the probabilities that a normal or a
    Laplace density of unit variance gives them, whichever makes the message shorter (one bit tells
    which): decoder and encoder know them without a table.  What an index stands for is the mean of
    its cell under that density [1]_, times the scale of least squares.  The bits booked are the
    code length under these probabilities, as a coder of 24-bit precision has them [2]_, and a word
    at the end.

    Examples
    --------
    >>> update = np.random.default_rng(1).laplace(size=10_000) / np.sqrt(2)
    >>> sent = Entropy(2).quantise(update, [10_000])
    >>> round(sent.bits / 10_000, 2), round(float(np.mean((sent.values - update) ** 2)), 3)
    (2.02, 0.073)
    """

    name: ClassVar[str] = "entropy"
    group_bits: ClassVar[int] = SCALE_BITS + RANGE_BITS + 1

    @property
    def step(self) -> float:
        """Step of the grid, over the root of the mean square."""
        return step_of(self.bits)

    def encode_group(self, group: Real) -> tuple[Real, float]:
        """Return what is decoded of a group, and the bits of its entries."""
        decoded, bits = self.encode_groups(group, np.array([len(group)]))
        return decoded, bits[0]

    def encode_groups(self, entries: Real, lengths: Integer) -> tuple[Real, list[float]]:
        """Return what is decoded of some groups, end to end, and the bits of each one's entries."""
        places, spans = np.abs(self._indices(entries, lengths)), spans_of(lengths)
        tops, moduli = np.maximum.reduceat(places, starts_of(lengths)), list[Integer]()
        for span, top in zip(spans, tops.tolist(), strict=True):
            each = np.arange(top + 1) if top < min(_TABLE, 4 * (span.stop - span.start)) else None
            if each is None:  # few of so many occur
                each, places[span] = np.unique(places[span], return_inverse=True)
            moduli.append(each)
        widths = np.array([len(each) for each in moduli])
        firsts = starts_of(widths)
        places += np.repeat(firsts, lengths)
        counts = np.bincount(places, minlength=int(widths.sum())).astype(np.float64)
        bits, means = list[float](), list[Real]()
        for each, first in zip(moduli, firsts.tolist(), strict=True):
            seen = counts[first : first + len(each)]
            codes = [float(seen @ self._lengths(density, each)) for density in DENSITIES]
            bits.append(min(codes))
            means.append(self._cells(DENSITIES[codes.index(bits[-1])], each)[1])
        levels = np.copysign(np.concatenate(means)[places], entries)
        fits = [fitted(levels[span], entries[span]) for span in spans]
        return levels * np.repeat(fits, lengths), bits

    def indices(self, group: Real) -> Integer:
        """Return the index of the cell of each entry, shape (d_b,)."""
        return self._indices(group, np.array([len(group)]))

    def _indices(self, entries: Real, lengths: Integer) -> Integer:
        """Return :meth:`indices` of some groups, end to end."""
        squares = np.square(entries)
        means = np.array([np.add.reduce(squares[span]) for span in spans_of(lengths)]) / lengths
        unit = entries / np.repeat(np.sqrt(means), lengths)
        return np.asarray(np.rint(unit / self.step), dtype=np.int64)

    def code_lengths(self, density: Density, sizes: Integer, largest: int) -> Real:
        """Return the length of the code of indices of these moduli [bit].

        ``-log2(2^-24 + (1 - n 2^-24) p)`` with p the probability of the cell and n the number of
        indices that can occur.

        Parameters
        ----------
        density : Density
        sizes : ndarray, int
            Moduli of indices.
        largest : int
            The largest modulus of the group.
        """
        floor = 2.0**-PRECISION
        spread = min((2 * largest + 1) * floor, 0.5)
        return np.asarray(-np.log2(floor + (1.0 - spread) * self._cells(density, sizes)[0]))

    def _lengths(self, density: Density, moduli: Integer) -> Real:
        """Return :meth:`code_lengths` of the moduli of a group; short ones are kept."""
        largest = int(moduli[-1])
        if largest < _KEPT and len(moduli) == largest + 1:
            return _kept_lengths(density, self.bits, largest)
        return self.code_lengths(density, moduli, largest)

    def expected_error(self, sizes: npt.ArrayLike) -> float:
        """Return the distortion for Laplace entries."""
        return _distortion(self.bits)

    def whole(self, bits: float) -> int:
        """Return the bits of the entries with the word at the end of the coder."""
        return int(np.ceil(bits)) + (WORD_BITS if bits > 0 else 0)

    def expected_bits(self, sizes: npt.ArrayLike) -> float:
        """Return the expected bits of the entries of these groups."""
        return super().expected_bits(sizes) + WORD_BITS

    def _cells(self, density: Density, sizes: Integer) -> tuple[Real, Real]:
        """Return probabilities of indices of these ascending moduli, and what they stand for."""
        if len(sizes) != int(sizes[-1]) + 1:
            return _cells(density, self.bits, sizes)
        table = _table(density, self.bits, 1 << len(sizes).bit_length())
        return table[0][: len(sizes)], table[1][: len(sizes)]


@lru_cache(maxsize=1024)
def _kept_lengths(density: Density, bits: int, largest: int) -> Real:
    """Return the lengths of the codes of all moduli up to the largest."""
    lengths = Entropy(bits).code_lengths(density, np.arange(largest + 1), largest)
    lengths.flags.writeable = False
    return lengths


@lru_cache(maxsize=256)
def _table(density: Density, bits: int, count: int) -> tuple[Real, Real]:
    """Return :func:`_cells` of the moduli 0 to count - 1."""
    return _cells(density, bits, np.arange(count))


def _cells(density: Density, bits: int, sizes: Integer) -> tuple[Real, Real]:
    """Return probabilities of indices of these moduli, and the means of their cells."""
    step = step_of(bits)
    middles = step * sizes.astype(np.float64)
    low, high = middles - step / 2, middles + step / 2
    log2 = density.log2_mass(np.maximum(low, 0.0), high) + (sizes == 0)
    return np.exp2(log2), np.where(sizes == 0, 0.0, density.mean(low, high))


@lru_cache(maxsize=64)
def step_of(bits: int) -> float:
    """Return the step of a uniform grid on which Laplace entries of variance 1 have this entropy.

    The modulus of an index is 0 or geometrically distributed: with ``q = exp(-sqrt(2) step)`` and
    ``p = 1 - sqrt(q)`` the entropy is ``h(p) + (1 - p) (1 + h(q) / (1 - q))``, h that of a coin.
    """

    def excess(log_step: float) -> float:
        ratio = np.exp(-_RATE * np.exp(log_step))
        zero = 1.0 - np.sqrt(ratio)
        return float(_coin(zero) + (1 - zero) * (1 + _coin(ratio) / (1 - ratio)) - bits)

    return float(np.exp(brentq(excess, np.log(1e-7), np.log(20.0), xtol=1e-13)))


def _coin(p: float) -> float:
    """Return the entropy of a coin [bit]."""
    return float(-p * np.log2(p) - (1 - p) * np.log1p(-p) / np.log(2.0))


@lru_cache(maxsize=64)
def _distortion(bits: int) -> float:
    """Return the mean squared error for Laplace entries of variance 1."""
    step = step_of(bits)
    if step < _FINE:
        return step**2 / 12
    ends = step * (np.arange(int(40.0 / (_RATE * step)) + 2, dtype=np.float64) + 0.5)
    a, b = ends[:-1], ends[1:]
    return float(1.0 - 2.0 * (LAPLACE.mass(a, b) @ LAPLACE.mean(a, b) ** 2))
