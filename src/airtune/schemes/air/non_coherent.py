"""Majority votes without channel knowledge at the clients: the stronger of two energies wins.

References
----------
.. [1] A. Şahin, "Distributed learning over a wireless network with non-coherent majority vote
   computation", IEEE Transactions on Wireless Communications 22(11), 2023.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from airtune.kinds import Integer, Mask, Real
from airtune.radio.energy_votes import RESOURCES, agreement, decide, level_powers
from airtune.radio.majority import modulus_error
from airtune.schemes.air.measures import renormalised
from airtune.schemes.air.messages import Reception, Uploads
from airtune.schemes.air.one_bit import OneBit
from airtune.schemes.link import Link
from airtune.streams import generator


class NonCoherent(OneBit):
    """Non-coherent majority vote over the air [1]_.

    A client sends on one of two resources for each entry, by the sign of its update, and the server
    takes the sign of the resource on which more energy arrives.  Nobody aligns phases: a client
    has to know its mean attenuation only, for its power.  Our extensions are those of
    :class:`OneBit`, with energies in proportion to omega_k, and N antennas whose energies are
    weighed with ``R^-1``, R being what the server knows of it.
    """

    about: ClassVar[str] = "signs on two resources, the stronger energy wins"

    def airtime(self, entries: int) -> float:
        """Return the airtime of an upload: two complex symbols for each entry, not half of one."""
        return super().airtime(2 * RESOURCES * entries)

    def errors(
        self, link: Link, clients: Integer, omega: Real, chosen: Integer
    ) -> tuple[float, float]:
        """Return the error for Gaussian updates of one scale, by sampling; all of it is bias."""
        weights = renormalised(omega, chosen)
        air = link.perceived.of(clients)
        powers = level_powers(_gains(link, clients), weights, link.radio.powers[clients])
        rng = generator(link.radio.seed, "votes", link.radio.round)
        own = agreement(powers, air, rng, times=self.aggregation.sendings)
        error = modulus_error(omega, own)
        return error, error

    def votes(
        self, uploads: Uploads, link: Link, backoff: float, step: Real, sizes: Integer
    ) -> Reception:
        """Send the signs and return the decision of each entry."""
        clients, entries = uploads.clients, uploads.updates.shape[1]
        sent = np.repeat(step > 0, sizes)
        limits = backoff * link.radio.powers[clients]
        powers = level_powers(_gains(link, clients), uploads.omega, limits)
        slot = () if uploads.slot is None else (uploads.slot,)
        decision, average = decide(
            uploads.updates[:, sent],
            powers,
            link.true.of(clients),
            generator(link.radio.seed, "noise", link.radio.round, *slot),
            times=self.aggregation.sendings,
            impairments=uploads.impairments,
            known=link.perceived.of(clients),
        )
        airtime = self.airtime(self.booked_entries(int(sent.sum()), entries))
        wrong = uploads.impairments
        return Reception(
            mean=_placed(decision, sent),
            uplink_j=average * airtime,
            uplink_s=airtime,
            sending_s=None if wrong is None else airtime * wrong.sent,
        )


def _gains(link: Link, clients: Integer) -> Real:
    """Return the mean power of each client's channel over the antennas, shape (S,)."""
    channel = link.perceived.of(clients).channel
    return np.asarray(np.mean(np.abs(channel) ** 2, axis=1))


def _placed(values: Real, sent: Mask) -> Real:
    whole = np.zeros(len(sent))
    whole[sent] = values
    return whole
