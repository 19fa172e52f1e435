"""Aligned analog sums over the air, and what other analog interfaces share with them.

References
----------
.. [1] K. Yang, T. Jiang, Y. Shi, Z. Ding, "Federated learning via over-the-air computation", IEEE
   Transactions on Wireless Communications 19(3), 2020.
.. [2] L. Chen, X. Qin, G. Wei, "A uniform-forcing transceiver design for over-the-air function
   computation", IEEE Wireless Communications Letters 7(6), 2018.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from airtune.costs import over_the_air_time
from airtune.kinds import Complex, Integer, Real
from airtune.radio import scales
from airtune.radio.over_the_air import Aggregate, aggregate
from airtune.radio.power_control import capped_alignment, misalignment
from airtune.radio.scales import Normalisation, Scales
from airtune.radio.transmission import Air, Transmission, uniform_forcing
from airtune.schemes.air.base import (
    AirInterface,
    Forecast,
    Reception,
    Uploads,
    relative_error,
    squared_scale,
)
from airtune.schemes.link import Link
from airtune.streams import generator, torch_seed


@dataclass(frozen=True)
class OverTheAir(AirInterface):
    """Aligned sum of all clients with the best receive beamformer (system model, 4 and 5).

    Uniform forcing [1]_ [2]_, or with `aggregation.alignment: capped` the transceiver of least
    error (:func:`airtune.radio.power_control.capped_alignment`).
    """

    about: str = "over the air, clients aligned"
    reported_scalars: ClassVar[int] = 2

    def forecast(self, link: Link, omega: Real, matrix_sizes: Integer) -> Forecast:
        if link.radio.scenario.aggregation.alignment == "forcing":
            mse = 1.0 / link.best_beamformer(omega).worst_gain
            return analog_forecast(link, omega, matrix_sizes, mse)
        clients = np.flatnonzero(omega > 0)
        air = link.perceived.of(clients)
        sent = aligned(link, clients, omega[clients], 1.0)
        missed = misalignment(air.channel, sent, omega[clients])
        bias = float(np.sum(np.abs(missed) ** 2))
        mse = noise_after(sent.beamformer, air) + bias
        forecast = analog_forecast(link, omega, matrix_sizes, mse, bias)
        # powers are chosen one by one: a common back-off would not scale the noise
        return replace(forecast, backoff=False)

    def combine(self, uploads: Uploads, link: Link, backoff: float) -> Reception | None:
        rule = link.radio.scenario.aggregation.normalise
        normalisation = scales.normalise_updates(reports(uploads, rule), uploads.omega, rule)
        nu = normalisation.effective_weights
        return send(uploads, link, normalisation, aligned(link, uploads.clients, nu, backoff))


def reports(uploads: Uploads, rule: scales.Normalise) -> Scales:
    """Return the clients' reports, one row a client and one column a block of the rule."""
    sizes = scales.block_sizes(uploads.matrix_sizes.tolist(), rule)
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
    link: Link, weights: Real, matrix_sizes: Integer, mse: float, bias: float = 0.0
) -> Forecast:
    """Return the forecast of an analog upload of all entries by the clients of weight > 0."""
    radio = link.radio.scenario.radio
    airtime = over_the_air_time(int(matrix_sizes.sum()), radio.bandwidth_hz, radio.efficiency)
    return Forecast(
        mse=mse,
        airtime_s=np.where(weights > 0, airtime, 0.0),
        uplink_s=airtime,
        backoff=True,
        bias=bias,
    )


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
        noise * float(np.sqrt(normalisation.block_errors[sent].min())),
        float(aligned.max()) * float(np.sqrt(normalisation.entries)) / noise,
    )
