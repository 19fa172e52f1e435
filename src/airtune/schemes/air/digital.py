"""Digital interface: every client's own update is decoded, quantised and at the Shannon rate.

References
----------
.. [1] D. Alistarh et al., "QSGD: communication-efficient SGD via gradient quantization and
   encoding", NeurIPS 2017.
.. [2] S. P. Karimireddy et al., "Error feedback fixes SignSGD and other gradient compression
   schemes", ICML 2019.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np

from airtune.kinds import Floating, Integer, Real
from airtune.radio import quantisers
from airtune.radio.access import upload
from airtune.radio.impairments import clipping_of_gaussian
from airtune.radio.links import Airtime
from airtune.radio.quantisers.coding import Coding
from airtune.scenario.digital import EXACT_PRODUCTS
from airtune.schemes.air import coding as codings
from airtune.schemes.air.base import AirInterface
from airtune.schemes.air.measures import relative_error, renormalised
from airtune.schemes.air.messages import Forecast, Memory, Reception, Uploads
from airtune.schemes.link import Link
from airtune.streams import generator


@dataclass(frozen=True)
class Digital(AirInterface):
    """Quantised updates [1]_, with error feedback [2]_ or without, under the best multiple access.

    The access is that of least time each round (:mod:`airtune.radio.access`).  Quantiser, bits and
    feedback (:mod:`airtune.radio.quantisers`) are set, or chosen for the run by predicted time
    (:mod:`airtune.schemes.air.coding`).  Every client's own update is decoded, so a rule of
    `aggregation.robust` applies to them.

    Attributes
    ----------
    coding : Coding or None
        As it was planned; None: what the settings say, and where they leave a choice the coding of
        least predicted time on the air.
    """

    coding: Coding | None = field(default=None, kw_only=True)
    about: ClassVar[str] = "quantised updates, best multiple access"
    inexact: ClassVar[str | None] = "the errors of quantisation"
    remembers_entries: ClassVar[bool] = True
    tells_apart: ClassVar[bool] = True
    plans_coding: ClassVar[bool] = True
    places_set_error: ClassVar[bool] = False
    books_twins: ClassVar[bool] = True
    wideband: ClassVar[bool] = True
    client_arrays: ClassVar[bool] = True

    def coded(self, coding: Coding) -> Self:
        """Return the interface with a coding of the updates."""
        return replace(self, coding=coding)

    def fastest(
        self, link: Link, omega: Real, matrix_sizes: Integer, beside_s: float
    ) -> Coding | None:
        """Return the coding of least predicted time; None where the settings leave no choice.

        The time of an upload is proportional to its bits under every access.
        """
        choice = self._candidates(omega, matrix_sizes)
        if len(choice) == 1:
            return None
        clients = np.flatnonzero(omega > 0)
        uplink = self.uplink(link, clients).expected
        one_bit_s = upload(uplink, np.ones(len(clients)), self.digital.access).time_s

        def seconds(coding: Coding) -> float:
            return beside_s + one_bit_s * self._expected_bits(coding, matrix_sizes)

        return codings.fastest(choice, omega, matrix_sizes, seconds)

    def forecast(self, link: Link, omega: Real, matrix_sizes: Integer) -> Forecast:
        """Return quantisation error and airtime with the coding that will be taken."""
        clients = np.flatnonzero(omega > 0)
        coding = self._coding(omega, matrix_sizes)
        load = self._expected_bits(coding, matrix_sizes)
        uplink = self.uplink(link, clients).expected
        sent = upload(uplink, np.full(len(clients), load), self.digital.access)
        airtime, sending = np.zeros(len(omega)), np.zeros(len(omega))
        airtime[clients] = sent.energies_j / link.radio.powers[clients]  # at full power
        sending[clients] = sent.times_s
        error = coding.quantiser.error_of(matrix_sizes, coding.feedback)
        if self.aggregation.robust == "none":
            mse, bias = float(omega @ omega) * error, 0.0
        else:
            exact = np.zeros(len(clients))
            mse, bias = self.expected_errors(omega[clients], exact + error, exact)
        return Forecast(mse, airtime, sent.time_s, backoff=False, bias=bias, sending_s=sending)

    def combine(self, uploads: Uploads, link: Link, backoff: float) -> Reception:
        """Quantise, send and decode each client's own update, and average.

        A packet that breaks off is lost and its airtime spent: the mean is that of the others, and
        its client remembers what it did before.
        """
        whole, omega = uploads.whole, uploads.omega
        if whole.any() and not whole.all():
            omega = renormalised(omega, np.flatnonzero(whole))
        coding, memory = self._coding(uploads.omega, uploads.matrix_sizes), Memory()
        mean, bits = np.zeros(uploads.updates.shape[1]), np.zeros(len(uploads.clients))
        rule = self.aggregation.robust != "none"
        one_by_one = self.digital.aggregation in EXACT_PRODUCTS
        decoded = np.zeros(uploads.updates.shape if rule or one_by_one else (0, 0))
        for i, (client, update) in enumerate(
            zip(uploads.clients.tolist(), uploads.updates, strict=True)
        ):
            quantised, lost = self._encode(coding, client, update, uploads, link)
            if lost is not None and whole[i]:
                memory[client] = lost
            if rule or one_by_one:
                decoded[i] = quantised.values
            if not rule:
                mean += omega[i] * quantised.values
            bits[i] = self.booked_bits(quantised, len(uploads.matrix_sizes))
        wrong = uploads.impairments
        sent = self._airtime(link, uploads.clients, bits, None if wrong is None else wrong.clip_db)
        received = Reception(
            mean=mean,
            uplink_j=sent.energies_j if wrong is None else sent.energies_j * wrong.sent,
            uplink_s=sent.time_s,
            sending_s=sent.times_s if wrong is None else sent.times_s * wrong.sent,
            memory=memory,
            transmitted=None if whole.all() else whole,
        )
        if not whole.any():
            return replace(received, mean=np.zeros_like(mean), lost=True)
        if one_by_one:
            received = replace(received, rows=decoded[whole], row_weights=omega[whole])
        if not rule:
            return replace(received, mse=relative_error(mean, uploads))
        mean, exact = (
            self.merged(rows[whole], omega[whole]) for rows in (decoded, uploads.updates)
        )
        return replace(
            received,
            mean=mean,
            mse=relative_error(mean, uploads, exact),
            rule_shift=relative_error(exact, uploads),
        )

    def _encode(
        self, coding: Coding, client: int, update: Floating, uploads: Uploads, link: Link
    ) -> tuple[quantisers.Quantised, Real | None]:
        """Quantise the update of a client; what it has to remember besides."""
        radio, rng = link.radio, None
        if not coding.feedback:
            rng = generator(radio.seed, "quantisation", radio.round, client)
        return quantisers.encode(
            coding.quantiser,
            update,
            uploads.memory.get(client),
            uploads.matrix_sizes,
            feedback=coding.feedback,
            rng=rng,
        )

    def _coding(self, omega: Real, matrix_sizes: Integer) -> Coding:
        """Return the coding of a round."""
        if self.coding is not None:
            return self.coding
        return codings.fastest(
            self._candidates(omega, matrix_sizes),
            omega,
            matrix_sizes,
            lambda coding: self._expected_bits(coding, matrix_sizes),
        )

    def _candidates(self, omega: Real, matrix_sizes: Integer) -> list[Coding]:
        """Return the codings among which is chosen.

        A robust rule over entries of which most clients send none, as with ``top-k``, makes them 0.
        """
        found = codings.candidates(self.digital, omega, matrix_sizes)
        if (
            self.digital.aggregation == "flora"
        ):  # begins with new factors: what was lost is of no use
            found = [coding for coding in found if not coding.feedback]
        if self.digital.quantizer != "planned" or self.aggregation.robust == "none":
            return found
        return [coding for coding in found if coding.quantizer != "top-k"]

    def _expected_bits(self, coding: Coding, matrix_sizes: Integer) -> float:
        """Return the bits that are expected to be booked for an upload."""
        quantiser, entries = coding.quantiser, int(matrix_sizes.sum())
        payload = quantiser.expected_bits(matrix_sizes) * self.booked_entries(entries, entries)
        headers = quantiser.group_bits * self.booked_matrices(len(matrix_sizes))
        return payload / entries + headers

    def _airtime(
        self, link: Link, clients: Integer, bits: Real, clip_db: float | None = None
    ) -> Airtime:
        """Return time and energy of these bits of each client, shape (S,).

        Where amplifiers clip, the symbols are taken as Gaussian and as sent with full power.
        """
        uplink = self.uplink(link, clients)
        if clip_db is not None:
            uplink = replace(uplink, clipping=clipping_of_gaussian(clip_db))
        return upload(uplink, bits, self.digital.access)
