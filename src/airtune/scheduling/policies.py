"""Selection policies that look at single clients; a new one is a small class and a line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from airtune.kinds import Integer, Real
from airtune.scheduling.candidates import Candidates, Choice, renormalised
from airtune.streams import generator


class Policy(Protocol):
    """Chooses the clients that transmit together."""

    @property
    def about(self) -> str:
        """One line for the manual."""

    def select(self, candidates: Candidates) -> Choice:
        """Return the clients of one round."""


@dataclass(frozen=True)
class Everybody:
    """All clients that may transmit do."""

    about: str = "everybody transmits"

    def select(self, candidates: Candidates) -> Choice:
        return renormalised(candidates.clients, candidates.omega)


@dataclass(frozen=True)
class UniformRandom:
    """A uniformly random set of `clients.concurrency` clients, the rule of FedAvg [1]_.

    With `clients.unbiased` the clients are drawn with replacement with probabilities omega_k and
    averaged evenly over the draws instead, so that the expected mean is the mean over all [2]_.

    References
    ----------
    .. [1] McMahan et al.: Communication-efficient learning of deep networks from decentralized
       data, AISTATS 2017.
    .. [2] Li, Huang, Yang, Wang, Zhang: On the convergence of FedAvg on non-IID data, ICLR 2020.
    """

    about: str = "uniformly random (FedAvg)"

    def select(self, candidates: Candidates) -> Choice:
        c = candidates
        random = generator(c.radio.seed, "selection", c.radio.round)
        if c.radio.scenario.clients.unbiased:
            odds = c.omega[c.clients] / c.omega[c.clients].sum()
            drawn, counts = np.unique(random.choice(c.clients, c.limit, p=odds), return_counts=True)
            factors = counts / (c.limit * c.omega[drawn])
            return Choice(drawn, factors, bias_free=len(c.clients) == len(c.omega))
        if len(c.clients) <= c.limit:
            return renormalised(c.clients, c.omega)
        return renormalised(random.choice(c.clients, c.limit, replace=False), c.omega)


@dataclass(frozen=True)
class BestChannel:
    """The strongest clients: the largest mean received power over the array's region."""

    about: str = "strongest received power"

    def select(self, candidates: Candidates) -> Choice:
        chosen = largest(candidates.sinr, candidates.clients, candidates.limit)
        return renormalised(chosen, candidates.omega)


@dataclass(frozen=True)
class ProportionalFair:
    """The clients whose rate is largest relative to what they were served with so far.

    The rate ``r_k = log2(1 + SINR_k)`` over its average ``R_k``; afterwards, for every client,
    ``R_k = (1 - 1/W) R_k + (1/W) r_k [k transmits]`` with the window W of `clients.fair_window`
    rounds.  This ascends ``sum_k log R_k`` [1]_ [2]_.  Everybody starts at the rate that an even
    share of the rounds would give the mean client.

    References
    ----------
    .. [1] Kelly, Maulloo, Tan: Rate control for communication networks: shadow prices,
       proportional fairness and stability, J. Oper. Res. Soc. 49, 1998.
    .. [2] Viswanath, Tse, Laroia: Opportunistic beamforming using dumb antennas, IEEE Trans. Inf.
       Theory 48(6), 2002.
    """

    about: str = "largest rate over the average rate served"

    def select(self, candidates: Candidates) -> Choice:
        c = candidates
        rates = np.log1p(c.sinr) / np.log(2.0)
        average = c.average_rates
        if not average.any():
            share = min(c.limit, len(c.clients)) / len(c.clients)
            average = np.full(len(rates), share * rates[c.clients].mean())
        chosen = largest(rates / average, c.clients, c.limit)
        served = np.zeros(len(rates))
        served[chosen] = rates[chosen]
        step = 1.0 / c.radio.scenario.clients.fair_window
        return renormalised(chosen, c.omega, (1.0 - step) * average + step * served)


def largest(scores: Real, clients: Integer, count: int) -> Integer:
    """Return the `count` clients of the largest scores (of equal ones the first)."""
    order = np.argsort(-scores[clients], kind="stable")
    return np.asarray(clients[order[:count]])
