"""Massive digital over-the-air computation: the air counts who sends each word of a code book.

References
----------
.. [1] L. Qiao, Z. Gao, M. B. Mashhadi, D. Gündüz, "Massive digital over-the-air computation for
   communication-efficient federated edge learning", IEEE Journal on Selected Areas in
   Communications, 2024, arXiv:2405.15969.
"""

from __future__ import annotations

from dataclasses import replace
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
        meant = np.repeat(uploads.omega @ report.scales.deviations, sizes)
        transmission = forced(link, uploads.clients, uploads.omega, backoff)
        known = self.averaged(link.perceived.of(uploads.clients))
        noise = noise_after(transmission.beamformer, known)
        some = replace(uploads, updates=uploads.updates[:, sent])
        chosen = self._chosen(some.updates, scale[sent])
        received = self._counts(uploads, link, transmission, chosen)
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
                squared_bias=self._squared_bias(received, chosen, some, scale[sent], meant[sent]),
            )
        )

    def _chosen(self, updates: Floating, scale: Real) -> Integer:
        """Return the number of the word that each client sends for each vector, shape (S, B)."""
        length = self.digital.vector
        padded = np.zeros(-(-updates.shape[1] // length) * length)
        chosen = np.zeros((len(updates), len(padded) // length), np.int64)
        for own, update in zip(chosen, updates, strict=True):
            padded[: len(update)] = update / scale
            own[:] = self._book.nearest(padded.reshape(-1, length))
        return chosen

    def _counts(
        self, uploads: Uploads, link: Link, transmission: Transmission, chosen: Integer
    ) -> Aggregate:
        """Return the noisy sums of the resources, one for each word of each vector.

        A client is on one of N resources, so it sends there with N times its average power.
        """
        words = len(self._book.words)
        signals = np.zeros((*chosen.shape, words), np.float32)
        np.put_along_axis(signals, chosen[:, :, None], np.float32(np.sqrt(words)), axis=2)
        slot = () if uploads.slot is None else (uploads.slot,)
        return aggregate(
            signals.reshape(len(chosen), -1),
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

    def _squared_bias(
        self, received: Aggregate, chosen: Integer, uploads: Uploads, scale: Real, meant: Real
    ) -> float:
        """Return the most that misaligned clients and wrong reports shift the mean, squared.

        What is in phase of ``e_k`` multiplies the words that client k has sent, what is not adds
        those of the other half of the same complex symbols.  The sums are taken as they arrive:
        what the estimate of the counts makes of them is not in it.  Wrong reports are judged by
        what the same updates would be as words over the right scale, `meant`.
        """
        count, book = len(self._book.words), self._book.words
        padded = np.zeros(chosen.shape[1] * self.digital.vector)
        padded[: len(scale)] = scale
        steps = padded.reshape(-1, self.digital.vector)
        shift = 0.0
        for e, own in zip(received.misalignment, chosen, strict=True):
            halves = (np.arange(len(own)) * count + own) ^ 1
            vectors, others = np.divmod(halves[halves < own.size * count], count)
            shift += abs(e.real) * float(np.linalg.norm(steps * book[own]))
            shift += abs(e.imag) * float(np.linalg.norm(steps[vectors] * book[others]))
        if not np.array_equal(scale, meant):
            right = self._chosen(uploads.updates, meant)
            wrong, wanted = (
                self._sum_of(words, uploads.omega)[: len(scale)] for words in (chosen, right)
            )
            shift += float(np.linalg.norm(scale * wrong - meant * wanted))
        return shift**2

    def _sum_of(self, chosen: Integer, omega: Real) -> Real:
        """Return the weighted sum of the words of all clients, entry by entry."""
        total = np.zeros(chosen.shape[1] * self.digital.vector)
        for weight, own in zip(omega, chosen, strict=True):
            total += weight * self._book.words[own].ravel()
        return total
