"""Majority votes over a noisy air: how often the sign of a weighted sum is a voter's own.

References
----------
.. [1] G. Zhu, Y. Du, D. Gündüz, K. Huang, "One-bit over-the-air aggregation for
   communication-efficient federated edge learning: design and convergence analysis", IEEE
   Transactions on Wireless Communications 20(3), 2021.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy.special import erf

from airtune.kinds import Real

EXACT_VOTERS = 10
"""Up to so many voters all votes are enumerated; above, the others' sum is taken as Gaussian."""


def vote_correlation(weights: Real, noise: float) -> Real:
    """Return ``E[s sigma_k]`` for ``s = sign(sum_j weight_j sigma_j + z)``, shape (K,).

    The votes sigma_j are fair and independent, z is real Gaussian noise.

    Parameters
    ----------
    weights : ndarray, float, shape (K,)
        Weights of the votes; 0 does not vote.
    noise : float
        Variance of z, > 0: the MSE of the aligned sum.
    """
    voters = np.flatnonzero(weights)
    w = weights[voters]
    if len(w) <= EXACT_VOTERS:
        votes = np.array(list(itertools.product((-1.0, 1.0), repeat=len(w))))
        lean = erf(votes @ w / np.sqrt(2.0 * noise))  # E[s | votes]
        own = lean @ votes / len(votes)
    else:
        own = erf(w / np.sqrt(2.0 * (noise + w @ w - w**2)))
    correlation = np.zeros(len(weights))
    correlation[voters] = own
    return correlation


def vote_error(omega: Real, weights: Real, noise: float) -> float:
    """Return the squared error of a majority vote over v^2, for Gaussian updates of scale v.

    The target is ``m = sum_k omega_k d_k`` over all clients, its estimate ``a s`` with the mean
    modulus ``a = sqrt(2 / pi) v``; the modulus of d_k is independent of its sign, so
    ``E(a s - m)^2 = a^2 - 2 a^2 sum_k omega_k E[s sigma_k] + v^2 sum_k omega_k^2``.

    Parameters
    ----------
    omega : ndarray, float, shape (K,)
        Weights of the target, sum 1.
    weights : ndarray, float, shape (K,)
        Weights of the votes, sum 1; 0 is silent.
    noise : float
        MSE of the aligned sum of the votes.

    Examples
    --------
    Without noise the vote of two even voters is as wrong as silence; a third voter helps:

    >>> [round(vote_error(np.full(k, 1 / k), np.full(k, 1 / k), noise=1e-9), 6) for k in (2, 3)]
    [0.5, 0.333333]
    """
    return modulus_error(omega, vote_correlation(weights, noise))


def modulus_error(omega: Real, agreement: Real) -> float:
    """Return the squared error over v^2 of a voted sign times the mean modulus of the updates.

    Parameters
    ----------
    omega : ndarray, float, shape (K,)
        Weights of the target, sum 1.
    agreement : ndarray, float, shape (K,)
        ``E[s sigma_k]`` of the voted sign and the sign of each update.

    Examples
    --------
    A sign that is drawn by lot is worse than silence, which loses 1 / 2:

    >>> round(modulus_error(np.array([0.5, 0.5]), np.zeros(2)), 3)
    1.137
    """
    square = 2.0 / np.pi
    return square - 2.0 * square * float(omega @ agreement) + float(omega @ omega)
