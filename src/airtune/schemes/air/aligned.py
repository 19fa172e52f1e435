"""Aligned analog sums over the air.

References
----------
.. [1] K. Yang, T. Jiang, Y. Shi, Z. Ding, "Federated learning via over-the-air computation", IEEE
   Transactions on Wireless Communications 19(3), 2020.
.. [2] L. Chen, X. Qin, G. Wei, "A uniform-forcing transceiver design for over-the-air function
   computation", IEEE Wireless Communications Letters 7(6), 2018.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from airtune.kinds import Integer, Real
from airtune.radio.power_control import capped_alignment, misalignment
from airtune.radio.transmission import Transmission
from airtune.schemes.air.analog import Analog, forced, noise_after, spread_weights
from airtune.schemes.air.messages import Forecast, Reception, Uploads
from airtune.schemes.link import Link
from airtune.schemes.precoding import aligned
from airtune.streams import torch_seed


class OverTheAir(Analog):
    """Aligned sum of all clients with the best receive beamformer (system model, 4 and 5).

    Uniform forcing [1]_ [2]_, or with `aggregation.alignment: capped` the transceiver of least
    error (:func:`airtune.radio.power_control.capped_alignment`), for the paths as they are believed
    whatever `placement.robust` is.
    """

    about: ClassVar[str] = "over the air, clients aligned"
    inexact: ClassVar[str | None] = "the noise, interference and misalignment of the channel"
    reported_scalars: ClassVar[int] = 2
    wideband: ClassVar[bool] = True
    client_arrays: ClassVar[bool] = True
    needs_a_sum: ClassVar[bool] = True

    def forecast(self, link: Link, omega: Real, matrix_sizes: Integer) -> Forecast:
        """Return the error 1 / t of uniform forcing, or noise and bias of capped powers.

        In a wide band it is the mean over the resource blocks.
        """
        link = aligned(link, omega)
        if self.aggregation.alignment == "forcing":
            errors = [1.0 / one.best_beamformer(omega).worst_gain for one in link.subbands]
            mse = float(np.mean(errors)) / self.aggregation.sendings
            return self.forecast_of_all_entries(omega, matrix_sizes, mse)
        clients = np.flatnonzero(omega > 0)
        noises, biases = [], []
        for one in link.subbands:
            air = self.averaged(one.perceived.of(clients))
            sent = self.aligned(one, clients, omega[clients], 1.0)
            missed = misalignment(air.channel, sent, omega[clients])
            biases.append(float(np.sum(np.abs(missed) ** 2)))
            noises.append(noise_after(sent.beamformer, air))
        bias = float(np.mean(biases))
        mse = float(np.mean(noises)) + bias
        forecast = self.forecast_of_all_entries(omega, matrix_sizes, mse, bias)
        # powers are chosen one by one: a common back-off would not scale the noise
        return replace(forecast, backoff=False)

    def combine(self, uploads: Uploads, link: Link, backoff: float) -> Reception | None:
        """Send all updates at once, aligned by the effective weights that were reported."""
        report = self.report(uploads)
        normalisation = self.normalised(report, uploads)
        nu = normalisation.effective_weights
        link = aligned(link, spread_weights(link, uploads.clients, nu))
        sent = [self.aligned(one, uploads.clients, nu, backoff) for one in link.subbands]
        return report.added_to(self.transmit(uploads, link, normalisation, *sent))

    def aligned(self, link: Link, clients: Integer, nu: Real, backoff: float) -> Transmission:
        """Return beamformer and scalars in one resource block; `nu` has shape (S,)."""
        transmission = forced(link, clients, nu, backoff)
        if self.aggregation.alignment == "forcing":
            return transmission
        air = self.averaged(link.perceived.of(clients))
        seed = torch_seed(link.radio.seed, "alignment", link.radio.round) % 2**31
        powers = backoff * link.radio.powers[clients]
        return capped_alignment(
            air.channel, air.covariance, transmission.beamformer, nu, powers, seed=seed
        )
