"""How the updates of a digital scheme are coded: the quantiser, its bits and error feedback."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airtune.radio.quantisers.base import Quantiser
from airtune.radio.quantisers.entropy import Entropy
from airtune.radio.quantisers.lloyd_max import LloydMax
from airtune.radio.quantisers.top_k import TopK
from airtune.radio.quantisers.uniform import Uniform

_PLAIN: dict[str, type[Quantiser]] = {kind.name: kind for kind in (Uniform, LloydMax, Entropy)}


@dataclass(frozen=True)
class Coding:
    """A quantiser by name, and how it is used.

    Attributes
    ----------
    quantizer : str
        ``uniform``, ``lloyd-max``, ``entropy`` or ``top-k``.
    bits : int
        Bits an entry, of ``top-k`` an entry that is kept.
    feedback : bool
        Whether clients add what earlier rounds lost.
    share : float
        Share of the entries that ``top-k`` keeps; 1 for the others.

    Examples
    --------
    >>> Coding("top-k", 4, feedback=True, share=0.1).quantiser
    TopK(bits=4, share=0.1)
    """

    quantizer: str
    bits: int
    feedback: bool
    share: float = 1.0

    @property
    def quantiser(self) -> Quantiser:
        """The quantiser itself."""
        if self.quantizer == TopK.name:
            return TopK(self.bits, self.share)
        return _PLAIN[self.quantizer](self.bits)

    def to_dict(self) -> dict[str, Any]:
        """Return the coding as plain JSON types."""
        document: dict[str, Any] = {
            "quantizer": self.quantizer,
            "bits": self.bits,
            "error_feedback": self.feedback,
        }
        return document | ({"top_share": self.share} if self.quantizer == TopK.name else {})

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Coding:
        """Return the coding that :meth:`to_dict` has written."""
        return cls(
            document["quantizer"],
            document["bits"],
            document["error_feedback"],
            document.get("top_share", 1.0),
        )
