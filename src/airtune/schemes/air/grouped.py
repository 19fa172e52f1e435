"""Grouped sums: groups of clients send one after the other, and a robust rule merges their sums.

A sum over the air hides who sent what, so a single poisoned client moves it as far as it likes.
Split into groups, each with a slot of its own, the server has several sums to compare [1]_.

References
----------
.. [1] H. Sifaou, G. Y. Li, "Robust federated learning via over-the-air computation",
   arXiv:2111.01221.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from airtune.kinds import Integer, Real
from airtune.radio import robust
from airtune.scenario.costs import CostTwin
from airtune.schemes.air.analog import Analog, spread_weights
from airtune.schemes.air.base import AirInterface
from airtune.schemes.air.measures import relative_error, squared_scale
from airtune.schemes.air.messages import Forecast, Reception, Uploads
from airtune.schemes.air.signalling import Overheads, Signalling
from airtune.schemes.link import Link
from airtune.streams import generator


@dataclass(frozen=True)
class _Slot:
    """What one group has sent.

    Attributes
    ----------
    members : ndarray, int
        Indices into the uploads of all.
    share : float
        Weight of the group.
    uploads : Uploads
        Of its members, their weights brought to sum 1.
    received : Reception or None
        None: all of them were silent.
    """

    members: Integer
    share: float
    uploads: Uploads
    received: Reception | None

    @property
    def exact(self) -> Real:
        """Weighted mean of the group's updates, shape (d,)."""
        return np.asarray(self.uploads.omega @ self.uploads.updates.astype(np.float64))


@dataclass(frozen=True)
class Grouped(AirInterface):
    """Another interface, used once for each of `aggregation.groups` groups of clients.

    The clients are split at random, anew each round and for all schemes alike, into groups of like
    number.  Each group has its own slot with its own beamformer, scales and noise; the airtime is
    that of all slots, and a client sends in one of them.  The antennas stand where the sum of all
    clients would want them.  `aggregation.robust` merges the means of the groups by their weights;
    with `none` that is their weighted mean.  A group whose clients are all silent is left out.

    Attributes
    ----------
    inner : AirInterface
        How a group sends.
    """

    inner: AirInterface
    about: ClassVar[str] = "sums of groups of clients"

    def repeating(self, count: int) -> Self:
        """Return the interface with every symbol of every group sent `count` times."""
        inner = self.inner.repeating(count)
        return self if inner is self.inner else replace(self, inner=inner)

    def booking(self, twin: CostTwin) -> Self:
        """Return this interface and the one in it with another cost twin."""
        return replace(self, twin=twin, inner=self.inner.booking(twin))

    def split(self, clients: Integer, link: Link) -> list[Integer]:
        """Return the groups of a round as indices into `clients`, ascending.

        Parameters
        ----------
        clients : ndarray, int, shape (S,)
            Indices of those that send among all clients.
        link : Link
        """
        count = len(link.radio.powers)
        places = generator(link.radio.seed, "groups", link.radio.round).permutation(count)
        order = np.argsort(places[clients], kind="stable")
        number = min(self.aggregation.groups, len(clients))
        return [np.sort(group) for group in np.array_split(order, number)]

    def forecast(self, link: Link, omega: Real, matrix_sizes: Integer) -> Forecast:
        """Return the error of the merged sums and the airtime of all slots.

        The error of a robust rule is that for uncorrelated Gaussian updates of one scale.
        """
        clients = np.flatnonzero(omega > 0)
        groups = [clients[members] for members in self.split(clients, link)]
        shares = np.array([omega[group].sum() for group in groups])
        slots = []
        for group, share in zip(groups, shares, strict=True):
            weights = spread_weights(link, group, omega[group] / share)
            slots.append(self.inner.forecast(link, weights, matrix_sizes))
        spreads = [np.linalg.norm(omega[g]) / w for g, w in zip(groups, shares, strict=True)]
        mse, bias = robust.expected_errors(
            shares / shares.sum(),
            np.array(spreads),
            np.array([slot.mse for slot in slots]),
            np.array([slot.bias for slot in slots]),
            self.aggregation.robust,
            self.aggregation.trim,
        )
        return Forecast(
            mse=mse,
            airtime_s=np.sum([slot.airtime_s for slot in slots], axis=0),
            uplink_s=float(sum(slot.uplink_s for slot in slots)),
            backoff=all(slot.backoff for slot in slots),
            bias=bias,
            sending_s=np.sum(
                [slot.airtime_s if slot.sending_s is None else slot.sending_s for slot in slots],
                axis=0,
            ),
        )

    def predicted_error(self, forecast: Forecast, uploads: Uploads, backoff: float) -> float | None:
        """Return the error over v^2 that the server expects; scales as if all sent at once."""
        return self.inner.predicted_error(forecast, uploads, backoff)

    def combine(self, uploads: Uploads, link: Link, backoff: float) -> Reception | None:
        """Let each group send in its slot, and merge what was received."""
        slots = [
            self._send(uploads, members, number, link, backoff)
            for number, members in enumerate(self.split(uploads.clients, link))
        ]
        heard = [(slot, slot.received) for slot in slots if slot.received is not None]
        if not heard:
            return None
        shares = np.array([slot.share for slot, _ in heard])
        mean = self.merged(np.array([got.mean for _, got in heard]), shares / shares.sum())
        wanted = None
        if self.aggregation.robust != "none":
            exact = np.array([slot.exact for slot in slots])
            wanted = self.merged(exact, np.array([slot.share for slot in slots]))
        count = len(uploads.clients)
        joules, times, sent = np.zeros(count), np.zeros(count), np.zeros(count, np.bool_)
        alignment = np.full(count, np.nan)
        for slot, got in heard:
            joules[slot.members], times[slot.members] = got.uplink_j, got.times_s
            if got.alignment is not None:
                alignment[slot.members] = got.alignment
            sent[slot.members] = True if got.transmitted is None else got.transmitted
        noise_std, exposure = self._concealment(heard)
        return Reception(
            mean=mean,
            uplink_j=joules,
            uplink_s=float(sum(got.uplink_s for _, got in heard)),
            effective_weights=self._effective_weights(uploads, link, heard),
            mse=relative_error(mean, uploads, wanted),
            predicted_mse=self._predicted(uploads, slots),
            memory={client: row for _, got in heard for client, row in got.memory.items()},
            noise_std=noise_std,
            exposure=exposure,
            transmitted=None if sent.all() else sent,
            sending_s=times,
            report_bits=_report_bits(count, heard),
            squared_bias=self._squared_bias(heard),
            rule_shift=None if wanted is None else relative_error(wanted, uploads),
            alignment=None if np.isnan(alignment).all() else alignment,
        )

    def _send(
        self, uploads: Uploads, members: Integer, number: int, link: Link, backoff: float
    ) -> _Slot:
        """Send the updates of one group."""
        share = float(uploads.omega[members].sum())
        wrong = uploads.impairments
        some = replace(
            uploads,
            impairments=None if wrong is None else wrong.of(members),
            updates=uploads.updates[members],
            clients=uploads.clients[members],
            omega=uploads.omega[members] / share,
            slot=number,
        )
        if np.any(some.updates):
            return _Slot(members, share, some, self.inner.combine(some, link, backoff))
        # the reports say that there is nothing to send
        nothing = Reception(
            np.zeros(uploads.updates.shape[1]), np.zeros(len(members)), squared_bias=0.0
        )
        if isinstance(self.inner, Analog):
            nothing = self.inner.report(some).added_to(nothing)
        return _Slot(members, share, some, nothing)

    def _effective_weights(
        self, uploads: Uploads, link: Link, heard: list[tuple[_Slot, Reception]]
    ) -> Real | None:
        """Return nu_k as if all had sent at once, from the reports of this round."""
        told = [got.effective_weights for slot, got in heard if np.any(slot.uploads.updates)]
        if any(weights is None for weights in told) or not isinstance(self.inner, Analog):
            return None  # who is silent now may send in the next round
        nu = self.inner.normalised(self.inner.report(uploads), uploads).effective_weights
        return spread_weights(link, uploads.clients, nu)

    def _predicted(self, uploads: Uploads, slots: list[_Slot]) -> float | None:
        """Return the predicted error of the mean of all sums; None where a rule or silence acts."""
        if self.aggregation.robust != "none":
            return None
        total = 0.0
        for slot in slots:
            got = slot.received
            if got is None or got.transmitted is not None:
                return None
            if not np.any(slot.uploads.updates):
                continue
            if got.predicted_mse is None:
                return None
            total += slot.share**2 * got.predicted_mse * squared_scale(slot.uploads)
        return total / squared_scale(uploads)

    def _squared_bias(self, heard: list[tuple[_Slot, Reception]]) -> float | None:
        """Return the most that the squared bias of the mean of the sums can be; None: not known.

        By the triangle inequality: wrong means of several groups may point the same way.
        """
        biases = [got.squared_bias for _, got in heard if got.squared_bias is not None]
        if self.aggregation.robust != "none" or len(biases) < len(heard):
            return None
        shares = np.array([slot.share for slot, _ in heard])
        return float((shares / shares.sum()) @ np.sqrt(biases)) ** 2

    def _concealment(
        self, heard: list[tuple[_Slot, Reception]]
    ) -> tuple[float | None, float | None]:
        """Return `noise_std` and `exposure` of a :class:`Reception`.

        A client is in one sum only, so the noise of its slot hides it.  The mean of all sums
        carries the noise of all slots.  Of a robust rule no such thing is known; but what it makes
        of the sums tells no more than they do (post-processing), so the slot with the least noise,
        in units of the mean, bounds all.
        """
        total = sum(slot.share for slot, _ in heard)
        noises, exposures = [], []
        for slot, got in heard:
            if got.noise_std is not None and got.exposure is not None:
                noises.append(slot.share / total * got.noise_std)
                exposures.append(got.exposure)
        if not noises:
            return None, None
        mean = self.aggregation.robust == "none"
        return float(np.linalg.norm(noises) if mean else min(noises)), max(exposures)

    def overheads(
        self,
        broadcast: Link,
        upload: Link,
        clients: Integer,
        matrix_sizes: Integer,
        signalling: Signalling | None = None,
    ) -> Overheads:
        """Return the overheads of the interface: each client reports once, to its own group."""
        return self.inner.overheads(broadcast, upload, clients, matrix_sizes, signalling)

    def pilots(
        self,
        link: Link,
        clients: Integer,
        matrix_sizes: Integer,
        signalling: Signalling | None = None,
    ) -> Overheads:
        """Return the pilots of the interface."""
        return self.inner.pilots(link, clients, matrix_sizes, signalling)

    def reported_bits(self, matrix_sizes: Integer) -> int:
        """Return the length of a report of the interface in full [bit]."""
        return self.inner.reported_bits(matrix_sizes)


def _report_bits(count: int, heard: list[tuple[_Slot, Reception]]) -> Real | None:
    """Return the lengths of the reports of all, shape (S,), or None: in full."""
    bits = np.zeros(count)
    for slot, got in heard:
        if got.report_bits is None:
            return None
        bits[slot.members] = got.report_bits
    return bits
