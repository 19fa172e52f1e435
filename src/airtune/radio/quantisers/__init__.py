"""Quantisers of digital uploads and of the broadcast, one a file: :mod:`.base` has the contract.

``uniform`` is the grid over the largest entry of earlier versions; the others are for entries of
known densities.
"""

from __future__ import annotations

from airtune.radio.quantisers.base import Quantised, Quantiser, encode
from airtune.radio.quantisers.entropy import Entropy
from airtune.radio.quantisers.lloyd_max import LloydMax
from airtune.radio.quantisers.top_k import TopK
from airtune.radio.quantisers.uniform import Uniform

__all__ = ["Entropy", "LloydMax", "Quantised", "Quantiser", "TopK", "Uniform", "encode"]
