"""Digital interface: every client's own update is decoded, quantised and at the Shannon rate.

References
----------
.. [1] D. Alistarh et al., "QSGD: communication-efficient SGD via gradient quantization and
   encoding", NeurIPS 2017.
.. [2] S. P. Karimireddy et al., "Error feedback fixes SignSGD and other gradient compression
   schemes", ICML 2019.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from airtune.kinds import Integer, Real
from airtune.radio import digital
from airtune.radio.access import upload
from airtune.radio.links import Airtime
from airtune.scenario import Digital as Settings
from airtune.schemes.air.base import (
    AirInterface,
    Forecast,
    Memory,
    Reception,
    Uploads,
    relative_error,
)
from airtune.schemes.link import Link
from airtune.streams import generator

BIT_CHOICES = (4, 8, 16)


class Digital(AirInterface):
    """Quantised updates [1]_ with error feedback [2]_ under the best multiple access.

    The access is that of least time each round (:mod:`airtune.radio.access`), the bits the
    fewest of 4, 8, 16 that keep the expected quantisation error of the mean below
    `digital.quality_db`; both can be set by hand.
    """

    about: ClassVar[str] = "quantised updates, best multiple access"
    inexact: ClassVar[str | None] = "the errors of quantisation"

    def forecast(self, link: Link, omega: Real, matrix_sizes: Integer) -> Forecast:
        """Return quantisation error and airtime at the bits that will be taken."""
        clients = np.flatnonzero(omega > 0)
        bits = bits_per_entry(omega, matrix_sizes, self.digital)
        load = bits * int(matrix_sizes.sum()) + digital.RANGE_BITS * len(matrix_sizes)
        sent = self._airtime(link, clients, np.full(len(clients), float(load)))
        airtime, sending = np.zeros(len(omega)), np.zeros(len(omega))
        airtime[clients] = sent.energies_j / link.radio.powers[clients]  # at full power
        sending[clients] = sent.times_s
        mse = float(omega @ omega) * digital.expected_error(matrix_sizes, bits)
        return Forecast(mse, airtime, sent.time_s, backoff=False, sending_s=sending)

    def combine(self, uploads: Uploads, link: Link, backoff: float) -> Reception:
        """Quantise, send and decode each client's own update, and average."""
        settings, radio = self.digital, link.radio
        entry_bits = bits_per_entry(uploads.omega, uploads.matrix_sizes, settings)
        memory: Memory = {}
        mean, bits = np.zeros(uploads.updates.shape[1]), np.zeros(len(uploads.clients))
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
            if lost is not None:
                memory[client] = lost
            mean += uploads.omega[i] * quantised.values
            bits[i] = quantised.bits
        sent = self._airtime(link, uploads.clients, bits)
        return Reception(
            mean=mean,
            uplink_j=sent.energies_j,
            uplink_s=sent.time_s,
            sending_s=sent.times_s,
            mse=relative_error(mean, uploads),
            memory=memory,
        )

    def _airtime(self, link: Link, clients: Integer, bits: Real) -> Airtime:
        """Return time and energy of these bits of each client, shape (S,)."""
        return upload(self.uplink(link, clients), bits, self.digital.access)


def bits_per_entry(omega: Real, matrix_sizes: Integer, settings: Settings) -> int:
    """Return the bits of an entry: as set, or the fewest that meet `quality_db`, else the most."""
    if settings.bits != "auto":
        return settings.bits
    allowed = 10.0 ** (settings.quality_db / 10.0)
    for bits in BIT_CHOICES:
        if float(omega @ omega) * digital.expected_error(matrix_sizes, bits) <= allowed:
            return bits
    return BIT_CHOICES[-1]
