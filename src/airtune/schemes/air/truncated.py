"""Truncated channel inversion: a client in a deep fade stays silent.

References
----------
.. [1] G. Zhu, Y. Wang, K. Huang, "Broadband analog aggregation for low-latency federated edge
   learning", IEEE Transactions on Wireless Communications 19(1), 2020.
"""

from __future__ import annotations

from typing import ClassVar

from airtune.kinds import Integer, Real
from airtune.schemes.air.analog import forced
from airtune.schemes.air.messages import Reception, Uploads
from airtune.schemes.air.silencing import Truncating, excluded_error
from airtune.schemes.link import Link


class Truncated(Truncating):
    """Broadband analog aggregation with truncated channel inversion [1]_.

    A client in a deep fade stays silent, so that it does not set the scale of all; the sum is
    that of the others, their weights brought back to 1.  In the paper each subcarrier is truncated
    by itself; here the band is flat and the whole client is.  N antennas with the best beamformer
    for those who send are our extension, the gain ``|h|^2`` becomes the SNR of the client alone.
    """

    about: ClassVar[str] = "truncated channel inversion"
    inexact: ClassVar[str | None] = "noise, interference and the silence of weak clients"
    reported_scalars: ClassVar[int] = 2
    needs_a_sum: ClassVar[bool] = True

    def errors(
        self, link: Link, clients: Integer, omega: Real, chosen: Integer
    ) -> tuple[float, float]:
        """Return the error of uniform forcing and the weight left out."""
        weights = omega[chosen] / omega[chosen].sum()
        bias = excluded_error(omega, chosen)
        return self.forcing_noise(link, clients[chosen], weights) + bias, bias

    def send(self, uploads: Uploads, link: Link, backoff: float) -> Reception:
        """Send the updates of those who are not silent, aligned."""
        report = self.report(uploads)
        normalisation = self.normalised(report, uploads)
        sent = forced(link, uploads.clients, normalisation.effective_weights, backoff)
        return report.added_to(self.transmit(uploads, link, normalisation, sent))
