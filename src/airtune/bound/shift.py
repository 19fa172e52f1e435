"""Wasserstein-1 distance between data sets in an embedding space (system model, section 6).

The distance of two samples is larger on average than that of the data they come from, so the
estimate errs on the safe side of the bound.  The distance between two halves of one data set, whose
true distance is 0, shows how much sampling alone brings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import gammaln

from airtune.kinds import Real

Transport = Literal["auto", "exact", "entropic"]

EXACT_MAX = 1000
"""Samples up to which `auto` solves the transport problem exactly."""
SHARPNESS = 0.01
"""Strength of the entropy in units of the mean distance."""


@dataclass(frozen=True)
class Distance:
    """Wasserstein-1 distance of two samples.

    Attributes
    ----------
    value : float
        In units of the embedding.
    error : float
        Standard error of sampling: that of the means of the dual potentials.
    method : {'exact', 'entropic'}
        The entropic value is the cost of a feasible plan, so it is not below the exact one.
    """

    value: float
    error: float
    method: str


def wasserstein(
    x: Real,
    y: Real,
    x_weights: Real | None = None,
    y_weights: Real | None = None,
    method: Transport = "auto",
) -> Distance:
    """Return W_1 of two weighted samples under the Euclidean distance.

    The optimal cost is the mean of the dual potentials f over x and g over y; to first order only
    these means vary with the sample, so var = sum_i a_i^2 (f_i - f)^2 + sum_j b_j^2 (g_j - g)^2
    [1]_.

    Parameters
    ----------
    x, y : ndarray, shape (n, e), (m, e)
        Embeddings.
    x_weights, y_weights : ndarray, shape (n,), (m,), optional
        Of sum 1; equal by default.
    method : {'auto', 'exact', 'entropic'}
        `auto` is exact up to 1000 samples.

    Returns
    -------
    Distance

    Examples
    --------
    A translation is as far as it goes:

    >>> import numpy as np
    >>> from airtune.bound import wasserstein
    >>> x = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> moved = wasserstein(x, x + np.array([3.0, 4.0]))
    >>> round(moved.value, 6), moved.method
    (5.0, 'exact')

    References
    ----------
    .. [1] del Barrio, Gonzalez-Sanz, Loubes: Central limit theorems for general transportation
       costs, 2024.
    """
    import ot

    a = np.full(len(x), 1 / len(x)) if x_weights is None else x_weights
    b = np.full(len(y), 1 / len(y)) if y_weights is None else y_weights
    cost = cdist(x, y)
    if method == "auto":
        method = "exact" if max(len(x), len(y)) <= EXACT_MAX else "entropic"
    if method == "exact":
        value, log = ot.emd2(a, b, cost, log=True, numItermax=10_000_000)
        return Distance(max(float(value), 0.0), _dual_error(a, b, log["u"], log["v"]), "exact")
    strength = SHARPNESS * float(cost.mean()) or 1.0
    plan, log = ot.bregman.sinkhorn_log(
        a, b, cost, strength, numItermax=500, stopThr=1e-6, log=True, warn=False
    )
    value = float(np.sum(_feasible(plan, a, b) * cost))
    error = _dual_error(a, b, strength * log["log_u"], strength * log["log_v"])
    return Distance(value, error, "entropic")


def _dual_error(a: Real, b: Real, f: Real, g: Real) -> float:
    spread = [float(w**2 @ (p - w @ p) ** 2) for w, p in ((a, f), (b, g))]
    return float(np.sqrt(sum(spread)))


def _feasible(plan: Real, a: Real, b: Real) -> Real:
    """Round a plan to one with exactly the given marginals [1]_.

    References
    ----------
    .. [1] Altschuler, Weed, Rigollet: Near-linear time approximation algorithms for optimal
       transport via Sinkhorn iteration, 2017, algorithm 2.
    """
    plan = plan * np.minimum(1.0, a / np.maximum(plan.sum(axis=1), 1e-300))[:, None]
    plan = plan * np.minimum(1.0, b / np.maximum(plan.sum(axis=0), 1e-300))
    rows, columns = a - plan.sum(axis=1), b - plan.sum(axis=0)
    missing = rows.sum()
    return np.asarray(plan + np.outer(rows, columns) / missing if missing > 0 else plan)


def sliced(x: Real, y: Real, projections: int, seed: int) -> float:
    """Estimate a lower bound of W_1 from projections on lines, in O(n log n).

    It is tight for translations.  On a line in direction u the optimal plan costs at most the mean
    of |u . (x - y)|, which is E|u_1| |x - y| on average over directions, so the mean over lines
    divided by E|u_1| = Gamma(e/2) / (sqrt(pi) Gamma((e+1)/2)) is at most W_1 (up to the choice of
    the lines).

    Parameters
    ----------
    x, y : ndarray, shape (n, e), (m, e)
    projections : int
        Lines.
    seed : int
        Of the directions.

    Returns
    -------
    float
    """
    import ot

    e = x.shape[1]
    share = np.exp(gammaln(e / 2) - gammaln((e + 1) / 2)) / np.sqrt(np.pi)
    value = ot.sliced_wasserstein_distance(x, y, n_projections=projections, p=1, seed=seed)
    return float(value / share)


def null_distance(x: Real, method: Transport = "auto") -> float:
    """Return W_1 between two halves of one sample: the distance that sampling alone causes."""
    half = len(x) // 2
    return wasserstein(x[:half], x[half : 2 * half], method=method).value


@dataclass(frozen=True)
class ClientShift:
    """Distances between the clients' data.

    Attributes
    ----------
    pairwise : ndarray, shape (K, K)
        W_1 of every pair.
    to_mixture, to_pretraining : ndarray, shape (K,)
        W_1 of each client to the mixture of all, and to the pre-training data.
    null : ndarray, shape (K,)
        W_1 between two halves of each client's sample.
    """

    pairwise: Real
    to_mixture: Real
    to_pretraining: Real
    null: Real


def client_shift(clients: Sequence[Real], weights: Real, pretraining: Real) -> ClientShift:
    """Compare the clients' samples with each other, their mixture and the pre-training data.

    Parameters
    ----------
    clients : sequence of ndarray, shape (n_k, e)
    weights : ndarray, shape (K,)
        omega_k, sum 1.
    pretraining : ndarray, shape (n, e)

    Returns
    -------
    ClientShift

    Examples
    --------
    Two clients, one a step to the right of the other, and pre-training data four steps away:

    >>> import numpy as np
    >>> clients = [np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([[1.0, 0.0], [3.0, 0.0]])]
    >>> shift = client_shift(clients, np.array([0.5, 0.5]), np.array([[0.0, 4.0], [2.0, 4.0]]))
    >>> shift.pairwise.round(6).tolist(), shift.to_mixture.round(6).tolist()
    ([[0.0, 1.0], [1.0, 0.0]], [0.5, 0.5])
    >>> shift.to_pretraining.round(3).tolist(), shift.null.round(6).tolist()
    ([4.0, 4.123], [2.0, 2.0])
    """
    count = len(clients)
    pairwise = np.zeros((count, count))
    for i in range(count):
        for j in range(i):
            pairwise[i, j] = pairwise[j, i] = wasserstein(clients[i], clients[j]).value
    mixture, shares = mixed(clients, weights)
    return ClientShift(
        pairwise,
        np.array([wasserstein(x, mixture, y_weights=shares).value for x in clients]),
        np.array([wasserstein(x, pretraining).value for x in clients]),
        np.array([null_distance(x) if len(x) > 1 else np.nan for x in clients]),
    )


def mixed(clients: Sequence[Real], weights: Real) -> tuple[Real, Real]:
    """Return the samples of all clients, and the share of each in the mixture."""
    shares = [np.full(len(x), w / len(x)) for x, w in zip(clients, weights, strict=True)]
    return np.concatenate(clients), np.concatenate(shares)


def steepness(x: Real, x_losses: Real, y: Real, y_losses: Real) -> Real:
    """Return |l(y_j) - l(x_i)| / ||y_j - x_i|| of every pair, shape (n, m); 0 for equal embeddings.

    Their largest value is the Lipschitz constant that the step from one data set to the other needs
    (docs/theory.md, (7)): a coupling pairs a sample of one with a sample of the other.
    """
    rise = np.abs(np.subtract.outer(x_losses, y_losses))
    run = cdist(x, y)
    return np.asarray(np.divide(rise, run, out=np.zeros_like(rise), where=run > 0))
