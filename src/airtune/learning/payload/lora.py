"""Both factors of LoRA: every entry of the update."""

from __future__ import annotations

from typing import ClassVar

from airtune.kinds import Integer
from airtune.learning.payload.base import Payload


class Whole(Payload):
    """A and B of every layer [1]_; with H > 1 local steps the mean of products is not the product
    of the means (:func:`airtune.learning.product_bias.product_bias`).

    References
    ----------
    .. [1] E. J. Hu et al., "LoRA: low-rank adaptation of large language models", ICLR 2022.
    """

    about: ClassVar[str] = "both factors A and B"

    def blocks(self, part: str) -> Integer:
        """Return the entries of each adapter matrix."""
        return self.matrix_sizes
