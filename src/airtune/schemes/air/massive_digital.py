"""Massive digital over-the-air computation: the air counts who sends each word of a code book.

References
----------
.. [1] L. Qiao, Z. Gao, M. B. Mashhadi, D. Gündüz, "Massive digital over-the-air computation for
   communication-efficient federated edge learning", IEEE Journal on Selected Areas in
   Communications, 2024, arXiv:2405.15969.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

import numpy as np

from airtune.kinds import Floating, Integer, Real
from airtune.radio import scales
from airtune.radio.codeword_counts import CodeBook, code_book, estimated, expected_error
from airtune.radio.over_the_air import Aggregate, aggregate, parts_off
from airtune.radio.scales import Normalisation
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
        signals, common = self._signals(chosen), self._common(chosen, uploads.omega)
        there, wrong = self.averaged(link.true.of(uploads.clients)), uploads.impairments
        slot = () if uploads.slot is None else (uploads.slot,)
        received = aggregate(
            signals,
            common,
            transmission,
            there,
            generator(link.radio.seed, "noise", link.radio.round, *slot),
            form=self.aggregation.form,
            impairments=wrong,
        )
        weights = self._weights(received, uploads, noise)
        decoded = (weights @ self._book.words).ravel()[: int(sent.sum())]
        mean = np.zeros(entries)
        mean[sent] = scale[sent] * decoded
        airtime = self.airtime(self.booked_entries(int(sent.sum()), entries))
        bias = self._wrongly_scaled(chosen, some, scale[sent], meant[sent])
        if wrong is not None or np.abs(received.misalignment).max(initial=0.0) > _QUIET:
            parts = parts_off(signals, common, transmission, there, wrong)
            bias += self._shifts(parts, signals.shape, scale[sent])
        powers = received.powers if wrong is None else received.average_powers
        return report.added_to(
            Reception(
                mean=mean,
                uplink_j=powers * airtime,
                uplink_s=airtime,
                sending_s=None if wrong is None else airtime * wrong.sent,
                mse=relative_error(mean, uploads),
                squared_bias=bias**2,
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

    def _signals(self, chosen: Integer) -> Floating:
        """Return what each client sends on the resources, one for each word of each vector.

        A client is on one of N resources, so it sends there with N times its average power.
        """
        words = len(self._book.words)
        signals = np.zeros((*chosen.shape, words), np.float32)
        np.put_along_axis(signals, chosen[:, :, None], np.float32(np.sqrt(words)), axis=2)
        return signals.reshape(len(chosen), -1)

    def _common(self, chosen: Integer, omega: Real) -> Normalisation:
        """Return the scales of these signals, which have unit power."""
        resources = chosen.shape[1] * len(self._book.words)
        return unit_scales(np.array([resources]), np.ones(1, np.bool_), omega)

    def _weights(self, received: Aggregate, uploads: Uploads, noise: float) -> Real:
        """Return the estimated weight of each word of each vector, shape (B, N).

        `noise` is ``w^H R w`` as the server expects it.
        """
        count = len(self._book.words)
        sums = received.mean.reshape(-1, count) / np.sqrt(count)
        return estimated(sums, uploads.omega, max(noise / count, _QUIET))

    def _shifts(
        self, parts: Iterable[tuple[slice | Integer, Real]], shape: tuple[int, ...], scale: Real
    ) -> float:
        """Return how far what is off of the clients' sums moves the mean at most.

        The sums are taken as they arrive: what the estimate of the counts makes of them is not in
        it.  How the clients' parts are correlated is not known, so their lengths add up.

        Parameters
        ----------
        parts : iterable
            Of :func:`airtune.radio.over_the_air.parts_off`.
        shape : tuple of int
            Of the signals.
        scale : ndarray, float, shape (d,)
            Of each entry that is sent.
        """
        off = np.zeros(shape, np.float32)
        for entries, part in parts:
            off[:, entries] = part
        book, vectors = self._book.words, shape[1] // len(self._book.words)
        padded = np.zeros(vectors * self.digital.vector)
        padded[: len(scale)] = scale
        moved = math.fsum(
            float(np.linalg.norm(padded * (own.reshape(vectors, -1) @ book).ravel())) for own in off
        )
        return moved / math.sqrt(len(book))

    def _wrongly_scaled(self, chosen: Integer, uploads: Uploads, scale: Real, meant: Real) -> float:
        """Return how far wrong reports move the mean.

        They are judged by what the same updates would be as words over the right scale, `meant`.
        """
        if np.array_equal(scale, meant):
            return 0.0
        right = self._chosen(uploads.updates, meant)
        wrong, wanted = (
            self._sum_of(words, uploads.omega)[: len(scale)] for words in (chosen, right)
        )
        return float(np.linalg.norm(scale * wrong - meant * wanted))

    def _sum_of(self, chosen: Integer, omega: Real) -> Real:
        """Return the weighted sum of the words of all clients, entry by entry."""
        total = np.zeros(chosen.shape[1] * self.digital.vector)
        for weight, own in zip(omega, chosen, strict=True):
            total += weight * self._book.words[own].ravel()
        return total
