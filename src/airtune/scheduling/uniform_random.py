"""The policy `random`: uniformly random clients.

References
----------
.. [1] McMahan et al.: Communication-efficient learning of deep networks from decentralized data,
   AISTATS 2017.
.. [2] Li, Huang, Yang, Wang, Zhang: On the convergence of FedAvg on non-IID data, ICLR 2020.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from airtune.scheduling.base import Candidates, Choice, Policy, renormalised
from airtune.streams import generator


class UniformRandom(Policy):
    """A uniformly random set of `clients.concurrency` clients, the rule of FedAvg [1]_.

    With `clients.unbiased` the clients are drawn with replacement with probabilities omega_k and
    averaged evenly over the draws instead, so that the expected mean is the mean over all [2]_.
    """

    about: ClassVar[str] = "uniformly random (FedAvg)"
    looks_at_channels: ClassVar[bool] = False

    def select(self, candidates: Candidates) -> Choice:
        """Return a random set, the same for all schemes of (seed, round)."""
        c = candidates
        random = generator(c.radio.seed, "selection", c.radio.round)
        if c.unbiased:
            odds = c.omega[c.clients] / c.omega[c.clients].sum()
            drawn, counts = np.unique(random.choice(c.clients, c.limit, p=odds), return_counts=True)
            factors = counts / (c.limit * c.omega[drawn])
            return Choice(drawn, factors, bias_free=len(c.clients) == len(c.omega))
        if len(c.clients) <= c.limit:
            return renormalised(c.clients, c.omega)
        return renormalised(random.choice(c.clients, c.limit, replace=False), c.omega)
