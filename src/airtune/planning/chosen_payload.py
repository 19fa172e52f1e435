"""The payload that a plan has chosen (:mod:`airtune.planning.payload_choice` chooses)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class PredictedPayload:
    """What is predicted of the best plan with a payload.

    Attributes
    ----------
    numbers : int
        That a client sends in a round.
    value : float or None
        What the plan minimises; None: the target is not reached.
    rounds, time_s, energy_j : float or None
        To the target; None: never.
    loss : float or None
        After the planned rounds.
    """

    numbers: int
    value: float | None
    rounds: float | None
    time_s: float | None
    energy_j: float | None
    loss: float | None


@dataclass(frozen=True)
class PayloadChoice:
    """The payload that was chosen, and what is predicted with each.

    Attributes
    ----------
    payload : str
    payload_size : int or None
    candidates : dict of str to PredictedPayload or str
        By payload; a text says why there is no plan with it.
    """

    payload: str
    payload_size: int | None
    candidates: Mapping[str, PredictedPayload | str]

    def to_dict(self) -> dict[str, Any]:
        """Return the choice as plain JSON types."""
        return {
            "payload": self.payload,
            "payload_size": self.payload_size,
            "candidates": {
                name: {"refused": one} if isinstance(one, str) else asdict(one)
                for name, one in self.candidates.items()
            },
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> PayloadChoice:
        """Return the choice that :meth:`to_dict` has written.

        Raises
        ------
        KeyError, TypeError
            The document is none.

        Examples
        --------
        >>> choice = PayloadChoice("ffa", None, {"lora": "too long", "ffa": PredictedPayload(
        ...     60, 2.0, 9.0, 2.0, 3.0, 1.5)})
        >>> PayloadChoice.from_dict(choice.to_dict()) == choice
        True
        """
        told = {
            str(name): str(one["refused"]) if "refused" in one else PredictedPayload(**one)
            for name, one in document["candidates"].items()
        }
        return cls(str(document["payload"]), document["payload_size"], told)
