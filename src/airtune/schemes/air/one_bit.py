"""One-bit over-the-air aggregation: signs, and a majority vote on the air.

References
----------
.. [1] G. Zhu, Y. Du, D. Gündüz, K. Huang, "One-bit over-the-air aggregation for
   communication-efficient federated edge learning: design and convergence analysis", IEEE
   Transactions on Wireless Communications 20(3), 2021.
.. [2] J. Bernstein, Y.-X. Wang, K. Azizzadenesheli, A. Anandkumar, "signSGD: compressed
   optimisation for non-convex problems", ICML 2018.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from airtune.kinds import Integer, Real
from airtune.radio import scales
from airtune.radio.majority import vote_error
from airtune.radio.scales import Normalisation, Scales
from airtune.schemes.air.analog import Report, as_reported, forced
from airtune.schemes.air.measures import relative_error, renormalised
from airtune.schemes.air.messages import Forecast, Reception, Uploads
from airtune.schemes.air.silencing import Truncating
from airtune.schemes.link import Link


class OneBit(Truncating):
    """One-bit over-the-air aggregation (OBDA) [1]_: signSGD [2]_ with the vote taken by the air.

    Each client sends the signs of its update, two to a QPSK symbol, with truncated channel
    inversion (`aggregation.truncation_db`); the server reads the sign of each received sum.  Our
    extensions: votes weigh omega_k; N antennas with the best beamformer for the voters; and in
    place of a step length by hand the signs are scaled by the voters' weighted mean modulus of
    each scale group, one reported scalar, so that any server optimiser can use them.
    """

    about: ClassVar[str] = "one-bit signs, majority vote"
    inexact: ClassVar[str | None] = (
        "the errors of signs in place of numbers, of noise, interference and silent clients"
    )
    reported_scalars: ClassVar[int] = 1
    follows_no_law: ClassVar[bool] = True

    def errors(
        self, link: Link, clients: Integer, omega: Real, chosen: Integer
    ) -> tuple[float, float]:
        """Return the error for Gaussian updates of one scale; all of it is bias."""
        weights = renormalised(omega, chosen)
        noise = self.forcing_noise(link, clients[chosen], weights[chosen])
        error = vote_error(omega, weights, noise)
        return error, error

    def predicted_error(self, forecast: Forecast, uploads: Uploads, backoff: float) -> float | None:
        """Return None: a wrong sign is no noise on the mean."""
        return None

    def send(self, uploads: Uploads, link: Link, backoff: float) -> Reception:
        """Send the signs, decode the votes and scale them."""
        sizes = scales.group_sizes(uploads.matrix_sizes.tolist(), self.aggregation.group_scales)
        ends = np.cumsum(sizes)
        moduli = np.add.reduceat(np.abs(uploads.updates, dtype=np.float64), ends - sizes, axis=1)
        report = self._reported(moduli / sizes, sizes, uploads)
        step = uploads.omega @ as_reported(report.scales, uploads).deviations
        signs = np.where(uploads.updates < 0, np.float32(-1), np.float32(1))
        sent = self.votes(replace(uploads, updates=signs), link, backoff, step, sizes)
        votes = np.where(sent.mean < 0, -1.0, 1.0)
        mean = np.repeat(step, sizes) * votes
        error = relative_error(mean, uploads)
        sent = report.added_to(sent)
        return replace(sent, mean=mean, mse=error, predicted_mse=None, squared_bias=None)

    def votes(
        self, uploads: Uploads, link: Link, backoff: float, step: Real, sizes: Integer
    ) -> Reception:
        """Send the signs; the mean that is received has the sign of each vote.

        Parameters
        ----------
        uploads : Uploads
            Signs in place of updates.
        link : Link
        backoff : float
        step : ndarray, float, shape (B,)
            What the signs of a scale group are multiplied with; a group with 0 is not sent.
        sizes : ndarray, int, shape (B,)
            Entries of the scale groups.
        """
        return self.transmit(
            uploads,
            link,
            unit_scales(sizes, step > 0, uploads.omega),
            forced(link, uploads.clients, uploads.omega, backoff),
        )

    def _reported(self, moduli: Real, sizes: Integer, uploads: Uploads) -> Report:
        """Return the reports of the mean moduli, shape (S, B)."""
        measured = Scales(sizes, np.zeros_like(moduli), moduli)
        joint = self.aggregation.scale_reports == "joint"
        return self._coded(measured, uploads) if joint else Report(measured)


def unit_scales(sizes: Integer, sent: np.ndarray, omega: Real) -> Normalisation:
    """Return the scales of symbols that have unit power already."""
    shape = (len(omega), len(sizes))
    return Normalisation(
        scales=Scales(sizes, np.zeros(shape), np.ones(shape)),
        weights=omega,
        means=np.zeros(len(sizes)),
        deviations=sent.astype(np.float64),
        powers=sent.astype(np.float64),
        sent=sent,
        entries=int(sizes[sent].sum()),
        effective_weights=omega,
    )
