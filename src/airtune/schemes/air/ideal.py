"""The error-free mean: the upper reference."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from airtune.kinds import Integer, Real
from airtune.radio.held import decode
from airtune.radio.scales import normalise_updates
from airtune.schemes.air.base import AirInterface
from airtune.schemes.air.measures import nothing_read, relative_error, renormalised
from airtune.schemes.air.messages import Forecast, Reception, Uploads
from airtune.schemes.air.signalling import Overheads, Signalling
from airtune.schemes.link import Link


class ErrorFree(AirInterface):
    """The exact mean at no radio cost: the upper reference.

    Every client's own update is known, so a rule of `aggregation.robust` applies to them.
    """

    about: ClassVar[str] = "error-free mean, no radio cost"
    inexact: ClassVar[str | None] = ""
    tells_apart: ClassVar[bool] = True
    broadcasts: ClassVar[bool] = False
    books_twins: ClassVar[bool] = True
    wideband: ClassVar[bool] = True
    client_arrays: ClassVar[bool] = True
    needs_a_sum: ClassVar[bool] = True

    def forecast(self, link: Link, omega: Real, matrix_sizes: Integer) -> Forecast:
        """Return a forecast without cost, and without error but for that of a robust rule."""
        clients = omega[omega > 0]
        exact = np.zeros(len(clients))
        mse, bias = self.expected_errors(clients, exact, exact)
        return Forecast(mse, np.zeros(len(omega)), 0.0, backoff=False, bias=bias)

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

    def combine(self, uploads: Uploads, link: Link, backoff: float) -> Reception | None:
        """Return the exact mean of the updates that arrive whole; None if there are none.

        With a rule of `aggregation.robust`: what it makes of the exact updates.
        """
        whole, joules = uploads.whole, np.zeros(len(uploads.clients))
        if uploads.held is not None:
            common = normalise_updates(uploads.scales(uploads.matrix_sizes), uploads.omega, "block")
            summed = uploads.held.summed(common, common.effective_weights.astype(np.complex128))
            if summed is None:
                return nothing_read(uploads, joules, 0.0)
            return Reception(decode(summed, common), joules)
        if not whole.any():
            return None
        omega, silent = uploads.omega, None
        if not whole.all():
            omega, silent = renormalised(omega, np.flatnonzero(whole)), whole
        exact = omega @ uploads.updates.astype(np.float64)
        if self.aggregation.robust == "none":
            return Reception(exact, joules, transmitted=silent)
        mean = self.merged(uploads.updates[whole], omega[whole])
        shift = relative_error(mean, uploads, exact)
        return Reception(mean, joules, transmitted=silent, rule_shift=shift)
