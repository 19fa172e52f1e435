"""Levels of least mean squared error for normal and Laplace entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from airtune.kinds import Real
from airtune.radio.quantisers.base import SCALE_BITS, Quantiser, fitted
from airtune.radio.quantisers.books import lloyd_max
from airtune.radio.quantisers.densities import DENSITIES, LAPLACE


@dataclass(frozen=True)
class LloydMax(Quantiser):
    """2^bits levels an entry, of the Lloyd-Max quantiser of the density that fits a group better.

    The group is brought to unit mean square and quantised with both code books
    (:func:`airtune.radio.quantisers.books.lloyd_max`); the one of less error is taken, which a bit
    of the header says, and its scale is that of least squares.  There is no random rounding.

    Examples
    --------
    >>> update = np.random.default_rng(1).standard_normal(10_000)
    >>> sent = LloydMax(4).quantise(update, [10_000])
    >>> sent.bits, round(float(np.mean((sent.values - update) ** 2)), 3)
    (40033, 0.01)
    """

    name: ClassVar[str] = "lloyd-max"
    group_bits: ClassVar[int] = SCALE_BITS + 1

    def encode_group(self, group: Real) -> tuple[Real, float]:
        """Return what is decoded of a group, and the bits of its entries."""
        unit = group / np.sqrt(np.mean(group**2))
        best, most = np.zeros(len(group)), -1.0
        # of two levels the books differ in their scale alone
        for density in DENSITIES[:1] if self.bits == 1 else DENSITIES:
            levels = lloyd_max(density, self.bits).quantise(unit)
            explained = float(levels @ unit) ** 2 / float(levels @ levels)
            if explained > most:
                best, most = levels, explained
        return fitted(best, group) * best, float(self.bits * len(group))

    def expected_error(self, sizes: npt.ArrayLike) -> float:
        """Return the distortion for Laplace entries, which gradients are more like."""
        return lloyd_max(LAPLACE, self.bits).distortion
