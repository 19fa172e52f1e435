"""Reports of the scales as bits: in full the first time, then the change since the last report.

Both ends keep the figures that the bits stand for, and use these.  Magnitudes are coded by their
logarithm and rounded up, so that symbols scaled by them keep the power limit; a mean is rounded to
the nearest, and what it is off counts into the deviation about it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from airtune.kinds import Mask, Real

LOW, HIGH = -150.0, 130.0
"""Logarithms, base 2, of the least and greatest magnitude: all of single precision."""

OCTAVES = 2.0
"""Greatest change of a magnitude that its half of the bits can say, in octaves."""

DEVIATIONS = 2.0
"""Greatest change of a mean that its half of the bits can say, in last deviations."""


@dataclass(frozen=True)
class Coded:
    """Figures as both ends hold them, and what they cost.

    Attributes
    ----------
    values : ndarray, float, shape (B,)
    bits : float
    """

    values: Real
    bits: float


def code_magnitudes(values: Real, last: Real | None, bits: int) -> Coded:
    """Code magnitudes, none of them below what it stands for.

    In full a magnitude has `bits` bits.  After a report, half of them say by how much it has
    changed; a change that they cannot say costs the full ones besides.

    Parameters
    ----------
    values : ndarray, float, shape (B,)
        Not negative, finite.
    last : ndarray, float, shape (B,), or None
        What both ends hold of them; None: nothing.
    bits : int
        At least 4.

    Returns
    -------
    Coded

    Examples
    --------
    >>> first = code_magnitudes(np.array([1.0, 0.0]), None, 16)
    >>> (first.values - [1.0, 0.0]).round(3).tolist(), first.bits
    ([0.001, 0.0], 32.0)
    >>> then = code_magnitudes(np.array([0.9, 0.0]), first.values, 16)
    >>> then.values.round(3).tolist(), then.bits
    ([0.908, 0.0], 16.0)
    """
    full = _magnitudes_in_full(values, bits)
    if last is None:
        return Coded(full, float(bits * len(values)))
    half = bits // 2
    most = 2.0 ** (half - 1) - 1
    step = OCTAVES / most
    both = (values > 0) & (last > 0)
    ratio = np.log2(np.where(both, values, 1.0) / np.where(both, last, 1.0))
    change = np.maximum(np.ceil(ratio / step), -most)
    coded = np.where(both, last * 2.0 ** (step * change), 0.0)
    short = both & (coded < values)  # by rounding
    coded = np.where(short, last * 2.0 ** (step * (change + 1)), coded)
    escapes = ~((both & (change + short <= most)) | ((values == 0) & (last == 0)))
    return Coded(np.where(escapes, full, coded), _cost(escapes, bits))


def code_means(values: Real, last: Real | None, scale: Real | None, bits: int) -> Coded:
    """Code means, to the nearest that the bits can say; bits as of :func:`code_magnitudes`.

    Parameters
    ----------
    values : ndarray, float, shape (B,)
    last, scale : ndarray, float, shape (B,), or None
        Means and deviations that both ends hold; None: nothing.
    bits : int
        At least 4.

    Returns
    -------
    Coded

    Examples
    --------
    >>> first = code_means(np.array([-0.5, 0.0]), None, None, 16)
    >>> first.values.round(3).tolist()
    [-0.499, 0.0]
    >>> then = code_means(np.array([-0.4, 0.0]), first.values, np.array([1.0, 0.0]), 16)
    >>> then.values.round(3).tolist(), then.bits
    ([-0.405, 0.0], 16.0)
    """
    step = (HIGH - LOW) / (2.0 ** (bits - 1) - 2)
    size = np.abs(values)
    log = np.log2(np.where(size > 0, size, 1.0))
    rounded = 2.0 ** (LOW + step * np.round((np.clip(log, LOW, HIGH) - LOW) / step))
    full = np.where(size >= 2.0**LOW, np.sign(values) * rounded, 0.0)
    if last is None or scale is None:
        return Coded(full, float(bits * len(values)))
    most = 2.0 ** (bits // 2 - 1) - 1
    unit = scale * (DEVIATIONS / most)
    change = np.round((values - last) / np.where(unit > 0, unit, 1.0))
    coded = last + unit * np.clip(change, -most, most)
    escapes = (scale == 0) & (values != last)
    return Coded(np.where(escapes, full, coded), _cost(escapes, bits))


def _magnitudes_in_full(values: Real, bits: int) -> Real:
    """Return the least code of `bits` bits that is not below each value; 0 has its own."""
    step = (HIGH - LOW) / (2.0**bits - 2)
    log = np.log2(np.where(values > 0, values, 1.0))
    level = np.maximum(np.ceil((log - LOW) / step), 0.0)
    coded = 2.0 ** (LOW + step * level)
    coded = np.where(coded < values, 2.0 ** (LOW + step * (level + 1)), coded)  # by rounding
    return np.where(values > 0, coded, 0.0)


def _cost(escapes: Mask, bits: int) -> float:
    """Return the bits of changes, some of which are followed by the figure in full."""
    return float(bits // 2 * len(escapes) + bits * int(escapes.sum()))
