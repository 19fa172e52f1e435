"""What a plan has chosen of several, and what is predicted with each.

:mod:`airtune.planning.movement_choice` and :mod:`airtune.planning.payload_choice` choose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

_P = TypeVar("_P")


def _written(candidates: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is predicted with each as plain JSON types; a text says why there is no plan."""
    return {
        name: {"refused": one} if isinstance(one, str) else asdict(one)
        for name, one in candidates.items()
    }


def _read(candidates: Mapping[str, Any], kind: type[_P]) -> dict[str, _P | str]:
    """Return what :func:`_written` has written."""
    return {
        str(name): str(one["refused"]) if "refused" in one else kind(**one)
        for name, one in candidates.items()
    }


@dataclass(frozen=True)
class PredictedMovement:
    """What is predicted of the best plan with a movement policy.

    Attributes
    ----------
    value : float or None
        What the plan minimises; None: the target is not reached.
    rounds, time_s, energy_j : float or None
        To the target; None: never.
    loss : float or None
        After the planned rounds.
    mse : float
        Mean error over v^2 of a round.
    move_s, move_j : float
        Mean way of a round after the first [s], [J].
    """

    value: float | None
    rounds: float | None
    time_s: float | None
    energy_j: float | None
    loss: float | None
    mse: float
    move_s: float
    move_j: float


@dataclass(frozen=True)
class MovementChoice:
    """The movement policy that was chosen, and what is predicted with each.

    Attributes
    ----------
    policy : str
        As `planning.movement` names it.
    candidates : dict of str to PredictedMovement or str
        By policy; a text says why there is no plan with it.
    """

    policy: str
    candidates: Mapping[str, PredictedMovement | str]

    def to_dict(self) -> dict[str, Any]:
        """Return the choice as plain JSON types."""
        return {
            "policy": self.policy,
            "candidates": _written(self.candidates),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> MovementChoice:
        """Return the choice that :meth:`to_dict` has written.

        Raises
        ------
        KeyError, TypeError
            The document is none.

        Examples
        --------
        >>> once = PredictedMovement(2.0, 9.0, 2.0, 3.0, 1.5, 0.1, 0.0, 0.0)
        >>> choice = MovementChoice("once", {"each-round": "too long", "once": once})
        >>> MovementChoice.from_dict(choice.to_dict()) == choice
        True
        """
        told = _read(document["candidates"], PredictedMovement)
        return cls(str(document["policy"]), told)


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
            "candidates": _written(self.candidates),
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
        told = _read(document["candidates"], PredictedPayload)
        return cls(str(document["payload"]), document["payload_size"], told)
