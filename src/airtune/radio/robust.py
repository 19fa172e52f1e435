"""Merging several estimates of a mean by a rule that single outliers cannot drag away.

The estimates are the clients' own updates where the server decodes each of them, or the sums of
groups of clients where the air adds up [4]_.  Each carries a weight; a rule withstands outliers by
weight, not by number.

============================  =======================================================
median [1]_                   of each entry; outliers of less than half the weight leave it
                              within the range of the others
trimmed mean [1]_             of each entry, without the share `trim` of the weight at either
                              end; outliers of at most `trim` leave it within that range
geometric median [2]_, [3]_   the point of least weighted sum of distances, of the whole vectors
============================  =======================================================

A weighted mean, whatever its weights, is dragged anywhere by one of them [5]_.

References
----------
.. [1] D. Yin, Y. Chen, K. Ramchandran, P. Bartlett, "Byzantine-robust distributed learning: towards
   optimal statistical rates", ICML 2018, arXiv:1803.01498.
.. [2] K. Pillutla, S. M. Kakade, Z. Harchaoui, "Robust aggregation for federated learning", IEEE
   Transactions on Signal Processing 70, 2022, doi:10.1109/TSP.2022.3153135.
.. [3] Y. Chen, L. Su, J. Xu, "Distributed statistical machine learning in adversarial settings:
   Byzantine gradient descent", POMACS 1(2), 2017, doi:10.1145/3154503.
.. [4] H. Sifaou, G. Y. Li, "Robust federated learning via over-the-air computation",
   arXiv:2111.01221.
.. [5] P. Blanchard, E. M. El Mhamdi, R. Guerraoui, J. Stainer, "Machine learning with adversaries:
   Byzantine tolerant gradient descent", NeurIPS 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from airtune.kinds import Floating, Real

Rule = Literal["none", "median", "trimmed-mean", "geometric-median"]

COLUMNS = 1 << 14
"""Entries handled at once, so that sorting needs little memory."""

_ROUNDING = 1e-12
_STEPS, _SETTLED, _SMOOTHING = 1000, 1e-15, 1e-6
_DRAWS = 1 << 18


def merged(values: Floating, weights: Real, rule: Rule, trim: float = 0.0) -> Real:
    """Merge estimates of one mean.

    Parameters
    ----------
    values : ndarray, float, shape (n, d)
        One estimate a row.
    weights : ndarray, float, shape (n,)
        Their weights, >= 0; they are brought to sum 1.
    rule : {'none', 'median', 'trimmed-mean', 'geometric-median'}
        `none` is the weighted mean.
    trim : float
        Of the trimmed mean, in [0, 1/2).

    Returns
    -------
    ndarray, float, shape (d,)

    Examples
    --------
    Two estimates agree; the third is far off:

    >>> values, weights = np.array([[1.0, 2.0], [1.0, 2.0], [-90.0, 200.0]]), np.full(3, 1 / 3)
    >>> merged(values, weights, "none").round(3).tolist()
    [-29.333, 68.0]
    >>> merged(values, weights, "median").tolist()
    [1.0, 2.0]
    >>> merged(values, weights, "trimmed-mean", trim=0.4).round(9).tolist()
    [1.0, 2.0]
    >>> merged(values, weights, "geometric-median").round(3).tolist()
    [1.0, 2.0]
    """
    shares = np.asarray(weights, dtype=np.float64) / np.sum(weights)
    if rule == "median":
        return weighted_median(values, shares)
    if rule == "trimmed-mean":
        return trimmed_mean(values, shares, trim)
    if rule == "geometric-median":
        return geometric_median(values, shares)
    return np.asarray(shares @ np.asarray(values, dtype=np.float64))


def weighted_median(values: Floating, weights: Real) -> Real:
    """Return the weighted median of each column, the middle of the interval where there is one.

    Parameters
    ----------
    values : ndarray, float, shape (n, d)
    weights : ndarray, float, shape (n,)
        Sum 1.

    Examples
    --------
    Three quarters of the weight are at 5:

    >>> weighted_median(np.array([[1.0], [5.0], [3.0]]), np.array([0.1, 0.75, 0.15])).tolist()
    [5.0]
    """

    def middle(ranked: Real, ranks: Real) -> Real:
        lower = np.argmax(ranks >= 0.5 - _ROUNDING, axis=0)
        upper = np.argmax(ranks > 0.5 + _ROUNDING, axis=0)
        ends = np.take_along_axis(ranked, np.stack([lower, upper]), axis=0)
        return np.asarray(ends[0] + (ends[1] - ends[0]) / 2)

    return _by_columns(values, weights, middle)


def trimmed_mean(values: Floating, weights: Real, trim: float) -> Real:
    """Return the mean of each column without the share `trim` of the weight at either end.

    An estimate across the border counts with the part of its weight that is inside; for equal
    weights and ``trim = b / n`` the b largest and the b smallest are left out.

    Parameters
    ----------
    values : ndarray, float, shape (n, d)
    weights : ndarray, float, shape (n,)
        Sum 1.
    trim : float
        In [0, 1/2).

    Raises
    ------
    ValueError
        `trim` is outside its range.

    Examples
    --------
    >>> values, weights = np.array([[0.0], [1.0], [2.0], [99.0]]), np.full(4, 0.25)
    >>> trimmed_mean(values, weights, 0.25).tolist()
    [1.5]
    """
    if not 0 <= trim < 0.5:
        raise ValueError(f"trim must be in [0, 1/2), got {trim}")

    def inside(ranked: Real, ranks: Real) -> Real:
        before = np.concatenate([np.zeros((1, ranks.shape[1])), ranks[:-1]])
        kept = np.minimum(ranks, 1 - trim) - np.maximum(before, trim)
        kept = np.where(kept > _ROUNDING, kept, 0.0)  # rounding must keep no part of an outlier
        return np.asarray(np.sum(kept * ranked, axis=0) / np.sum(kept, axis=0))

    return _by_columns(values, weights, inside)


def _by_columns(values: Floating, weights: Real, rule: Callable[[Real, Real], Real]) -> Real:
    """Apply a rule to each column: its entries in order, and the weight up to each of them."""
    result = np.empty(values.shape[1])
    for start in range(0, values.shape[1], COLUMNS):
        part = np.asarray(values[:, start : start + COLUMNS], dtype=np.float64)
        order = np.argsort(part, axis=0, kind="stable")
        ranked = np.take_along_axis(part, order, axis=0)
        result[start : start + COLUMNS] = rule(ranked, np.cumsum(weights[order], axis=0))
    return result


def geometric_median(values: Floating, weights: Real) -> Real:
    """Return the point of least weighted sum of distances, by Weiszfeld's steps [2]_.

    Each step is a mean with weights ``w_k / |z - x_k|``, so the point is a mean of the estimates
    all along and only their inner products are needed, about the median of the entries so that
    outliers cost no digits.  A distance below 1e-6 of the estimates' median distance from there
    counts as that (the smoothing of [2]_).

    Parameters
    ----------
    values : ndarray, float, shape (n, d)
    weights : ndarray, float, shape (n,)
        Sum 1.

    Examples
    --------
    Of three corners of a square, the one in the middle:

    >>> corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> geometric_median(corners, np.array([0.5, 0.25, 0.25])).round(3).tolist()
    [0.0, 0.0]
    """
    exact = np.asarray(values, dtype=np.float64)
    centre = weighted_median(exact, weights)
    centred = exact - centre
    products = centred @ centred.T
    own = np.diag(products)
    least = _SMOOTHING * float(weighted_median(np.sqrt(own)[:, None], weights)[0])
    if least == 0:  # more than half of the weight is in one point
        return centre
    shares = np.asarray(weights, dtype=np.float64)
    for _ in range(_STEPS):
        across = products @ shares
        squared = own - 2 * across + shares @ across
        pulls = weights / np.maximum(np.sqrt(np.maximum(squared, 0.0)), least)
        after = pulls / pulls.sum()
        moved = float(np.abs(after - shares).max())
        shares = after
        if moved < _SETTLED:
            break
    return np.asarray(centre + shares @ centred)


def expected_errors(
    weights: Real, spreads: Real, mse: Real, bias: Real, rule: Rule, trim: float = 0.0
) -> tuple[float, float]:
    """Return the error of a rule for Gaussian estimates, against their exact weighted mean.

    The updates are taken as uncorrelated, Gaussian and of one scale, as in the forecasts of the
    other interfaces.  Of the weighted mean the figures are exact; of the other rules they are means
    over fixed draws.

    Parameters
    ----------
    weights : ndarray, float, shape (n,)
        Sum 1.
    spreads : ndarray, float, shape (n,)
        Standard deviation of each exact estimate, in units of an update's.
    mse, bias : ndarray, float, shape (n,)
        Error of each estimate in squared units of an update's scale, and the part of it that no
        power lowers.
    rule, trim
        As in :func:`merged`.

    Returns
    -------
    mse, bias : float
        Error of the merged estimate, and what is left of it without the rest of the noise.

    Examples
    --------
    The median of five equal clients loses to their mean where nothing is wrong with anybody:

    >>> fifth, zero = np.full(5, 0.2), np.zeros(5)
    >>> expected_errors(fifth, np.ones(5), zero, zero, "none")
    (0.0, 0.0)
    >>> round(expected_errors(fifth, np.ones(5), zero, zero, "median")[0], 2)
    0.09
    """
    if rule == "none":
        return float(weights**2 @ mse), float(weights**2 @ bias)
    count = int(np.clip(_DRAWS // len(weights), 256, 4096))
    draws = np.random.default_rng(0).standard_normal((2, len(weights), count))
    exact = spreads[:, None] * draws[0]
    wanted = weights @ exact

    def error(noise: Real) -> float:
        found = merged(exact + np.sqrt(noise)[:, None] * draws[1], weights, rule, trim)
        return float(np.mean((found - wanted) ** 2))

    lasting = error(bias)
    return max(error(mse), lasting), lasting
