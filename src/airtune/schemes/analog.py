"""Analog over-the-air interfaces: aligned sums, COTAF, truncated channel inversion.

References
----------
.. [1] K. Yang, T. Jiang, Y. Shi, Z. Ding, "Federated learning via over-the-air computation", IEEE
   Transactions on Wireless Communications 19(3), 2020.
.. [2] L. Chen, X. Qin, G. Wei, "A uniform-forcing transceiver design for over-the-air function
   computation", IEEE Wireless Communications Letters 7(6), 2018.
.. [3] T. Sery, N. Shlezinger, K. Cohen, Y. C. Eldar, "Over-the-air federated learning from
   heterogeneous data", IEEE Transactions on Signal Processing 69, 2021.
.. [4] G. Zhu, Y. Wang, K. Huang, "Broadband analog aggregation for low-latency federated edge
   learning", IEEE Transactions on Wireless Communications 19(1), 2020.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from airtune.planning.cost import over_the_air_time
from airtune.radio import scales
from airtune.radio.kinds import Complex, Integer, Real
from airtune.radio.over_the_air import Aggregate, aggregate
from airtune.radio.power_control import capped_alignment, misalignment
from airtune.radio.scales import Normalisation, Scales
from airtune.radio.transmission import Air, Transmission, uniform_forcing
from airtune.schemes.arrays import Link
from airtune.schemes.interfaces import (
    AirInterface,
    Forecast,
    Reception,
    Uploads,
    relative_error,
    squared_scale,
)
from airtune.schemes.truncation import excluded_error, renormalised, send_of, survivors
from airtune.streams import generator, torch_seed


@dataclass(frozen=True)
class OverTheAir(AirInterface):
    """Aligned sum of all clients with the best receive beamformer (system model, 4 and 5).

    Uniform forcing [1]_ [2]_, or with `aggregation.alignment: capped` the transceiver of least
    error (:func:`airtune.radio.power_control.capped_alignment`).
    """

    about: str = "over the air, clients aligned"
    reported_scalars: ClassVar[int] = 2

    def forecast(self, link: Link, omega: Real, block_sizes: Integer) -> Forecast:
        if link.radio.scenario.aggregation.alignment == "forcing":
            mse = 1.0 / link.best_beamformer(omega).worst_gain
            return analog_forecast(link, omega, block_sizes, mse)
        clients = np.flatnonzero(omega > 0)
        air = link.perceived.of(clients)
        sent = aligned(link, clients, omega[clients], 1.0)
        missed = misalignment(air.channel, sent, omega[clients])
        bias = float(np.sum(np.abs(missed) ** 2))
        mse = noise_after(sent.beamformer, air) + bias
        forecast = analog_forecast(link, omega, block_sizes, mse, bias)
        # powers are chosen one by one: a common back-off would not scale the noise
        return replace(forecast, backoff=False)

    def combine(self, uploads: Uploads, link: Link, backoff: float) -> Reception | None:
        rule = link.radio.scenario.aggregation.normalise
        normalisation = scales.normalise_updates(reports(uploads, rule), uploads.omega, rule)
        nu = normalisation.effective_weights
        return send(uploads, link, normalisation, aligned(link, uploads.clients, nu, backoff))


@dataclass(frozen=True)
class Cotaf(AirInterface):
    """Convergent over-the-air federated learning (COTAF) [3]_.

    One precoding factor for all, set by the largest update norm: as the updates shrink, they are
    sent with more gain, and the effective noise falls with them.  The norms of the round, which
    the clients report, stand in for the expectations of the paper; one factor a block where
    `aggregation.normalise` is not `global`, as for every analog scheme.

    Fading as in the paper: inverted by each client, those below a threshold stay silent
    (`aggregation.truncation_db`).  N antennas are our extension: what they receive is summed in
    proportion to the clients' own channels, ``w = sum_k h_k / |h_k|``, without any optimisation.
    """

    about: str = "precoding by the update norm"
    reported_scalars: ClassVar[int] = 1

    def forecast(self, link: Link, omega: Real, block_sizes: Integer) -> Forecast:
        """Return the error for updates of one norm; unlike norms raise it."""
        clients = np.flatnonzero(omega > 0)
        chosen = self._survivors(link, clients, omega[clients])
        if not len(chosen):
            return silence(omega)
        weights = renormalised(omega[clients], chosen)
        noise = self._noise(link, clients[chosen], weights[chosen])
        bias = excluded_error(omega[clients], chosen)
        spread = np.zeros(len(omega))
        spread[clients] = weights
        return analog_forecast(link, spread, block_sizes, noise + bias, bias)

    def combine(self, uploads: Uploads, link: Link, backoff: float) -> Reception | None:
        chosen = self._survivors(link, uploads.clients, uploads.omega)
        return send_of(uploads, link, chosen, lambda some: self._send(some, link, backoff))

    def _send(self, uploads: Uploads, link: Link, backoff: float) -> Reception:
        rule = link.radio.scenario.aggregation.normalise
        precoded = scales.precode_updates(reports(uploads, rule), uploads.omega, rule)
        received = send(
            uploads, link, precoded, self._inversion(link, uploads.clients, uploads.omega, backoff)
        )
        return replace(received, uplink_j=received.uplink_j * precoded.symbol_powers)

    def _survivors(self, link: Link, clients: Integer, omega: Real) -> Integer:
        return survivors(
            link,
            clients,
            omega,
            lambda chosen, weights: (
                self._noise(link, clients[chosen], weights) + excluded_error(omega, chosen)
            ),
        )

    def _noise(self, link: Link, clients: Integer, omega: Real) -> float:
        """Return ``w^H R w`` when these clients are aligned at full power."""
        sent = self._inversion(link, clients, omega, 1.0)
        return noise_after(sent.beamformer, link.perceived.of(clients))

    def _inversion(self, link: Link, clients: Integer, omega: Real, backoff: float) -> Transmission:
        channel = link.perceived.of(clients).channel
        combiner = np.sum(channel / np.linalg.norm(channel, axis=1)[:, None], axis=0)
        powers = link.radio.powers[clients]
        return uniform_forcing(channel, combiner, omega, powers, backoff)


@dataclass(frozen=True)
class Truncated(AirInterface):
    """Broadband analog aggregation with truncated channel inversion [4]_.

    A client in a deep fade stays silent, so that it does not set the scale of all; the sum is
    that of the others, their weights brought back to 1.  In the paper each subcarrier is truncated
    by itself; here the band is flat and the whole client is.  N antennas with the best beamformer
    for those who send are our extension, the gain ``|h|^2`` becomes the SNR of the client alone.
    """

    about: str = "truncated channel inversion"
    reported_scalars: ClassVar[int] = 2

    def forecast(self, link: Link, omega: Real, block_sizes: Integer) -> Forecast:
        clients = np.flatnonzero(omega > 0)
        chosen = self._survivors(link, clients, omega[clients])
        if not len(chosen):
            return silence(omega)
        bias = excluded_error(omega[clients], chosen)
        weights = np.zeros(len(omega))
        weights[clients] = renormalised(omega[clients], chosen)
        noise = 1.0 / link.best_beamformer(weights).worst_gain
        return analog_forecast(link, weights, block_sizes, noise + bias, bias)

    def combine(self, uploads: Uploads, link: Link, backoff: float) -> Reception | None:
        chosen = self._survivors(link, uploads.clients, uploads.omega)
        return send_of(uploads, link, chosen, lambda some: self._send(some, link, backoff))

    def _send(self, uploads: Uploads, link: Link, backoff: float) -> Reception:
        rule = link.radio.scenario.aggregation.normalise
        normalisation = scales.normalise_updates(reports(uploads, rule), uploads.omega, rule)
        nu = normalisation.effective_weights
        return send(uploads, link, normalisation, forced(link, uploads.clients, nu, backoff))

    def _survivors(self, link: Link, clients: Integer, omega: Real) -> Integer:
        return survivors(
            link,
            clients,
            omega,
            lambda chosen, weights: (
                forcing_noise(link, clients[chosen], weights) + excluded_error(omega, chosen)
            ),
        )


def reports(uploads: Uploads, rule: scales.Normalise) -> Scales:
    """Return the clients' reports, one row a client and one column a block of the rule."""
    sizes = scales.block_sizes(uploads.block_sizes.tolist(), rule)
    return scales.report_scales(uploads.updates, sizes)


def spread_weights(link: Link, clients: Integer, weights: Real) -> Real:
    """Return the weights of some clients as weights of all, shape (K,)."""
    nu = np.zeros(link.radio.scenario.clients.count)
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


def aligned(link: Link, clients: Integer, nu: Real, backoff: float) -> Transmission:
    """Return beamformer and scalars under the scenario's alignment; `nu` has shape (S,)."""
    transmission = forced(link, clients, nu, backoff)
    if link.radio.scenario.aggregation.alignment == "forcing":
        return transmission
    air = link.perceived.of(clients)
    seed = torch_seed(link.radio.seed, "alignment", link.radio.round) % 2**31
    powers = backoff * link.radio.powers[clients]
    return capped_alignment(
        air.channel, air.covariance, transmission.beamformer, nu, powers, seed=seed
    )


def noise_after(beamformer: Complex, air: Air) -> float:
    """Return ``w^H R w``."""
    return float((beamformer.conj() @ air.covariance @ beamformer).real)


def analog_forecast(
    link: Link, weights: Real, block_sizes: Integer, mse: float, bias: float = 0.0
) -> Forecast:
    """Return the forecast of an analog upload of all entries by the clients of weight > 0."""
    radio = link.radio.scenario.radio
    airtime = over_the_air_time(int(block_sizes.sum()), radio.bandwidth_hz, radio.efficiency)
    return Forecast(
        mse=mse,
        airtime_s=np.where(weights > 0, airtime, 0.0),
        uplink_s=airtime,
        backoff=True,
        bias=bias,
    )


def silence(omega: Real) -> Forecast:
    """Return the forecast of a round in which nobody may send: nothing of the mean arrives."""
    lost = float(omega @ omega)
    return Forecast(lost, np.zeros(len(omega)), 0.0, backoff=False, bias=lost)


def send(
    uploads: Uploads, link: Link, normalisation: Normalisation, transmission: Transmission
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
    scenario, radio = link.radio.scenario, link.radio.scenario.radio
    received = aggregate(
        uploads.updates,
        normalisation,
        transmission,
        link.true.of(uploads.clients),
        generator(link.radio.seed, "noise", link.radio.round),
        form=scenario.aggregation.form,
    )
    airtime = over_the_air_time(normalisation.entries, radio.bandwidth_hz, radio.efficiency)
    predicted = received.predicted_mse * normalisation.total_error
    noise_std, exposure = _concealment(normalisation, received)
    return Reception(
        mean=received.mean,
        uplink_j=received.powers * airtime,
        uplink_s=airtime,
        effective_weights=spread_weights(link, uploads.clients, normalisation.effective_weights),
        mse=relative_error(received.mean, uploads),
        predicted_mse=predicted / squared_scale(uploads),
        noise_std=noise_std,
        exposure=exposure,
    )


def _concealment(
    normalisation: scales.Normalisation, received: Aggregate
) -> tuple[float | None, float | None]:
    """Return `noise_std` and `exposure` of a :class:`Reception` (see :mod:`airtune.privacy`).

    Entry by entry the mean carries noise of variance ``(v_b^2 / pi_b) w^H R w``; in these units
    client k adds ``w^H h_k b_k`` times a sequence of energy d.
    """
    sent = normalisation.sent
    if not sent.any() or received.noise_mse <= 0:
        return None, None
    aligned = np.abs(received.misalignment + normalisation.effective_weights)
    noise = float(np.sqrt(received.noise_mse))
    return (
        noise * float(np.sqrt(normalisation.block_errors[sent].min())),
        float(aligned.max()) * float(np.sqrt(normalisation.entries)) / noise,
    )
