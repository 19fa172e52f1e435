"""Convergent over-the-air federated learning (COTAF).

References
----------
.. [1] T. Sery, N. Shlezinger, K. Cohen, Y. C. Eldar, "Over-the-air federated learning from
   heterogeneous data", IEEE Transactions on Signal Processing 69, 2021.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from airtune.kinds import Integer, Real
from airtune.radio import scales
from airtune.radio.scales import Normalisation
from airtune.radio.transmission import Transmission, uniform_forcing
from airtune.schemes.air.analog import Report, as_reported, noise_after
from airtune.schemes.air.measures import squared_scale
from airtune.schemes.air.messages import Reception, Uploads
from airtune.schemes.air.silencing import Truncating, excluded_error
from airtune.schemes.link import Link


class Cotaf(Truncating):
    """Convergent over-the-air federated learning (COTAF) [1]_.

    One precoding factor for all, set by the largest update norm: as the updates shrink, they are
    sent with more gain, and the effective noise falls with them.  The norms of the round, which
    the clients report, stand in for the expectations of the paper; one factor a scale group where
    `aggregation.normalise` is not `global`, as for every analog scheme.

    Fading as in the paper: inverted by each client, those below a threshold stay silent
    (`aggregation.truncation_db`).  N antennas and interferers are our extension: each client's
    matched filter behind a whitener, all summed with equal weight,
    ``w = sum_k R^-1 h_k / sqrt(h_k^H R^-1 h_k)``, without any optimisation; for white noise that is
    ``sum_k h_k / |h_k|``.  The forecast is that for updates of one norm; unlike norms raise the
    error.
    """

    about: ClassVar[str] = "precoding by the update norm"
    inexact: ClassVar[str | None] = "noise, interference and the silence of weak clients"
    reported_scalars: ClassVar[int] = 1
    needs_a_sum: ClassVar[bool] = True

    def errors(
        self, link: Link, clients: Integer, omega: Real, chosen: Integer
    ) -> tuple[float, float]:
        """Return the noise of the inverted channels and the weight left out, for equal norms."""
        weights = omega[chosen] / omega[chosen].sum()
        sent = _inversion(link, clients[chosen], weights, 1.0)
        bias = excluded_error(omega, chosen)
        air = self.averaged(link.perceived.of(clients[chosen]))
        return noise_after(sent.beamformer, air) + bias, bias

    def send(self, uploads: Uploads, link: Link, backoff: float) -> Reception:
        """Send the updates of those who are not silent, precoded by the largest norm."""
        report = self.report(uploads)
        precoded = self._precoded(report, uploads)
        sent = _inversion(link, uploads.clients, uploads.omega, backoff)
        received = report.added_to(self.transmit(uploads, link, precoded, sent))
        if uploads.impairments is not None:  # the powers are those of the symbols already
            return received
        return replace(received, uplink_j=received.uplink_j * precoded.symbol_powers)

    def error_by_scales(self, uploads: Uploads) -> float:
        """Return the error of the whole mean over v^2 where that of a symbol is 1."""
        common = self._precoded(self.report(uploads), uploads)
        return common.total_error / squared_scale(uploads)

    def _precoded(self, report: Report, uploads: Uploads) -> Normalisation:
        """Return the common scales that the largest norm sets."""
        precoded = scales.precode_updates(
            as_reported(report.scales, uploads), uploads.omega, self.aggregation.group_scales
        )
        return replace(precoded, scales=scales.norms(report.scales))


def _inversion(link: Link, clients: Integer, omega: Real, backoff: float) -> Transmission:
    """Return the clients' inverted channels and the sum of their whitened matched filters."""
    air = link.perceived.of(clients)
    channel = air.channel
    filters = np.linalg.solve(air.covariance, channel.T).T  # R^-1 h_k
    alone = np.sum(channel.conj() * filters, axis=1).real
    combiner = np.sum(filters / np.sqrt(alone)[:, None], axis=0)
    return uniform_forcing(channel, combiner, omega, link.radio.powers[clients], backoff)
