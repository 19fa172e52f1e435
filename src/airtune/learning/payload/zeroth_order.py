"""One number for each of n seeded directions, from forward passes alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from airtune.errors import InputError
from airtune.kinds import Floating, Integer, Real
from airtune.learning.payload.base import Payload
from airtune.scenario.costs import CostTwin
from airtune.streams import generator


class SeededDirections(Payload):
    """Differences of the loss along n directions z_p that all draw from the shared seed.

    A client sends ``c_p = (F_k(theta + mu z_p) - F_k(theta)) / (mu sqrt(n))`` (simultaneous
    perturbation [1]_, memory-efficient as in [2]_), the server makes of the decoded mean ``dhat =
    sum_p c_p z_p / sqrt(n)``, a step of all d entries: with exact derivatives an unbiased estimate
    of the mean gradient, of ``(d + n + 1) / n`` times its energy.  z_p is standard normal, has a
    seed of its own and is made when it is needed, so that nobody holds more than one.  With the
    root of n in both places what is sent has the length of a gradient on average.

    An update comes from an engine as a row of d entries: here the first n of them are the numbers,
    the others 0.

    References
    ----------
    .. [1] J. C. Spall, "Multivariate stochastic approximation using a simultaneous perturbation
       gradient approximation", IEEE Transactions on Automatic Control 37(3), 1992.
    .. [2] S. Malladi et al., "Fine-tuning language models with just forward passes", NeurIPS 2023.
    """

    about: ClassVar[str] = "differences of the loss along seeded directions, forward passes only"
    sized: ClassVar[bool] = True
    broadcasts_all: ClassVar[bool] = False

    @property
    def count(self) -> int:
        """The number n of directions.

        Raises
        ------
        InputError
            There are more than an adapter has entries.
        """
        count = int(self.size or 0)
        if not 1 <= count <= self.total:
            raise InputError(
                f"zeroth_order.directions = {count}: must be from 1 to {self.total}, the entries "
                "of an update of this model"
            )
        return count

    def blocks(self, part: str) -> Integer:
        """Return n, one block."""
        return np.array([self.count], dtype=np.int64)

    def directions(self, round_index: int) -> Iterator[Floating]:
        """Yield z_p one by one, float32, shape (d,)."""
        for number in range(self.count):
            stream = generator(self.seed, "direction", round_index, number)
            yield stream.standard_normal(self.total, np.float32)

    def coded(
        self, updates: Floating, round_index: int, clip_norm: float | None = None
    ) -> Floating:
        """Return the numbers of each row.

        Raises
        ------
        InputError
            A row has others: the engine has returned gradients.
        """
        if np.any(updates[:, self.count :]):
            raise InputError(
                "engine.name: this engine returns gradients where differences of the loss along "
                f"zeroth_order.directions = {self.count} were asked for "
                "(airtune.learning.zeroth_order.asked); must be another with these schemes"
            )
        return updates[:, : self.count]

    def decoded(self, mean: Real, round_index: int) -> Real:
        """Return ``sum_p c_p z_p / sqrt(n)``."""
        update = np.zeros(self.total)
        for number, direction in zip(mean, self.directions(round_index), strict=True):
            update += float(number) * direction.astype(np.float64)
        return np.asarray(update / np.sqrt(self.count))

    def spread(self, rows: Floating, round_index: int) -> Floating:
        """Return the update that each row of numbers stands for."""
        updates = np.zeros((len(rows), self.total), rows.dtype)
        for number, direction in enumerate(self.directions(round_index)):
            updates += rows[:, number, None] * direction
        return np.asarray(updates / rows.dtype.type(np.sqrt(self.count)))

    def remembered(self, row: Real, round_index: int) -> Real | None:
        """Return None: the numbers of one round's directions say nothing in another's."""
        return None

    def memorised(self, row: Real, before: Real | None, round_index: int) -> Real | None:
        """Return None."""
        return None

    def booked(self, twin: CostTwin, part: str) -> CostTwin:
        """Return the twin with the same numbers: there are no more of them for a larger model."""
        return twin.sending((self.count,))

    @property
    def computing(self) -> float:
        """n + 1 forward passes, each half of what a gradient with a frozen base takes."""
        return (self.count + 1) / 2

    @property
    def inflation(self) -> float:
        """(d + 1) / n."""
        return (self.total + 1) / self.count

    @property
    def amplification(self) -> float:
        """d / n."""
        return self.total / self.count
