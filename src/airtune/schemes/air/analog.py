"""What the analog interfaces share: all clients send at once, the air adds up."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np

from airtune.bound.faults import joint_bias
from airtune.costs import over_the_air_time
from airtune.errors import RoundWarning, clip
from airtune.kinds import Complex, Integer, Real
from airtune.radio import scales
from airtune.radio.held import aggregate_held
from airtune.radio.over_the_air import Aggregate, aggregate
from airtune.radio.reports import code_magnitudes, code_means
from airtune.radio.scales import Normalisation, Scales
from airtune.radio.transmission import Air, Transmission, uniform_forcing
from airtune.radio.wide_air import aggregate_subbands
from airtune.schemes.air.base import AirInterface
from airtune.schemes.air.measures import nothing_read, relative_error, squared_scale
from airtune.schemes.air.messages import Forecast, Memory, Reception, Uploads
from airtune.schemes.link import Link
from airtune.streams import generator


@dataclass(frozen=True)
class Report:
    """What the server holds of the clients' scales.

    Attributes
    ----------
    scales : Scales
        One row a client and one column a scale group.
    bits : ndarray, float, shape (S,), or None
        Length of each report; None: in full.
    memory : dict of int to ndarray, float, shape (2 B,)
        What both ends hold until the next report, by client.
    """

    scales: Scales
    bits: Real | None = None
    memory: Memory = field(default_factory=dict)

    def added_to(self, received: Reception) -> Reception:
        """Return a reception with the cost and the memory of the reports."""
        return replace(received, report_bits=self.bits, memory=self.memory)


class Analog(AirInterface):
    """An interface that sends the entries of the updates as analog symbols."""

    books_twins: ClassVar[bool] = True

    def airtime(self, entries: int) -> float:
        """Return the airtime of an upload of so many real entries [s].

        All resource blocks are on the air until the one with most symbols has sent them.
        """
        radio, row = self.radio, 2 * self.radio.resource_blocks
        if radio.resource_blocks > 1:
            entries = -(-entries // row) * row
        once = over_the_air_time(entries, radio.bandwidth_hz, radio.efficiency)
        return self.aggregation.sendings * once

    def repeating(self, count: int) -> Self:
        """Return the interface with every symbol sent `count` times."""
        settings = self.aggregation.model_copy(update={"repetition": count})
        return replace(self, aggregation=settings)

    def averaged(self, air: Air) -> Air:
        """Return the air with the noise and interference that are left of all repetitions."""
        count = self.aggregation.sendings
        powers = air.interference_powers / count
        return replace(air, noise=air.noise / count, interference_powers=powers)

    def forcing_noise(self, link: Link, clients: Integer, nu: Real) -> float:
        """Return the error of uniform forcing at full power, 1 / t; `nu` has shape (S,)."""
        best = link.best_beamformer(spread_weights(link, clients, nu))
        return 1.0 / best.worst_gain / self.aggregation.sendings

    def report(self, uploads: Uploads) -> Report:
        """Return the clients' scales as the server holds them, and what their reports cost."""
        sizes = scales.group_sizes(uploads.matrix_sizes.tolist(), self.aggregation.group_scales)
        measured = uploads.scales(sizes)
        if self.aggregation.scale_reports == "sequential":
            return Report(measured)
        return self._coded(measured, uploads)

    def _coded(self, measured: Scales, uploads: Uploads) -> Report:
        """Return scales as bits stand for them; memory: m_kb and v_kb of the last report."""
        bits, groups = self.aggregation.scale_bits, len(measured.sizes)
        means, deviations = np.zeros_like(measured.means), np.zeros_like(measured.means)
        lengths, memory = np.zeros(len(means)), dict[int, Real]()
        for k, client in enumerate(uploads.clients.tolist()):
            last = uploads.memory.get(client)
            last_means, last_deviations = (
                (None, None) if last is None else (last[:groups], last[groups:])
            )
            mean, cost = np.zeros(groups), 0.0
            if self.reported_scalars == 2:
                coded = code_means(measured.means[k], last_means, last_deviations, bits)
                mean, cost = coded.values, coded.bits
            about = np.hypot(measured.deviations[k], measured.means[k] - mean)
            size = code_magnitudes(about, last_deviations, bits)
            means[k], deviations[k], lengths[k] = mean, size.values, cost + size.bits
            memory[client] = np.concatenate([mean, size.values])
        if self.twin is not None and self.aggregation.group_scales != "global":
            lengths = lengths * (len(self.twin.matrix_sizes) / groups)
        return Report(Scales(measured.sizes, means, deviations), lengths, memory)

    def normalised(self, report: Report, uploads: Uploads) -> Normalisation:
        """Return the common scales that the server sets from the clients' reports."""
        common = scales.normalise_updates(
            as_reported(report.scales, uploads), uploads.omega, self.aggregation.group_scales
        )
        return replace(common, scales=report.scales)

    def predicted_error(self, forecast: Forecast, uploads: Uploads, backoff: float) -> float | None:
        """Return the error over v^2 that the server expects, with the powers of the scale groups.

        A forecast knows no scales and holds for `aggregation.normalise: block`.
        """
        return forecast.error(backoff) * self.error_by_scales(uploads)

    def error_by_scales(self, uploads: Uploads) -> float:
        """Return the error of the whole mean over v^2 where that of a symbol is 1."""
        if self.aggregation.group_scales == "block":
            return 1.0
        common = self.normalised(self.report(uploads), uploads)
        return common.total_error / squared_scale(uploads)

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
        entries = int(matrix_sizes.sum())
        airtime = self.airtime(self.booked_entries(entries, entries))
        return Forecast(
            mse=mse,
            airtime_s=np.where(weights > 0, airtime, 0.0),
            uplink_s=airtime,
            backoff=True,
            bias=bias,
        )

    def transmit(
        self,
        uploads: Uploads,
        link: Link,
        normalisation: Normalisation,
        *transmissions: Transmission,
    ) -> Reception:
        """Send the updates over the true air, decode their mean, and book what was sent.

        Parameters
        ----------
        uploads : Uploads
        link : Link
        normalisation : Normalisation
            Common scales of these clients.
        transmissions : Transmission
            Beamformer and b_k of these clients, one for each of `link.subbands`.
        """
        _tell_vanishing(normalisation, uploads, link.radio.round)
        slot = () if uploads.slot is None else (uploads.slot,)
        noise = generator(link.radio.seed, "noise", link.radio.round, *slot)
        airs = [self.averaged(one.true.of(uploads.clients)) for one in link.subbands]
        entries = self.booked_entries(normalisation.entries, uploads.entries)
        airtime, wrong, wanted = self.airtime(entries), uploads.impairments, None
        form = self.aggregation.form
        if uploads.held is not None:
            (sent,), (air,) = transmissions, airs
            arrived = aggregate_held(uploads.held, normalisation, sent, air, noise)
            if arrived is None:
                return nothing_read(uploads, sent.powers * airtime, airtime)
            received, wanted = arrived.aggregate, arrived.exact
        elif len(airs) > 1:
            received = aggregate_subbands(
                uploads.updates,
                normalisation,
                transmissions,
                airs,
                noise,
                form=form,
                impairments=wrong,
            )
        else:
            (sent,), (air,) = transmissions, airs
            received = aggregate(
                uploads.updates, normalisation, sent, air, noise, form=form, impairments=wrong
            )
        known = uploads.held is None or wanted is not None
        predicted = received.predicted_mse * normalisation.total_error
        noise_std, exposure = _concealment(normalisation, received)
        return Reception(
            mean=received.mean,
            uplink_j=(received.powers if wrong is None else received.average_powers) * airtime,
            uplink_s=airtime,
            sending_s=None if wrong is None else airtime * wrong.sent,
            effective_weights=spread_weights(
                link, uploads.clients, normalisation.effective_weights
            ),
            mse=relative_error(received.mean, uploads, wanted) if known else None,
            predicted_mse=predicted / squared_scale(uploads),
            noise_std=noise_std,
            exposure=exposure,
            squared_bias=_squared_bias(normalisation, received),
            alignment=_alignment(normalisation, received),
        )


def as_reported(own: Scales, uploads: Uploads) -> Scales:
    """Return the clients' reports as the server reads them."""
    return own if uploads.impairments is None else uploads.impairments.reported(own)


def _tell_vanishing(normalisation: Normalisation, uploads: Uploads, round_index: int) -> None:
    """Warn of clients that stay silent because their updates vanish beside those of others."""
    common = normalisation
    some = (common.scales.deviations[:, common.sent] > 0).any(axis=1)
    silent = uploads.clients[some & (common.weights > 0) & (common.effective_weights == 0)]
    new = [client for client in silent.tolist() if client not in uploads.told]
    if new:
        uploads.told.update(new)
        warnings.warn(
            f"clients {clip(', '.join(map(str, new)))} stay silent in round {round_index}: their "
            f"parts of the sum are below {scales.LEAST:g} of the largest one; later rounds in "
            "which they do are not told",
            RoundWarning,
            stacklevel=3,
        )


def _squared_bias(normalisation: Normalisation, received: Aggregate) -> float:
    """Return the most that the error that is no noise can be, squared.

    It is of misaligned clients and of wrong means, which at worst have one direction.
    """
    common = normalisation
    off = common.means - common.weights @ common.scales.means
    means = float(common.scales.sizes @ off**2)
    misaligned = received.squared_bias * common.total_error
    return joint_bias(misaligned, means)


def _alignment(normalisation: Normalisation, received: Aggregate) -> Real:
    """Return ``1 + Re e_k / nu_k``, shape (S,); NaN for clients of weight 0."""
    nu = normalisation.effective_weights
    off = np.full(len(nu), np.nan)
    np.divide(received.misalignment.real, nu, out=off, where=nu > 0)
    return 1.0 + off


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


def noise_after(beamformer: Complex, air: Air) -> float:
    """Return ``w^H R w``."""
    return float((beamformer.conj() @ air.covariance @ beamformer).real)


def _concealment(
    normalisation: Normalisation, received: Aggregate
) -> tuple[float | None, float | None]:
    """Return `noise_std` and `exposure` of a :class:`Reception` (see :mod:`airtune.study.privacy`).

    Entry by entry the mean carries noise of variance ``(v_b^2 / pi_b) w^H R w``; in these units
    client k adds ``w^H h_k b_k`` times a sequence of energy d.  Of several resource blocks the one
    with the least noise bounds all, and that in which a client stands out most.
    """
    if received.parts:
        pairs = [_concealment(normalisation, part) for part in received.parts]
        hidden = [(noise, seen) for noise, seen in pairs if noise is not None and seen is not None]
        if len(hidden) < len(pairs):
            return None, None
        return min(noise for noise, _ in hidden), max(seen for _, seen in hidden)
    sent = normalisation.sent
    if not sent.any() or received.noise_mse <= 0:
        return None, None
    aligned = np.abs(received.misalignment + normalisation.effective_weights)
    noise = float(np.sqrt(received.noise_mse))
    return (
        noise * float(np.sqrt(normalisation.group_errors[sent].min())),
        float(aligned.max()) * float(np.sqrt(normalisation.entries)) / noise,
    )
