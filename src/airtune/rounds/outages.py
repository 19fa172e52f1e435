"""Outages that come and go: independent from round to round, or in bursts.

References
----------
.. [1] E. N. Gilbert, "Capacity of a burst-noise channel", Bell System Technical Journal 39(5),
   1960: the two-state Markov chain.
"""

from __future__ import annotations

import numpy as np

from airtune.kinds import Mask
from airtune.scenario.faults import Outages as Settings
from airtune.streams import generator


class Outages:
    """Who is out in which round.

    Without bursts each is out with probability `share` in each round.  With a mean length b of an
    outage it ends with probability 1 / b and begins with ``share / (b (1 - share))`` [1]_; the
    first round is drawn from the stationary distribution, so that the share holds in every round.
    A round depends on (seed, kind, round) only: going back replays from round 1.

    Parameters
    ----------
    settings : Settings
        Share and mean length.
    seed : int
        Root of the repetition's streams.
    kind : str
        Of the fault; its stream is ``("faults", kind, round)``.
    count : int
        Clients, or other things that can be out.

    Examples
    --------
    >>> out = Outages(Settings(share=0.3, burst_rounds=5), seed=1, kind="dropout", count=1000)
    >>> first, second = out.at(1), out.at(2)
    >>> round(float(first.mean()), 1), round(float(second[first].mean()), 1)  # 1 - 1 / b stay out
    (0.3, 0.8)
    """

    def __init__(self, settings: Settings, seed: int, kind: str, count: int) -> None:
        self._settings, self._seed, self._kind, self._count = settings, seed, kind, count
        self._round, self._out = 0, np.zeros(count, dtype=np.bool_)

    def at(self, round_index: int) -> Mask:
        """Return who is out in a round (1, 2, ...), shape (count,)."""
        share, bursts = self._settings.share, self._settings.burst_rounds
        if bursts is None or share == 0.0:
            return self._numbers(round_index) < share
        if round_index < self._round or self._round == 0:
            self._round, self._out = 1, self._numbers(1) < share
        begins, stays = share / (bursts * (1.0 - share)), 1.0 - 1.0 / bursts
        while self._round < round_index:
            self._round += 1
            self._out = self._numbers(self._round) < np.where(self._out, stays, begins)
        return self._out

    def _numbers(self, round_index: int) -> np.ndarray:
        return generator(self._seed, "faults", self._kind, round_index).uniform(size=self._count)
