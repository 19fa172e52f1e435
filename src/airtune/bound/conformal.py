"""One-sided limits of a forecast that hold for new seeds of a scenario (split conformal).

A forecast is fitted on some seeds; each of n other seeds gives one *score*, the largest
``log(measured / predicted)`` over the schemes that the statement covers.  If the seeds are
exchangeable the score of a new one is, with a probability of at least ``1 - a``, at most the
``ceil((n + 1) (1 - a))``-th smallest of them [1]_, whatever their distribution.  A run that never
reaches its target has an infinite score.  The limit holds for new seeds of that scenario, not for
another scenario.

References
----------
.. [1] V. Vovk, A. Gammerman, G. Shafer, Algorithmic Learning in a Random World, 2005; J. Lei et
   al., "Distribution-free predictive inference for regression", JASA 113, 2018.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

COVERAGE = 0.9
"""Probability of a limit where none is given."""


def score(measured: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Return the score of a seed: the largest ``log(measured / predicted)`` over its schemes.

    Parameters
    ----------
    measured, predicted : array_like, float, shape (S,)
        Rounds to the target, above 0; infinite: never.

    Returns
    -------
    float
        A scheme that is predicted never to be there counts as met, whatever was measured: no limit
        is above infinity.

    Examples
    --------
    >>> round(score([12.0, 30.0], [10.0, 30.0]), 3), score([12.0, np.inf], [10.0, 30.0])
    (0.182, inf)
    """
    times, forecasts = np.asarray(measured, np.float64), np.asarray(predicted, np.float64)
    finite = np.isfinite(forecasts)
    ratios = np.full(np.broadcast(times, forecasts).shape, -np.inf)
    np.divide(times, forecasts, out=ratios, where=finite)
    ratios = np.where(finite, ratios, 0.0)
    with np.errstate(divide="ignore"):
        return float(np.max(np.log(ratios)))


def fewest_scores(coverage: float = COVERAGE) -> int:
    """Return the least n for which the limit is one of n scores, not infinity.

    Examples
    --------
    >>> fewest_scores(0.9), fewest_scores(0.95)
    (9, 19)
    """
    if not 0 < coverage < 1:
        raise ValueError("coverage must be in (0, 1)")
    return math.ceil(coverage / (1 - coverage) - 1e-9)


def upper_limit(scores: npt.ArrayLike, coverage: float = COVERAGE) -> float:
    """Return the limit below which the score of a new seed is with the given probability.

    Parameters
    ----------
    scores : array_like, float, shape (n,)
        One a seed; infinite ones are allowed, NaN is not.
    coverage : float
        1 - a, in (0, 1).

    Returns
    -------
    float
        The ``ceil((n + 1) (1 - a))``-th smallest score; infinite where n is too small for it.

    Raises
    ------
    ValueError
        A score is NaN, or the coverage is outside its range.

    Examples
    --------
    Nine seeds are enough for 90 %, eight are not:

    >>> scores = [0.1, -0.2, 0.0, 0.3, 0.05, -0.1, 0.2, 0.15, -0.05]
    >>> upper_limit(scores), upper_limit(scores[1:])
    (0.3, inf)
    """
    values = np.sort(np.asarray(scores, np.float64).ravel())
    if np.isnan(values).any():
        raise ValueError("a score is not a number")
    if not 0 < coverage < 1:
        raise ValueError("coverage must be in (0, 1)")
    rank = math.ceil((len(values) + 1) * coverage - 1e-9)
    return float(values[rank - 1]) if rank <= len(values) else math.inf


def limit_of(predicted: float, scores: npt.ArrayLike, coverage: float = COVERAGE) -> float:
    """Return the limit on what a forecast predicts: ``predicted exp(upper_limit)``.

    Examples
    --------
    >>> round(limit_of(20.0, [0.0] * 8 + [0.2], 0.9), 2)
    24.43
    """
    with np.errstate(over="ignore"):
        return float(predicted * np.exp(upper_limit(scores, coverage)))
