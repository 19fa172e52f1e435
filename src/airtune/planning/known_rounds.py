"""The radio turn of a plan amid a run: by the paths of the round ahead and of the rounds before."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from airtune.costs import FloatArray
from airtune.kinds import Mask
from airtune.planning.expected_radio import ExpectedRadio, RadioTurn
from airtune.planning.result import FixedCosts
from airtune.radio.quantisers.coding import Coding

MOST = 6
"""Rounds over which the mean is taken, the one ahead among them."""


@dataclass(frozen=True)
class KnownRounds(RadioTurn):
    """What a scheme can reach on the mean of the round ahead and of rounds before it.

    The paths of one round tell little of those that follow: a plan that counts each of them like
    the one ahead is far too careful after a fade, and far too bold before one.

    Attributes
    ----------
    known : int
        Rounds over which the mean is taken; 1 is the round ahead alone.  Where drives move the
        antennas none of those before is looked at, for the ways in them are not known.
    """

    known: int = 1
    _met: dict[tuple[int, bytes, int | None, Coding | None], ExpectedRadio] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def walks(self) -> bool:
        """Whether the air is a mean over drawn rounds: not without drives, for known ones tell."""
        return super().walks and self.scheme.array.moves

    def at(
        self,
        participants: Mask,
        positions: FloatArray,
        max_travel: float | None = None,
        price_db: float = 0.0,
    ) -> ExpectedRadio:
        """Return the air to be expected: error and costs are means, the rest is of the round ahead.

        Parameters are those of :meth:`airtune.planning.expected_radio.RadioTurn.at`.
        """
        ahead = super().at(participants, positions, max_travel, price_db)
        if self.known == 1 or self.scheme.array.moves:
            return ahead
        first = max(1, self.round - self.known + 1)
        ones = [ahead, *(self._before(index, participants) for index in range(first, self.round))]
        mean = float(np.mean([one.mse_star for one in ones]))
        return replace(ahead, mse_star=mean, costs=_mean_costs([one.costs for one in ones]))

    def _before(self, index: int, participants: Mask) -> ExpectedRadio:
        """Return the air of a round before, with the antennas as they would be set for it."""
        key = index, participants.tobytes(), self.sendings, self.coding
        if key not in self._met:
            turn = replace(self, round=index, known=1)
            self._met[key] = turn.place(participants)
        return self._met[key]


def _mean_costs(costs: list[FixedCosts]) -> FixedCosts:
    """Return the means of what rounds cost; what is no cost is that of the first."""
    means: dict[str, Any] = {}
    for one in fields(FixedCosts):
        if one.name.endswith(("_s", "_j")) or one.name == "misalignment":
            values = [getattr(cost, one.name) for cost in costs]
            mean = np.mean(values, axis=0)
            means[one.name] = mean if mean.ndim else float(mean)
    return replace(costs[0], **means)
