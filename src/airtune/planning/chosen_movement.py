"""The movement policy that a plan has chosen (:mod:`airtune.planning.movement_choice` chooses)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


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
            "candidates": {
                name: {"refused": one} if isinstance(one, str) else asdict(one)
                for name, one in self.candidates.items()
            },
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
        told = {
            str(name): str(one["refused"]) if "refused" in one else PredictedMovement(**one)
            for name, one in document["candidates"].items()
        }
        return cls(str(document["policy"]), told)
