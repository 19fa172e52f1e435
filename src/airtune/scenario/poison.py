"""Settings of poisoned clients: who sends harmful updates, of which kind, from which round on."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from airtune.kinds import Integer
from airtune.scenario.base import Count, Positive, Settings
from airtune.scenario.units import Quantity
from airtune.streams import generator

SCALING = 10.0
"""Factor of the kind `scaling` where the setting names none."""


class Poison(Settings):
    """Clients that send harmful updates, or that have learnt from wrong answers."""

    kind: Literal["none", "sign-flip", "scaling", "random", "label-noise"] = Field(
        "none",
        description="what poisoned clients do: send their update with the opposite sign, send a "
        "multiple of it, send noise, or learn from answers that belong to other questions",
    )
    share: Annotated[float, Field(ge=0, le=1), Quantity("", 1e-4, 1)] = Field(
        0.1,
        description="share of the clients that are poisoned, to the nearest whole number and at "
        "least one if > 0; the same clients in all rounds and for all schemes",
    )
    scale: Annotated[Positive | None, Quantity("", 1e-3, 1e3)] = Field(
        None,
        description="sign-flip, scaling: factor of the update; random: norm of the noise over that "
        "of the client's own update; null is 10 for scaling, else 1",
    )
    from_round: Count = Field(1, description="first round in which they do it")

    @property
    def active(self) -> bool:
        """Whether anybody is poisoned."""
        return self.kind != "none" and self.share > 0

    @property
    def factor(self) -> float:
        """The scale in use."""
        if self.scale is not None:
            return self.scale
        return SCALING if self.kind == "scaling" else 1.0

    def clients(self, count: int, seed: int, round_index: int | None = None) -> Integer:
        """Return which clients are poisoned, ascending.

        A larger share holds the clients of a smaller one.

        Parameters
        ----------
        count : int
            Clients K.
        seed : int
            Root of the repetition's streams.
        round_index : int, optional
            Nobody is before the round `from_round`; by default the round does not count.

        Examples
        --------
        >>> poison = Poison(kind="sign-flip", share=0.3, from_round=5)
        >>> len(poison.clients(10, seed=1)), len(poison.clients(10, seed=1, round_index=4))
        (3, 0)
        """
        early = round_index is not None and round_index < self.from_round
        if not self.active or early:
            return np.zeros(0, dtype=np.int64)
        number = max(1, int(np.floor(self.share * count + 0.5)))
        order = generator(seed, "faults", "poison").permutation(count)
        return np.sort(order[:number])
