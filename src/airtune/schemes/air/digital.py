"""Digital interface: every client's own update is decoded, quantised and at the Shannon rate.

References
----------
.. [1] D. Alistarh et al., "QSGD: communication-efficient SGD via gradient quantization and
   encoding", NeurIPS 2017.
.. [2] S. P. Karimireddy et al., "Error feedback fixes SignSGD and other gradient compression
   schemes", ICML 2019.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from airtune.kinds import Integer, Real
from airtune.radio import digital
from airtune.radio.access import upload
from airtune.radio.impairments import clipping_of_gaussian
from airtune.radio.links import Airtime
from airtune.scenario import Digital as Settings
from airtune.schemes.air.base import AirInterface
from airtune.schemes.air.measures import relative_error, renormalised
from airtune.schemes.air.messages import Forecast, Memory, Reception, Uploads
from airtune.schemes.link import Link
from airtune.streams import generator

BIT_CHOICES = (4, 8, 16)


class Digital(AirInterface):
    """Quantised updates [1]_ with error feedback [2]_ under the best multiple access.

    The access is that of least time each round (:mod:`airtune.radio.access`), the bits the
    fewest of 4, 8, 16 that keep the expected quantisation error of the mean below
    `digital.quality_db`; both can be set by hand.  Every client's own update is decoded, so a rule
    of `aggregation.robust` applies to them.
    """

    about: ClassVar[str] = "quantised updates, best multiple access"
    inexact: ClassVar[str | None] = "the errors of quantisation"
    remembers_entries: ClassVar[bool] = True
    tells_apart: ClassVar[bool] = True
    books_twins: ClassVar[bool] = True

    def forecast(self, link: Link, omega: Real, matrix_sizes: Integer) -> Forecast:
        """Return quantisation error and airtime at the bits that will be taken."""
        clients = np.flatnonzero(omega > 0)
        bits = bits_per_entry(omega, matrix_sizes, self.digital)
        entries, matrices = int(matrix_sizes.sum()), len(matrix_sizes)
        load = self._booked_bits(
            bits * entries + digital.RANGE_BITS * matrices, bits, entries, matrices
        )
        sent = self._airtime(link, clients, np.full(len(clients), float(load)))
        airtime, sending = np.zeros(len(omega)), np.zeros(len(omega))
        airtime[clients] = sent.energies_j / link.radio.powers[clients]  # at full power
        sending[clients] = sent.times_s
        error = digital.expected_error(matrix_sizes, bits)
        if self.aggregation.robust == "none":
            mse, bias = float(omega @ omega) * error, 0.0
        else:
            exact = np.zeros(len(clients))
            mse, bias = self.expected_errors(omega[clients], exact + error, exact)
        return Forecast(mse, airtime, sent.time_s, backoff=False, bias=bias, sending_s=sending)

    def combine(self, uploads: Uploads, link: Link, backoff: float) -> Reception | None:
        """Quantise, send and decode each client's own update, and average; None if all are lost.

        A packet that breaks off is lost and its airtime spent: the mean is that of the others, and
        its client remembers what it did before.
        """
        settings, radio = self.digital, link.radio
        entry_bits = bits_per_entry(uploads.omega, uploads.matrix_sizes, settings)
        whole, omega = uploads.whole, uploads.omega
        if not whole.any():
            return None
        if not whole.all():
            omega = renormalised(omega, np.flatnonzero(whole))
        memory: Memory = {}
        mean, bits = np.zeros(uploads.updates.shape[1]), np.zeros(len(uploads.clients))
        rule = self.aggregation.robust != "none"
        decoded = np.zeros(uploads.updates.shape if rule else (0, 0))
        for i, (client, update) in enumerate(
            zip(uploads.clients.tolist(), uploads.updates, strict=True)
        ):
            quantised, lost = digital.encode(
                update,
                uploads.memory.get(client),
                uploads.matrix_sizes,
                entry_bits,
                None
                if settings.error_feedback
                else generator(radio.seed, "quantisation", radio.round, client),
            )
            if lost is not None and whole[i]:
                memory[client] = lost
            if rule:
                decoded[i] = quantised.values
            else:
                mean += omega[i] * quantised.values
            bits[i] = self._booked_bits(
                quantised.bits, entry_bits, len(update), len(uploads.matrix_sizes)
            )
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

    def _booked_bits(self, bits: int, entry_bits: int, entries: int, matrices: int) -> int:
        """Return the bits that are booked for a quantised update of so many bits.

        Parameters
        ----------
        bits : int
            Its length, as of :func:`airtune.radio.digital.payload_bits`.
        entry_bits : int
            Bits of an entry.
        entries, matrices : int
            Of the update, sent or not.
        """
        sent = (bits - digital.RANGE_BITS * matrices) // entry_bits
        booked = self.booked_entries(sent, entries)
        return booked * entry_bits + digital.RANGE_BITS * self.booked_matrices(matrices)

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


def bits_per_entry(omega: Real, matrix_sizes: Integer, settings: Settings) -> int:
    """Return the bits of an entry: as set, or the fewest that meet `quality_db`, else the most."""
    if settings.bits != "auto":
        return settings.bits
    allowed = 10.0 ** (settings.quality_db / 10.0)
    for bits in BIT_CHOICES:
        if float(omega @ omega) * digital.expected_error(matrix_sizes, bits) <= allowed:
            return bits
    return BIT_CHOICES[-1]
