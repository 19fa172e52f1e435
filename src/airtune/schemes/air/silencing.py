"""Truncation: clients in a deep fade stay silent, so that they do not set the scale of all."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from airtune.kinds import Integer, Real
from airtune.radio import links
from airtune.radio.units import from_db
from airtune.schemes.air.analog import Analog
from airtune.schemes.air.measures import relative_error, renormalised, squared_scale
from airtune.schemes.air.messages import Forecast, Reception, Uploads
from airtune.schemes.link import Link

Estimate = Callable[[Integer], float]
"""Estimated error when these clients (indices into the round's) send."""


class Truncating(Analog):
    """An analog interface under which weak clients stay silent; a subclass has two methods."""

    @abstractmethod
    def errors(
        self, link: Link, clients: Integer, omega: Real, chosen: Integer
    ) -> tuple[float, float]:
        """Return the error over v^2 when the chosen send, and the part of it that is bias.

        Parameters
        ----------
        link : Link
        clients : ndarray, int, shape (S,)
        omega : ndarray, float, shape (S,)
            Their weights, sum 1.
        chosen : ndarray, int
            Indices into `clients`, at least one.
        """

    @abstractmethod
    def send(self, uploads: Uploads, link: Link, backoff: float) -> Reception:
        """Send the updates of those who are not silent; their weights sum to 1."""

    def forecast(self, link: Link, omega: Real, matrix_sizes: Integer) -> Forecast:
        """Return error and airtime of those who will send."""
        clients = np.flatnonzero(omega > 0)
        chosen = self._survivors(link, clients, omega[clients])
        if not len(chosen):  # nothing of the mean arrives
            lost = float(omega @ omega)
            return Forecast(lost, np.zeros(len(omega)), 0.0, backoff=False, bias=lost)
        mse, bias = self.errors(link, clients, omega[clients], chosen)
        weights = np.zeros(len(omega))
        weights[clients] = renormalised(omega[clients], chosen)
        forecast = self.forecast_of_all_entries(weights, matrix_sizes, mse, bias)
        # where all of the error is bias there is nothing that a back-off scales
        return forecast if bias < mse else replace(forecast, backoff=False)

    def predicted_error(self, forecast: Forecast, uploads: Uploads, backoff: float) -> float | None:
        """See :meth:`Analog.predicted_error`; what is lost with silent clients has no scale."""
        return forecast.bias + forecast.noise(backoff) * self.error_by_scales(uploads)

    def combine(self, uploads: Uploads, link: Link, backoff: float) -> Reception | None:
        """Send the updates of those who are not silent; None if everybody is."""
        chosen = self._survivors(link, uploads.clients, uploads.omega)
        return _send_of(uploads, chosen, lambda some: self.send(some, link, backoff))

    def _survivors(self, link: Link, clients: Integer, omega: Real) -> Integer:
        """Return who sends, as indices into `clients`; none if all are below a fixed threshold."""
        threshold = self.aggregation.truncation_db
        air = link.perceived.of(clients)
        snr = links.single_user_sinr(air.channel, air.covariance, link.radio.powers[clients])
        if threshold != "auto":
            return np.flatnonzero(snr >= from_db(threshold))
        return least_error(snr, omega, lambda chosen: self.errors(link, clients, omega, chosen)[0])


def least_error(snr: Real, omega: Real, estimate: Estimate) -> Integer:
    """Return the set of strongest clients with the least estimated error, ascending indices.

    The clients are ordered by their SNR over omega_k^2, which is what alignment needs, and the
    first n are taken, n of the least estimated error.

    Parameters
    ----------
    snr : ndarray, float, shape (S,)
        Received SNR of each client alone on the air, ``P_k h_k^H R^-1 h_k``.
    omega : ndarray, float, shape (S,)
        Weights, sum 1.
    estimate : callable
        Error of a choice: ascending indices.
    """
    order = np.argsort(-snr / omega**2, kind="stable")
    choices = [np.sort(order[: n + 1]) for n in range(len(order))]
    errors = [estimate(chosen) for chosen in choices]
    return choices[int(np.argmin(errors))]


def excluded_error(omega: Real, chosen: Integer) -> float:
    """Return what leaving out the others costs, ``sum_k (omega'_k - omega_k)^2``.

    In units of v^2, for uncorrelated updates of one scale.
    """
    missing = renormalised(omega, chosen) - omega
    return float(missing @ missing)


def _send_of(
    uploads: Uploads, chosen: Integer, send: Callable[[Uploads], Reception]
) -> Reception | None:
    """Send the updates of the chosen clients only; errors are those against the mean of all.

    Parameters
    ----------
    uploads : Uploads
    chosen : ndarray, int
        Indices into the uploads; nobody sends if empty.
    send : callable
        Sends the uploads of the chosen.
    """
    if not len(chosen):
        return None
    weights = renormalised(uploads.omega, chosen)
    some = uploads.of(chosen, weights[chosen])
    received = send(some)
    transmitted = np.zeros(len(weights), dtype=np.bool_)
    transmitted[chosen] = not received.lost
    uplink_j, sending_s = np.zeros(len(weights)), np.zeros(len(weights))
    uplink_j[chosen], sending_s[chosen] = received.uplink_j, received.times_s
    report_bits = None
    if received.report_bits is not None:
        report_bits = np.zeros(len(weights))
        report_bits[chosen] = received.report_bits
    alignment = received.alignment
    if alignment is not None:
        alignment = np.zeros(len(weights))
        alignment[chosen] = received.alignment
    predicted, mse = received.predicted_mse, received.mse
    if uploads.held is None:
        mse = relative_error(received.mean, uploads)
        if predicted is not None:
            lost = (weights - uploads.omega) @ uploads.updates.astype(np.float64)
            whole = squared_scale(uploads)
            predicted = (predicted * squared_scale(some) + float(lost @ lost)) / whole
    elif len(chosen) < len(weights):  # what the silent ones have is not known
        predicted = mse = None
    return replace(
        received,
        alignment=alignment,
        uplink_j=uplink_j,
        sending_s=sending_s,
        report_bits=report_bits,
        effective_weights=None,  # who is silent now may send in the next round
        mse=mse,
        predicted_mse=predicted,
        transmitted=transmitted,
    )
