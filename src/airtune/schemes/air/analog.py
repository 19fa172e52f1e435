"""What the analog interfaces share: all clients send at once, the air adds up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from airtune.costs import over_the_air_time
from airtune.kinds import Complex, Integer, Real
from airtune.radio import scales
from airtune.radio.over_the_air import Aggregate, aggregate
from airtune.radio.scales import Normalisation, Scales
from airtune.radio.transmission import Air, Transmission, uniform_forcing
from airtune.schemes.air.base import AirInterface, Forecast, Reception, Uploads
from airtune.schemes.air.measures import relative_error, squared_scale
from airtune.schemes.link import Link
from airtune.streams import generator


class Analog(AirInterface):
    """An interface that sends the entries of the updates as analog symbols."""

    def airtime(self, entries: int) -> float:
        """Return the airtime of an upload of so many real entries [s]."""
        return over_the_air_time(entries, self.radio.bandwidth_hz, self.radio.efficiency)

    def reports(self, uploads: Uploads) -> Scales:
        """Return the clients' reports, one row a client and one column a scale group."""
        sizes = scales.group_sizes(uploads.matrix_sizes.tolist(), self.aggregation.normalise)
        return scales.report_scales(uploads.updates, sizes)

    def normalised(self, uploads: Uploads) -> Normalisation:
        """Return the common scales that the server sets from the clients' reports."""
        own = self.reports(uploads)
        common = scales.normalise_updates(
            as_reported(own, uploads), uploads.omega, self.aggregation.normalise
        )
        return replace(common, scales=own)

    def forecast_of_all_entries(
        self, weights: Real, matrix_sizes: Integer, mse: float, bias: float = 0.0
    ) -> Forecast:
        """Return the forecast of an upload of all entries by the clients of weight > 0.

        Parameters
        ----------
        weights : ndarray, float, shape (K,)
        matrix_sizes : ndarray, int, shape (B,)
            Entries of each adapter matrix.
        mse, bias : float
            As in :class:`airtune.schemes.Forecast`.
        """
        airtime = self.airtime(int(matrix_sizes.sum()))
        return Forecast(
            mse=mse,
            airtime_s=np.where(weights > 0, airtime, 0.0),
            uplink_s=airtime,
            backoff=True,
            bias=bias,
        )

    def transmit(
        self, uploads: Uploads, link: Link, normalisation: Normalisation, transmission: Transmission
    ) -> Reception:
        """Send the updates over the true air, decode their mean, and book what was sent.

        Parameters
        ----------
        uploads : Uploads
        link : Link
        normalisation : Normalisation
            Common scales of these clients.
        transmission : Transmission
            Beamformer and b_k of these clients.
        """
        slot = () if uploads.slot is None else (uploads.slot,)
        received = aggregate(
            uploads.updates,
            normalisation,
            transmission,
            link.true.of(uploads.clients),
            generator(link.radio.seed, "noise", link.radio.round, *slot),
            form=self.aggregation.form,
            impairments=uploads.impairments,
        )
        airtime = self.airtime(normalisation.entries)
        impaired = uploads.impairments is not None
        predicted = received.predicted_mse * normalisation.total_error
        noise_std, exposure = _concealment(normalisation, received)
        return Reception(
            mean=received.mean,
            uplink_j=(received.average_powers if impaired else received.powers) * airtime,
            uplink_s=airtime,
            effective_weights=spread_weights(
                link, uploads.clients, normalisation.effective_weights
            ),
            mse=relative_error(received.mean, uploads),
            predicted_mse=predicted / squared_scale(uploads),
            noise_std=noise_std,
            exposure=exposure,
            squared_bias=_squared_bias(normalisation, received),
        )


def as_reported(own: Scales, uploads: Uploads) -> Scales:
    """Return the clients' reports as the server reads them."""
    return own if uploads.impairments is None else uploads.impairments.reported(own)


def _squared_bias(normalisation: Normalisation, received: Aggregate) -> float:
    """Return the squared error that is no noise: of misaligned clients, and of wrong means."""
    common = normalisation
    off = common.means - common.weights @ common.scales.means
    return received.squared_bias * common.total_error + float(common.scales.sizes @ off**2)


def spread_weights(link: Link, clients: Integer, weights: Real) -> Real:
    """Return the weights of some clients as weights of all, shape (K,)."""
    nu = np.zeros(len(link.radio.powers))
    nu[clients] = weights
    return nu


def forced(link: Link, clients: Integer, nu: Real, backoff: float) -> Transmission:
    """Return uniform forcing with the best beamformer; `nu` has shape (S,)."""
    best = link.best_beamformer(spread_weights(link, clients, nu))
    channel, powers = link.perceived.of(clients).channel, link.radio.powers[clients]
    return uniform_forcing(channel, best.beamformer, nu, powers, backoff)


def forcing_noise(link: Link, clients: Integer, nu: Real) -> float:
    """Return the error of uniform forcing at full power, 1 / t; `nu` has shape (S,)."""
    return 1.0 / link.best_beamformer(spread_weights(link, clients, nu)).worst_gain


def noise_after(beamformer: Complex, air: Air) -> float:
    """Return ``w^H R w``."""
    return float((beamformer.conj() @ air.covariance @ beamformer).real)


def _concealment(
    normalisation: Normalisation, received: Aggregate
) -> tuple[float | None, float | None]:
    """Return `noise_std` and `exposure` of a :class:`Reception` (see :mod:`airtune.study.privacy`).

    Entry by entry the mean carries noise of variance ``(v_b^2 / pi_b) w^H R w``; in these units
    client k adds ``w^H h_k b_k`` times a sequence of energy d.
    """
    sent = normalisation.sent
    if not sent.any() or received.noise_mse <= 0:
        return None, None
    aligned = np.abs(received.misalignment + normalisation.effective_weights)
    noise = float(np.sqrt(received.noise_mse))
    return (
        noise * float(np.sqrt(normalisation.group_errors[sent].min())),
        float(aligned.max()) * float(np.sqrt(normalisation.entries)) / noise,
    )
