"""Constants of the predicted loss: how chi is fitted, and what follows another law.

Section 7b of the system model; the law itself is :mod:`airtune.bound.forecast`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from airtune.bound.forecast import CHI
from airtune.kinds import Real

GAMMA = 8.7
"""gamma of the runs in which :data:`airtune.bound.forecast.CHI` was fitted: 8.5
to 8.9."""

SIGNS = 1.6
"""Rounds with signs and a majority vote over error-free rounds: their median over the ten runs of
`obda` in benchmarks/results/study/paper-v1.jsonl and cell-edge.jsonl (shared plan; 1.2 to 2.1).
The law in the MSE does not hold there."""


def chi_of(gamma: float) -> float:
    """Return where to start chi: `CHI` of :mod:`airtune.bound.forecast`, in proportion to gamma.

    Parameters
    ----------
    gamma : float
        :func:`airtune.bound.forecast.noise_inflation` of a pilot's updates, at least 1.

    Examples
    --------
    >>> round(chi_of(8.7), 2), round(chi_of(4.35), 2)
    (5.7, 2.85)
    """
    return CHI / GAMMA * gamma


def fit_chi(mse: npt.ArrayLike, factors: npt.ArrayLike) -> float:
    """Fit chi to runs whose slow-down is known.

    The least sum of ``|log(factor) - log(slowdown)|``, so that a run that is off does not count
    more than any other.

    Parameters
    ----------
    mse : array_like, float, shape (R,)
        Mean MSE over v^2 of each run, above 0.
    factors : array_like, float, shape (R,)
        Rounds to the target over those of the error-free run, above 0; infinite ones are left out.

    Returns
    -------
    float
        At least 0.

    Raises
    ------
    ValueError
        No run has reached its target.

    Examples
    --------
    >>> fit_chi([0.1, 0.3, 0.5], [2.0**0.5, 2.0, 9.0])
    10.0
    """
    errors, slowed = np.asarray(mse, np.float64), np.asarray(factors, np.float64)
    known = np.isfinite(slowed) & (errors > 0)
    if not known.any():
        raise ValueError("no run has reached its target")
    errors, slowed = errors[known], slowed[known]
    # The sum is piecewise monotone in chi between the values that meet single runs.
    candidates = np.unique(np.maximum((slowed**2 - 1.0) / errors, 0.0).round(9))
    off = np.abs(np.log(slowed) - 0.5 * np.log1p(np.outer(candidates, errors))).sum(axis=1)
    return float(candidates[int(np.argmin(off))])


def floored(curve: npt.ArrayLike, excess: float, factor: float, contraction: float) -> Real:
    """Return the losses of a run of plain SGD: those of an error-free one, and a floor.

    Its step does not shrink under noise, so ``tau_t = t``; noise of energy V per round adds ``(1 -
    (1 - eta mu)^t) factor V``, the noise term of the bound (section 6) with a fitted factor in
    place of ``L eta / (2 mu)``.

    Parameters
    ----------
    curve : array_like, float, shape (T + 1,)
        ``L_ideal``.
    excess : float
        Energy of the noise of a round above that in the error-free run, of air and batches.
    factor : float
        At least 0.
    contraction : float
        ``1 - eta mu``, in [0, 1].

    Returns
    -------
    ndarray, float, shape (T + 1,)

    Examples
    --------
    >>> floored([4.0, 3.0, 2.5], excess=2.0, factor=0.2, contraction=0.5).round(6).tolist()
    [4.0, 3.2, 2.8]
    """
    losses = np.asarray(curve, np.float64)
    risen = 1.0 - contraction ** np.arange(len(losses))
    return np.asarray(losses + risen * factor * excess)
