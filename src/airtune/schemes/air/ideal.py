"""The error-free mean: the upper reference."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from airtune.kinds import Integer, Real
from airtune.schemes.air.base import AirInterface, Forecast, Reception, Uploads
from airtune.schemes.air.signalling import Overheads, Signalling
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
        signalling: Signalling | None = None,
    ) -> Overheads:
        """Return no overheads."""
        return Overheads(np.zeros(len(clients)))

    def pilots(
        self,
        link: Link,
        clients: Integer,
        matrix_sizes: Integer,
        signalling: Signalling | None = None,
    ) -> Overheads:
        """Return no pilots."""
        return Overheads(np.zeros(len(clients)))

    def combine(self, uploads: Uploads, link: Link, backoff: float) -> Reception:
        """Return the exact mean."""
        exact = uploads.omega @ uploads.updates.astype(np.float64)
        return Reception(exact, np.zeros(len(uploads.clients)))
