"""Quantised updates for the digital baseline, with optional error feedback.

The entries of each adapter matrix form a *scale group*: they share one scale.

References
----------
.. [1] D. Alistarh et al., "QSGD: communication-efficient SGD via gradient quantization and
   encoding", NeurIPS 2017.
.. [2] F. Seide et al., "1-bit stochastic gradient descent and its application to data-parallel
   distributed training of speech DNNs", Interspeech 2014.
.. [3] S. P. Karimireddy et al., "Error feedback fixes SignSGD and other gradient compression
   schemes", ICML 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from airtune.kinds import Floating, Real

RANGE_BITS = 32
"""Bits of the scale that each group carries (one float32)."""


@dataclass(frozen=True)
class Quantised:
    """What the server reads from one quantised update.

    Attributes
    ----------
    values : ndarray, float, shape (d,)
        Update as decoded.
    bits : int
        Payload: the entries of all non-zero groups, and one scale a group.
    """

    values: Real
    bits: int


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
    for span in _spans(sizes, len(update)):
        top = _range(update[span])
        if top > 0:
            step = 2.0 * top / (2**bits - 1)
            steps = (update[span] + top) / step
            level = np.floor(steps + rng.uniform(size=len(steps)))
            values[span] = np.clip(level, 0, 2**bits - 1) * step - top
    return Quantised(values, payload_bits(update, sizes, bits))


def quantise_contractive(update: Floating, sizes: npt.ArrayLike, bits: int) -> Quantised:
    """Round each entry to the nearest level, then fit the group's scale by least squares.

    The grid is that of :func:`quantise_unbiased`; the scale sent with the group is the one that
    brings the result q closest to the group x, ``<q, x> / <q, q>``.  The error is then never above
    the group itself, ``|x - q|^2 <= |x|^2``, which error feedback needs to stay bounded [3]_; with
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
    for span in _spans(sizes, len(update)):
        group = update[span].astype(np.float64)
        top = _range(group)
        if top > 0:
            # in units of top: keeps the squares below away from underflow
            level = np.floor((group / top + 1.0) * (2**bits - 1) / 2.0 + 0.5)
            grid = 2.0 * np.clip(level, 0, 2**bits - 1) / (2**bits - 1) - 1.0
            fit = float(grid @ (group / top)) / float(grid @ grid)
            values[span] = float(np.float32(fit * top)) * grid
    return Quantised(values, payload_bits(update, sizes, bits))


def payload_bits(update: Floating, sizes: npt.ArrayLike, bits: int) -> int:
    """Return the bits of a quantised update; a group of zeros costs its scale only.

    ``sum over non-zero groups of d_b bits + B RANGE_BITS``
    """
    spans = _spans(sizes, len(update))
    entries = sum(len(update[span]) for span in spans if update[span].any())
    return entries * bits + len(spans) * RANGE_BITS


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


def encode(
    update: Floating,
    memory: Real | None,
    sizes: npt.ArrayLike,
    bits: int,
    rng: np.random.Generator | None,
) -> tuple[Quantised, Real | None]:
    """Quantise one client's update, with error feedback or with unbiased rounding.

    With error feedback [2]_ [3]_ the client adds what earlier rounds lost and remembers what this
    one loses: ``x = d_k + e``, ``e' = x - Q(x)``.

    Parameters
    ----------
    update : ndarray, float, shape (d,)
        Update d_k.
    memory : ndarray, float, shape (d,), or None
        Memory e of the client; None before its first upload.
    sizes : array_like, int, shape (B,)
        Group lengths, sum d.
    bits : int
        Bits an entry.
    rng : Generator or None
        Source of the unbiased rounding; None: error feedback.

    Returns
    -------
    quantised : Quantised
        What the server reads.
    memory : ndarray, float, shape (d,), or None
        Memory for the client's next upload; None without error feedback.

    Examples
    --------
    One bit an entry with error feedback; what the first upload loses is added to the second:

    >>> update = np.array([0.5, -1.0, 0.2, 0.0])
    >>> sent, memory = encode(update, None, sizes=[2, 2], bits=1, rng=None)
    >>> sent.values.round(6).tolist(), sent.bits
    ([0.75, -0.75, 0.1, 0.1], 68)
    >>> memory.round(6).tolist()
    [-0.25, -0.25, 0.1, -0.1]
    >>> sent, memory = encode(update, memory, sizes=[2, 2], bits=1, rng=None)
    >>> sent.values.round(6).tolist()
    [0.75, -0.75, 0.2, -0.2]
    """
    if rng is not None:
        return quantise_unbiased(update, sizes, bits, rng), None
    corrected = update.astype(np.float64)
    if memory is not None:
        corrected = corrected + memory
    quantised = quantise_contractive(corrected, sizes, bits)
    return quantised, corrected - quantised.values


def _spans(sizes: npt.ArrayLike, length: int) -> list[slice]:
    """Return the slice of each group."""
    ends = np.cumsum(np.asarray(sizes, dtype=np.int64))
    if ends[-1] != length:
        raise ValueError(f"groups of {ends[-1]} entries for an update of {length}")
    return [slice(int(a), int(b)) for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def _range(group: Floating) -> float:
    """Return the largest modulus of a group, rounded up to a float32 that can be sent."""
    top = float(np.abs(group).max())
    sent = np.float32(top)
    return float(sent) if sent >= top else float(np.nextafter(sent, np.float32(np.inf)))
