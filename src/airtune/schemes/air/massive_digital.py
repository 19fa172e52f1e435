"""Massive digital over-the-air computation: the air counts who sends each word of a code book.

References
----------
.. [1] L. Qiao, Z. Gao, M. B. Mashhadi, D. Gündüz, "Massive digital over-the-air computation for
   communication-efficient federated edge learning", IEEE Journal on Selected Areas in
   Communications, 2024, arXiv:2405.15969.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from airtune.kinds import Floating, Integer, Real
from airtune.radio import scales
from airtune.radio.codeword_counts import CodeBook, code_book, estimated, expected_error
from airtune.radio.over_the_air import Aggregate, aggregate
from airtune.radio.transmission import Transmission
from airtune.schemes.air.analog import as_reported, forced, noise_after
from airtune.schemes.air.measures import relative_error, renormalised
from airtune.schemes.air.messages import Reception, Uploads
from airtune.schemes.air.one_bit import OneBit, unit_scales
from airtune.schemes.air.silencing import excluded_error
from airtune.schemes.link import Link
from airtune.streams import generator

_QUIET = 1e-12
"""Least variance of a count that is computed with."""


class MassiveDigital(OneBit):
    """Codebook sums over the air [1]_ in the form with one resource for each word.

    A client cuts its update, over the common scale of each group, into vectors of V =
    `digital.vector` entries, and sends for each the number of the word next to it, of N =
    `digital.codewords` that all share.  All send at once, pre-equalised; nobody's message is
    decoded: the server estimates by how many each word was sent, and takes the sum of words.

    In the paper a word is sent as a sequence shorter than N, the counts are found by approximate
    message passing, and who sends is found too.  Here sequences are orthogonal, one real dimension
    a word, so that each count has its own noise and its posterior mean is exact; the server knows
    who sends, for it selects them.  Ours are the weights omega_k (the paper's are equal: then
    senders are counted, else the estimate is linear), N antennas with the best beamformer,
    truncation as in :class:`OneBit`, and a code book made for Laplace entries instead of gradients
    of a data set.
    """

    about: ClassVar[str] = "sums of code book words, counted over the air"
    inexact: ClassVar[str | None] = (
        "the errors of a code book, of noise, interference and silent clients"
    )

    @property
    def _book(self) -> CodeBook:
        return code_book(self.digital.codewords, self.digital.vector)

    def airtime(self, entries: int) -> float:
        """Return the airtime of an upload: N real dimensions for each vector."""
        vectors = -(-entries // self.digital.vector)
        return super().airtime(vectors * self.digital.codewords)

    def errors(
        self, link: Link, clients: Integer, omega: Real, chosen: Integer
    ) -> tuple[float, float]:
        """Return the error for Laplace updates of one scale, by sampling; and what is no noise."""
        weights, book = renormalised(omega, chosen), self._book
        noise = self.forcing_noise(link, clients[chosen], weights[chosen])
        coded = excluded_error(omega, chosen) + float(weights @ weights) * book.distortion
        rng = generator(link.radio.seed, "words", link.radio.round)
        noise = max(noise / len(book.words), _QUIET)
        return coded + expected_error(book, weights[chosen], noise, rng), coded

    def send(self, uploads: Uploads, link: Link, backoff: float) -> Reception:
        """Send the words, estimate their weights, and add them up."""
        sizes = scales.group_sizes(uploads.matrix_sizes.tolist(), self.aggregation.group_scales)
        ends = np.cumsum(sizes)
        squares = np.add.reduceat(
            np.square(uploads.updates, dtype=np.float64), ends - sizes, axis=1
        )
        report = self._reported(np.sqrt(squares / sizes), sizes, uploads)
        step = uploads.omega @ as_reported(report.scales, uploads).deviations
        scale = np.repeat(step, sizes)
        sent, entries = scale > 0, uploads.updates.shape[1]
        transmission = forced(link, uploads.clients, uploads.omega, backoff)
        known = self.averaged(link.perceived.of(uploads.clients))
        noise = noise_after(transmission.beamformer, known)
        scaled = uploads.updates[:, sent], scale[sent]
        received = self._counts(uploads, link, transmission, scaled)
        weights = self._weights(received, uploads, noise)
        decoded = (weights @ self._book.words).ravel()[: int(sent.sum())]
        mean = np.zeros(entries)
        mean[sent] = scale[sent] * decoded
        airtime = self.airtime(self.booked_entries(int(sent.sum()), entries))
        wrong = uploads.impairments
        powers = received.powers if wrong is None else received.average_powers
        return report.added_to(
            Reception(
                mean=mean,
                uplink_j=powers * airtime,
                uplink_s=airtime,
                sending_s=None if wrong is None else airtime * wrong.sent,
                mse=relative_error(mean, uploads),
            )
        )

    def _counts(
        self,
        uploads: Uploads,
        link: Link,
        transmission: Transmission,
        scaled: tuple[Floating, Real],
    ) -> Aggregate:
        """Return the noisy sums of the resources, one for each word of each vector.

        A client is on one of N resources, so it sends there with N times its average power.
        """
        updates, scale = scaled
        length, book = self.digital.vector, self._book
        vectors = -(-updates.shape[1] // length)
        signals = np.zeros((len(updates), vectors, len(book.words)), np.float32)
        for own, update in zip(signals, updates, strict=True):
            padded = np.zeros(vectors * length)
            padded[: len(update)] = update / scale
            own[np.arange(vectors), book.nearest(padded.reshape(vectors, length))] = np.sqrt(
                len(book.words)
            )
        slot = () if uploads.slot is None else (uploads.slot,)
        return aggregate(
            signals.reshape(len(updates), -1),
            unit_scales(np.array([signals[0].size]), np.ones(1, np.bool_), uploads.omega),
            transmission,
            self.averaged(link.true.of(uploads.clients)),
            generator(link.radio.seed, "noise", link.radio.round, *slot),
            form=self.aggregation.form,
            impairments=uploads.impairments,
        )

    def _weights(self, received: Aggregate, uploads: Uploads, noise: float) -> Real:
        """Return the estimated weight of each word of each vector, shape (B, N).

        `noise` is ``w^H R w`` as the server expects it.
        """
        count = len(self._book.words)
        sums = received.mean.reshape(-1, count) / np.sqrt(count)
        return estimated(sums, uploads.omega, max(noise / count, _QUIET))
