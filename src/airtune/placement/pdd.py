"""SCA-PDD as a local method: penalty dual decomposition, successive convex approximation.

Q. Shi and M. Hong, "Penalty dual decomposition method for nonsmooth nonconvex optimization", IEEE
Trans. Signal Process. 68, 2020. The loops are in `kernels.decomposition`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from airtune.kinds import Real
from airtune.placement.kernels.decomposition import descend
from airtune.placement.kernels.field import channel, combine

if TYPE_CHECKING:
    from airtune.placement.search import Search


class Pdd:
    """PDD as the local method of a search."""

    def __init__(self, run: Search, rho: float = 1.0) -> None:
        self.run = run
        self.rho = rho
        self.trace = np.empty((0, 2))

    def improve(self, z: Real, target: float) -> float:
        """Descend from z (4, N) in place; log t. Ignores the target."""
        field, work = self.run.field, self.run.work
        descend(field, z, self.rho, work, self.trace)
        channel(field, z[2], z[3], work)
        p = combine(field, z, work)
        weakest = (work.u[:, : field.clients] ** 2).sum(axis=0).min()
        return math.log((weakest + 1e-300) / p)
