"""The policy `proportional-fair`: the largest rate relative to the average rate so far.

References
----------
.. [1] Kelly, Maulloo, Tan: Rate control for communication networks: shadow prices, proportional
   fairness and stability, J. Oper. Res. Soc. 49, 1998.
.. [2] Viswanath, Tse, Laroia: Opportunistic beamforming using dumb antennas, IEEE Trans. Inf.
   Theory 48(6), 2002.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from airtune.scheduling.base import Candidates, Choice, Policy, renormalised, strongest


class ProportionalFair(Policy):
    """The clients whose rate is largest relative to what they were served with so far.

    The rate ``r_k = log2(1 + SINR_k)`` over its average ``R_k``; afterwards, for every client,
    ``R_k = (1 - 1/W) R_k + (1/W) r_k [k transmits]`` with the window W of `clients.fair_window`
    rounds.  This ascends ``sum_k log R_k`` [1]_ [2]_.  Everybody starts at the rate that an even
    share of the rounds would give the mean client.
    """

    about: ClassVar[str] = "largest rate over the average rate served"

    def select(self, candidates: Candidates) -> Choice:
        """Return the candidates of the largest relative rate, and the new average rates."""
        c = candidates
        rates = np.log1p(c.sinr) / np.log(2.0)
        average = c.average_rates
        if not average.any():
            share = min(c.limit, len(c.clients)) / len(c.clients)
            average = np.full(len(rates), share * rates[c.clients].mean())
        chosen = strongest(rates / average, c.clients, c.limit)
        served = np.zeros(len(rates))
        served[chosen] = rates[chosen]
        step = 1.0 / c.fair_window
        return renormalised(chosen, c.omega, (1.0 - step) * average + step * served)
