"""The error-free mean: the upper reference."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from airtune.kinds import Integer, Mask, Real
from airtune.radio import links
from airtune.schemes.air.base import (
    AirInterface,
    Forecast,
    Overheads,
    Reception,
    Uploads,
    renormalised,
)
from airtune.schemes.link import Link


class ErrorFree(AirInterface):
    """The exact mean at no radio cost: the upper reference."""

    about: ClassVar[str] = "error-free mean, no radio cost"
    inexact: ClassVar[str | None] = ""

    def forecast(self, link: Link, omega: Real, matrix_sizes: Integer) -> Forecast:
        """Return a forecast without error and cost."""
        return Forecast(0.0, np.zeros(len(omega)), 0.0, backoff=False)

    def overheads(
        self,
        broadcast: Link,
        upload: Link,
        clients: Integer,
        matrix_sizes: Integer,
        reporting: Mask | None = None,
    ) -> Overheads:
        """Return no overheads."""
        return Overheads(np.zeros(len(clients)))

    def pilots(
        self, link: Link, clients: Integer, matrix_sizes: Integer, reporting: Mask | None = None
    ) -> links.Airtime:
        """Return no pilots."""
        return links.Airtime(np.zeros(len(clients)), np.zeros(len(clients)))

    def combine(self, uploads: Uploads, link: Link, backoff: float) -> Reception | None:
        """Return the exact mean of the updates that arrive whole; None if there are none."""
        whole, costs = uploads.whole, np.zeros(len(uploads.clients))
        if whole.all():
            return Reception(uploads.omega @ uploads.updates.astype(np.float64), costs)
        if not whole.any():
            return None
        omega = renormalised(uploads.omega, np.flatnonzero(whole))
        exact = omega @ uploads.updates.astype(np.float64)
        return Reception(exact, costs, transmitted=whole)
