"""Signs of seeded differences, one bit each, and a majority vote at the server.

References
----------
.. [1] Z. Cai, H. Chen, G. Zhu, "FeedSign: robust full-parameter federated fine-tuning of large
   models with extremely low communication overhead of one bit", arXiv:2501.17610.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Self

import numpy as np

from airtune.kinds import Integer, Real
from airtune.radio.access import upload
from airtune.radio.impairments import clipping_of_gaussian
from airtune.radio.links import Airtime
from airtune.radio.majority import vote_error
from airtune.scenario import Scenario
from airtune.schemes.air.base import AirInterface
from airtune.schemes.air.measures import renormalised
from airtune.schemes.air.messages import Forecast, Reception, Uploads
from airtune.schemes.link import Link

_QUIET = 1e-12
"""Noise of a vote whose ballots are all decoded."""


class FeedSign(AirInterface):
    """One bit a number in both directions, and the majority of the signs [1]_.

    A client sends the sign of each of its n numbers, the server broadcasts the sign that most of
    them have, and steps along ``sum_p s_p z_p / n``, whatever the size of the differences: the mean
    here has the entries ``s_p / sqrt(n)``.  The paper has one direction a round and votes of equal
    weight; here there are n, and votes weigh omega_k.  Every ballot is decoded, at the Shannon rate
    under the best multiple access.
    """

    about: ClassVar[str] = "one-bit differences, majority of decoded votes"
    inexact: ClassVar[str | None] = "the errors of signs in place of numbers"
    tells_apart: ClassVar[bool] = True
    places_set_error: ClassVar[bool] = False
    books_twins: ClassVar[bool] = True
    sends_signs: ClassVar[bool] = True

    @classmethod
    def build(cls, scenario: Scenario) -> Self:
        """Return the interface of a scenario: its broadcast has one bit a number."""
        radio = scenario.radio.model_copy(update={"downlink_bits": 1})
        return cls(radio, scenario.aggregation, scenario.digital)

    def forecast(self, link: Link, omega: Real, matrix_sizes: Integer) -> Forecast:
        """Return airtime, and the error of signs for Gaussian numbers of one scale; all is bias."""
        clients, entries = np.flatnonzero(omega > 0), int(matrix_sizes.sum())
        bits = float(self.booked_entries(entries, entries))
        uplink = self.uplink(link, clients).expected
        sent = upload(uplink, np.full(len(clients), bits), self.digital.access)
        airtime, sending = np.zeros(len(omega)), np.zeros(len(omega))
        airtime[clients] = sent.energies_j / link.radio.powers[clients]  # at full power
        sending[clients] = sent.times_s
        error = vote_error(omega, omega, _QUIET)
        return Forecast(error, airtime, sent.time_s, backoff=False, bias=error, sending_s=sending)

    def predicted_error(self, forecast: Forecast, uploads: Uploads, backoff: float) -> float | None:
        """Return None: a wrong sign is no noise on the mean."""
        return None

    def combine(self, uploads: Uploads, link: Link, backoff: float) -> Reception:
        """Send the signs, decode every client's own, and count those that arrive."""
        whole, omega, wrong = uploads.whole, uploads.omega, uploads.impairments
        if whole.any() and not whole.all():
            omega = renormalised(omega, np.flatnonzero(whole))
        entries = uploads.updates.shape[1]
        votes = omega @ np.where(uploads.updates < 0, -1.0, 1.0)
        mean = np.where(votes < 0, -1.0, 1.0) / np.sqrt(entries)
        bits = np.full(len(omega), float(self.booked_entries(entries, entries)))
        sent = self._airtime(link, uploads.clients, bits, None if wrong is None else wrong.clip_db)
        return Reception(
            mean=mean if whole.any() else np.zeros(entries),
            uplink_j=sent.energies_j if wrong is None else sent.energies_j * wrong.sent,
            uplink_s=sent.time_s,
            sending_s=sent.times_s if wrong is None else sent.times_s * wrong.sent,
            transmitted=None if whole.all() else whole,
            lost=not whole.any(),
        )

    def _airtime(
        self, link: Link, clients: Integer, bits: Real, clip_db: float | None = None
    ) -> Airtime:
        """Return time and energy of these bits of each client, as a digital upload has them."""
        uplink = self.uplink(link, clients)
        if clip_db is not None:
            uplink = replace(uplink, clipping=clipping_of_gaussian(clip_db))
        return upload(uplink, bits, self.digital.access)
