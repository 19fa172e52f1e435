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
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from airtune.kinds import Floating, Real

SCALE_BITS = 32
"""Bits of a scale (one float32)."""


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
        for span in groups:
            group = np.asarray(update[span], dtype=np.float64)
            top = largest(group)
            if top > 0:
                # in units of the largest modulus: squares stay away from underflow and overflow
                decoded, bits = self.encode_group(group / top)
                values[span] = rescaled(decoded, top)
                payload, entries = payload + bits, entries + len(group)
        return Quantised(values, self.whole(payload), self.group_bits * len(groups), entries)

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


def largest(values: Real) -> float:
    """Return the largest modulus, 0 of nothing, without an array of moduli."""
    return max(float(values.max(initial=0.0)), -float(values.min(initial=0.0)))


def rescaled(decoded: Real, top: float) -> Real:
    """Return decoded entries in units of `top` as a scale that is sent as a float32 gives them."""
    scale = largest(decoded)
    if scale == 0:
        return decoded
    most = float(np.finfo(np.float32).max)
    return decoded * (float(np.float32(min(scale * top, most))) / scale)
