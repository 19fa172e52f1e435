"""The largest entries and where they are.

References
----------
.. [1] D. Alistarh et al., "The convergence of sparsified gradient methods", NeurIPS 2018.
.. [2] S. U. Stich, J.-B. Cordonnier, M. Jaggi, "Sparsified SGD with memory", NeurIPS 2018.
.. [3] T. M. Cover, "Enumerative source encoding", IEEE Transactions on Information Theory 19(1),
   1973.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from airtune.kinds import Integer, Real
from airtune.radio.quantisers.base import SCALE_BITS, Quantiser, fitted
from airtune.radio.quantisers.books import lloyd_max
from airtune.radio.quantisers.densities import LAPLACE


@dataclass(frozen=True)
class TopK(Quantiser):
    """The entries of largest modulus of each group with `bits` each, the others as 0 [1]_ [2]_.

    ``k = ceil(share d_b)`` entries are kept.  Of each its sign is sent, and with the other bits how
    far its modulus is above the least one kept: that excess is exponential where entries are
    Laplace, so it takes the levels of the Laplace code book.  The header has two numbers, the least
    modulus and the mean excess; least squares scale both.  Which entries they are takes
    ``log2 (d_b over k)`` bits, as enumerative coding [3]_ writes it.

    Attributes
    ----------
    share : float
        Share of the entries that are kept, in (0, 1].

    Examples
    --------
    >>> update = np.array([0.1, -3.0, 0.2, 2.0, 0.1, 0.0, 0.0, 0.3])
    >>> sent = TopK(8, share=0.25).quantise(update, [8])
    >>> sent.values.round(2).tolist(), sent.payload_bits  # 2 values of 8 bits, 5 for 28 choices
    ([0.0, -3.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0], 21)
    """

    share: float = 0.05
    name: ClassVar[str] = "top-k"
    group_bits: ClassVar[int] = 2 * SCALE_BITS

    def encode_group(self, group: Real) -> tuple[Real, float]:
        """Return what is decoded of a group, and the bits of its entries."""
        moduli, count = np.abs(group), len(group)
        kept = int(self.kept(count))
        where = np.argpartition(-moduli, kept - 1)[:kept]
        least = float(moduli[where].min())
        excess = moduli[where] - least
        mean, levels = float(excess.mean()), np.zeros(kept)
        if mean > 0:  # positive levels of a Laplace density, whose mean modulus is 1 / sqrt(2)
            root = np.sqrt(2.0)
            levels = root * mean * lloyd_max(LAPLACE, self.bits).quantise(excess / (root * mean))
        decoded = np.zeros(count)
        decoded[where] = np.sign(group[where]) * (least + levels)
        bits = kept * self.bits + _choice_bits(count, kept)
        return fitted(decoded, group) * decoded, float(bits)

    def kept(self, sizes: npt.ArrayLike) -> Integer:
        """Return the entries kept of groups of these lengths."""
        return np.ceil(self.share * np.asarray(sizes) * (1 - 1e-12)).astype(np.int64)

    def expected_error(self, sizes: npt.ArrayLike) -> float:
        """Return the distortion for Laplace entries, of long groups.

        Of the energy the share ``s (u^2 + 2 u + 2) / 2``, u = -ln s, is in the s entries kept.
        """
        s, u = self.share, -np.log(self.share)
        return float(
            1.0 - s * (u**2 + 2 * u + 2) / 2 + s * lloyd_max(LAPLACE, self.bits).distortion
        )

    def expected_bits(self, sizes: npt.ArrayLike) -> float:
        """Return the expected bits of the entries of these groups."""
        lengths = np.asarray(sizes, dtype=np.int64)
        kept = self.kept(lengths)
        return float(np.sum(kept * self.bits + np.ceil(_log2_choices(lengths, kept))))


@lru_cache(maxsize=256)
def _choice_bits(count: int, kept: int) -> float:
    """Return the whole bits that say which of `count` entries are kept."""
    return float(np.ceil(_log2_choices(count, kept)))


def _log2_choices(count: npt.ArrayLike, kept: npt.ArrayLike) -> Real:
    """Return log2 of the number of ways to choose `kept` of `count` entries."""
    n, k = np.asarray(count, np.float64), np.asarray(kept, np.float64)
    choices = (gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)) / np.log(2.0)
    return np.asarray(np.maximum(choices - 1e-9, 0.0))  # no bit for the rounding of a power of 2
