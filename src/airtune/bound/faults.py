"""What faults of a round add to the bias of the bound (system model, sections 5 and 6)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from airtune.bound.convergence import BoundConstants
from airtune.kinds import Floating


def joint_bias(*squared: float) -> float:
    """Return the squared bias of several biases that at worst have one direction.

    ``(sum_i sqrt(beta_i))^2``, by the triangle inequality.

    Parameters
    ----------
    *squared : float
        Squared biases beta_i.

    Examples
    --------
    >>> joint_bias(4.0, 0.0), joint_bias(4.0, 1.0)
    (4.0, 9.0)
    """
    some = [beta for beta in squared if beta > 0]
    return some[0] if len(some) == 1 else math.fsum(math.sqrt(beta) for beta in some) ** 2


def staleness_bias(
    constants: BoundConstants,
    adapter: Floating,
    stale: Mapping[int, Floating],
    weights: Mapping[int, float],
) -> float:
    """Return the squared bias of gradients that were taken at older adapters.

    With L-smooth losses of the clients, ``|sum_k omega_k (grad F_k(theta_k) - grad F_k(theta))| <=
    L sum_k omega_k |theta_k - theta|``.

    Parameters
    ----------
    constants : BoundConstants
    adapter : ndarray, float, shape (d,)
        theta, the one that was broadcast.
    stale : mapping of int to ndarray, float, shape (d,)
        theta_k of the clients that work with another one.
    weights : mapping of int to float
        Weights of the clients that are in the mean of the round, of any sum.

    Examples
    --------
    >>> constants = BoundConstants(
    ...     L=4, mu=0.5, eta=0.1, sigma_g_sq=4, G_sq=8,
    ...     L0=4, mu0=0.05, eta0=0.1, sigma0_sq=4, delta_pre=6, L_x=0.5, W1=1,
    ... )
    >>> staleness_bias(constants, np.zeros(4), {1: np.ones(4)}, {0: 0.3, 1: 0.1})
    4.0
    """
    ways = [
        weights[client] * float(np.linalg.norm(np.asarray(old, np.float64) - adapter))
        for client, old in stale.items()
        if client in weights
    ]
    return (constants.L * math.fsum(ways) / math.fsum(weights.values())) ** 2 if ways else 0.0
