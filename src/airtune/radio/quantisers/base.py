"""The contract of a quantiser: how an update becomes bits, and what the server reads of them.

The entries of each adapter matrix form a *scale group*: they share one scale.

References
----------
.. [1] F. Seide et al., "1-bit stochastic gradient descent and its application to data-parallel
   distributed training of speech DNNs", Interspeech 2014.
.. [2] S. P. Karimireddy et al., "Error feedback fixes SignSGD and other gradient compression
   schemes", ICML 2019.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from airtune.kinds import Floating, Integer, Real

SCALE_BITS = 32
"""Bits of a scale (one float32)."""

BATCH = 12_000
"""Entries of groups that are coded together; a longer group is coded alone.  Arrays of so many fit
a processor's cache, and the C library does not ask the system for each of them anew."""


@dataclass(frozen=True)
class Quantised:
    """What the server reads from one quantised update.

    Attributes
    ----------
    values : ndarray, float, shape (d,)
        Update as decoded.
    payload_bits : int
        Bits of the entries, of all groups that are not 0.
    header_bits : int
        Bits that go with each group, 0 or not, of all groups together.
    entries : int
        Entries of the groups that are not 0.
    """

    values: Real
    payload_bits: int
    header_bits: int
    entries: int

    @property
    def bits(self) -> int:
        """The whole length."""
        return self.payload_bits + self.header_bits


@dataclass(frozen=True)
class Quantiser(ABC):
    """Turns the groups of an update into bits.

    A quantiser holds its parameters and no state.  Its error is never above the update itself,
    ``|x - Q(x)|^2 <= |x|^2``, which error feedback needs to stay bounded [2]_.

    Attributes
    ----------
    bits : int
        Bits an entry; each quantiser says what is counted.
    name : str
        Of the class: as `digital.quantizer` names it.
    group_bits : int
        Of the class: bits of the header of a group.
    """

    bits: int
    name: ClassVar[str]
    group_bits: ClassVar[int]

    def quantise(
        self, update: Floating, sizes: npt.ArrayLike, rng: np.random.Generator | None = None
    ) -> Quantised:
        """Quantise an update.

        Parameters
        ----------
        update : ndarray, float, shape (d,)
            Finite entries.
        sizes : array_like, int, shape (B,)
            Group lengths, sum d.
        rng : Generator, optional
            Where the quantiser can round at random without bias, it does so with these numbers.

        Returns
        -------
        Quantised

        Raises
        ------
        ValueError
            The groups do not add up to the update.
        """
        values, payload, entries = np.zeros(len(update)), 0.0, 0
        groups = spans(sizes, len(update))
        for batch, tops in _batches(groups, update):
            x = np.concatenate([update[span] for span in batch], dtype=np.float64)
            lengths = np.array([span.stop - span.start for span in batch])
            # in units of the largest modulus: squares stay away from underflow and overflow
            decoded, bits = self.encode_groups(x / np.repeat(tops, lengths), lengths)
            decoded *= np.repeat(_sent_scales(_largest(decoded, starts_of(lengths)), tops), lengths)
            for span, part, length in zip(batch, spans_of(lengths), bits, strict=True):
                values[span] = decoded[part]
                payload += length
            entries += len(x)
        return Quantised(values, self.whole(payload), self.group_bits * len(groups), entries)

    def encode_groups(self, entries: Real, lengths: Integer) -> tuple[Real, list[float]]:
        """Return what is decoded of some groups, end to end, and the bits of each one's entries.

        Parameters
        ----------
        entries : ndarray, float, shape (n,)
            Of the groups one after the other, each as :meth:`encode_group` takes it.
        lengths : ndarray, int, shape (G,)
            Sum n.
        """
        found = [self.encode_group(entries[span]) for span in spans_of(lengths)]
        decoded, bits = zip(*found, strict=True)
        return np.concatenate(decoded), list(bits)

    @abstractmethod
    def encode_group(self, group: Real) -> tuple[Real, float]:
        """Return what is decoded of a group, and the bits of its entries.

        Parameters
        ----------
        group : ndarray, float, shape (d_b,)
            Not 0, largest modulus 1.

        Returns
        -------
        decoded : ndarray, float, shape (d_b,)
            With the scale of least squares (:func:`fitted`).
        bits : float
        """

    @abstractmethod
    def expected_error(self, sizes: npt.ArrayLike) -> float:
        """Return the mean squared error without feedback, over the mean square of the entries.

        Parameters
        ----------
        sizes : array_like, int, shape (B,)
            Group lengths.
        """

    def error_of(self, sizes: npt.ArrayLike, feedback: bool) -> float:
        """Return the expected error of what the server reads of an update, over its mean square.

        With feedback the memory m of an update d grows until ``E|m|^2 = D / (1 - D) E|d|^2``, D the
        error of a quantiser whose values are means of their cells, for updates without correlation
        in time; then ``E|d - Q(d + m)|^2 = 2 D E|d|^2``.  Over many rounds it cancels out.

        Parameters
        ----------
        sizes : array_like, int, shape (B,)
        feedback : bool
        """
        return self.expected_error(sizes) * (2.0 if feedback else 1.0)

    def expected_bits(self, sizes: npt.ArrayLike) -> float:
        """Return the expected bits of the entries of these groups, without headers.

        Parameters
        ----------
        sizes : array_like, int, shape (B,)
            Group lengths.
        """
        return float(self.bits * int(np.sum(sizes)))

    def whole(self, bits: float) -> int:
        """Return the length of the entries' bits as they are sent."""
        return int(np.ceil(bits))


def encode(
    quantiser: Quantiser,
    update: Floating,
    memory: Real | None,
    sizes: npt.ArrayLike,
    *,
    feedback: bool = True,
    rng: np.random.Generator | None = None,
) -> tuple[Quantised, Real | None]:
    """Quantise one client's update, with error feedback or without.

    With error feedback [1]_ [2]_ the client adds what earlier rounds lost and remembers what this
    one loses: ``x = d_k + e``, ``e' = x - Q(x)``.

    Parameters
    ----------
    quantiser : Quantiser
    update : ndarray, float, shape (d,)
        Update d_k.
    memory : ndarray, float, shape (d,), or None
        Memory e of the client; None before its first upload.
    sizes : array_like, int, shape (B,)
        Group lengths, sum d.
    feedback : bool
    rng : Generator, optional
        Without feedback: source of an unbiased rounding, where the quantiser has one.

    Returns
    -------
    quantised : Quantised
        What the server reads.
    memory : ndarray, float, shape (d,), or None
        Memory for the client's next upload; None without error feedback.

    Examples
    --------
    One bit an entry with error feedback; what the first upload loses is added to the second:

    >>> from airtune.radio.quantisers import Uniform
    >>> update, one_bit = np.array([0.5, -1.0, 0.2, 0.0]), Uniform(1)
    >>> sent, memory = encode(one_bit, update, None, sizes=[2, 2])
    >>> sent.values.round(6).tolist(), sent.bits
    ([0.75, -0.75, 0.1, 0.1], 68)
    >>> memory.round(6).tolist()
    [-0.25, -0.25, 0.1, -0.1]
    >>> sent, memory = encode(one_bit, update, memory, sizes=[2, 2])
    >>> sent.values.round(6).tolist()
    [0.75, -0.75, 0.2, -0.2]
    """
    if not feedback:
        return quantiser.quantise(update, sizes, rng), None
    corrected = update.astype(np.float64)
    if memory is not None:
        corrected = corrected + memory
    quantised = quantiser.quantise(corrected, sizes)
    return quantised, corrected - quantised.values


def spans(sizes: npt.ArrayLike, length: int) -> list[slice]:
    """Return the slice of each group.

    Raises
    ------
    ValueError
        The groups do not add up to the length.
    """
    ends = np.cumsum(np.asarray(sizes, dtype=np.int64))
    if ends[-1] != length:
        raise ValueError(f"groups of {ends[-1]} entries for an update of {length}")
    return [slice(int(a), int(b)) for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def fitted(levels: Real, group: Real) -> float:
    """Return the scale that brings levels closest to a group, ``<q, x> / <q, q>``; 0 for q = 0."""
    energy = float(levels @ levels)
    return float(levels @ group) / energy if energy > 0 else 0.0


def starts_of(lengths: Integer) -> Integer:
    """Return where each of some groups begins that stand end to end."""
    return np.cumsum(lengths) - lengths


def spans_of(lengths: Integer) -> list[slice]:
    """Return the slices of some groups that stand end to end."""
    ends = np.cumsum(lengths).tolist()
    return [slice(a, b) for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def _batches(groups: list[slice], update: Floating) -> Iterator[tuple[list[slice], Real]]:
    """Yield groups that are not 0, as many together as are coded at once, and their tops.

    What is done to each entry of a short group takes less time than the calls that ask for it.
    """
    groups = [span for span in groups if span.stop > span.start]
    if not groups:
        return
    tops = _largest(update, np.array([span.start for span in groups])).astype(np.float64)
    batch, count = list[int](), 0
    for index in np.flatnonzero(tops > 0).tolist():
        length = groups[index].stop - groups[index].start
        if batch and count + length > BATCH:
            yield [groups[i] for i in batch], tops[batch]
            batch, count = [], 0
        batch.append(index)
        count += length
    if batch:
        yield [groups[i] for i in batch], tops[batch]


def _largest(entries: Floating, starts: Integer) -> Floating:
    """Return the largest modulus from each start to the next, without an array of moduli."""
    return np.maximum(np.maximum.reduceat(entries, starts), -np.minimum.reduceat(entries, starts))


def _sent_scales(scales: Floating, tops: Real) -> Real:
    """Return the factors that bring decoded groups to units of `tops`.

    Parameters
    ----------
    scales : ndarray, float, shape (G,)
        Largest decoded moduli.  What is sent is each one in units of its top, as a float32.
    tops : ndarray, float, shape (G,)
    """
    most = float(np.finfo(np.float32).max)
    sent = np.minimum(scales * tops, most).astype(np.float32).astype(np.float64)
    return np.divide(sent, scales, out=np.ones(len(scales)), where=scales > 0)
