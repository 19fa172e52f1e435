"""What poisoned clients send in the place of their updates (`faults.poison`).

A poisoned client keeps to the protocol and to the physics: it reports the scales of what it sends,
its symbols have unit power, and ``|b_k|^2 <= P_k`` holds for it as for all.  A scaled update so
arrives with its full length because the common scale follows the reports, at the price of noise
for everybody.  The server knows the length of an update before it is sent, from the report (over
the air) or from the decoded bits, so `training.clip_norm` holds for poisoned updates as well.

Clients of the kind `label-noise` learn from wrong answers instead, which the engine sees to
(:mod:`airtune.learning.wrong_answers`); what they send is left as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airtune.engines import RoundUpdates
from airtune.scenario import Poison, Scenario
from airtune.streams import generator


@dataclass(frozen=True)
class Poisoning:
    """The poisoned clients of a repetition.

    Attributes
    ----------
    settings : Poison
    count : int
        Clients K.
    seed : int
        Root of the repetition's streams.
    clip_norm : float or None
        Largest norm of an update that the server takes.
    """

    settings: Poison
    count: int
    seed: int
    clip_norm: float | None

    @classmethod
    def of(cls, scenario: Scenario, seed: int) -> Poisoning:
        """Return the poisoned clients of a scenario."""
        training = scenario.training
        return cls(scenario.faults.poison, scenario.clients.count, seed, training.clip_norm)

    def clients(self, round_index: int) -> NDArray[np.int64]:
        """Return who is poisoned in a round."""
        return self.settings.clients(self.count, self.seed, round_index)

    def sent(self, computed: RoundUpdates, round_index: int) -> RoundUpdates:
        """Return the updates of a round with those of poisoned clients in their place.

        Parameters
        ----------
        computed : RoundUpdates
            As the clients have computed them; not changed.
        round_index : int

        Returns
        -------
        RoundUpdates
            A client whose harmful update is not finite is dropped, as any other.
        """
        rows = np.flatnonzero(np.isin(computed.clients, self.clients(round_index)))
        if not len(rows) or self.settings.kind == "label-noise":
            return computed
        updates = computed.updates.copy()
        with np.errstate(over="ignore", invalid="ignore"):
            for row in rows:
                client = int(computed.clients[row])
                update = self._harmful(updates[row].astype(np.float64), client, round_index)
                norm = float(np.linalg.norm(update))
                if self.clip_norm is not None and norm > self.clip_norm:
                    update = update * (self.clip_norm / norm)
                updates[row] = update
        return computed.sending(updates)

    def bias(
        self,
        honest: RoundUpdates,
        sent: RoundUpdates,
        heard: NDArray[np.int64],
        weights: NDArray[np.float64],
        *,
        averaged: bool,
    ) -> float | None:
        """Return the squared distance of the mean of what is sent from that of honest updates.

        Parameters
        ----------
        honest, sent : RoundUpdates
            Before and after :meth:`sent`.
        heard : ndarray, int, shape (S',)
            Clients whose whole update is in the mean by which the server steps, ascending.
        weights : ndarray, float, shape (S',)
            Theirs, of any sum.
        averaged : bool
            Whether the mean is a weighted one; robust rules and votes have no such figure.

        Returns
        -------
        float or None
            0 where nobody is poisoned or heard; None in every round where there is no figure:
            under a rule or a vote, and for `label-noise`, where no honest update is computed.
        """
        if self.settings.kind == "label-noise" or not averaged:
            return None
        if honest is sent or not len(heard):
            return 0.0
        one, other = (each.updates[np.isin(each.clients, heard)] for each in (sent, honest))
        with np.errstate(over="ignore"):
            off = weights @ (one - other.astype(np.float64))
            return float(off @ off) / float(weights.sum()) ** 2

    def _harmful(
        self, update: NDArray[np.float64], client: int, round_index: int
    ) -> NDArray[np.float64]:
        """Return what a client sends in the place of its update, shape (d,)."""
        kind, factor = self.settings.kind, self.settings.factor
        if kind == "sign-flip":
            return -factor * update
        if kind == "scaling":
            return factor * update
        random = generator(self.seed, "faults", "poison", round_index, client)
        noise = random.standard_normal(len(update))
        return np.asarray(noise * (factor * np.linalg.norm(update) / np.linalg.norm(noise)))

    def metrics(self, round_index: int) -> dict[str, Any]:
        """Return what the line of a round tells: ``poisoned``; nothing where nobody ever is."""
        if not self.settings.active:
            return {}
        return {"poisoned": self.clients(round_index).tolist()}
