"""Constants of the predicted loss: how chi is fitted, and what follows another law.

Section 7b of the system model; the law itself is :mod:`airtune.bound.forecast`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from airtune.bound.forecast import CHI
from airtune.kinds import Real

GAMMA = 9.3
"""gamma of the runs in which :data:`CHI_OF` was fitted, median of the seeds."""

CHI_OF: Mapping[str, float] = {
    "lora": CHI,
    "ffa": 7.0,
    "rolora": 5.8,
    "mask": 20.8,
    "subspace": 8.4,
}
"""chi by what is sent of an update, at this gamma: fitted to white noise on tuning seeds
(benchmarks/chi.py; all but `lora` on two of them, `mask` with its long default step).  Payloads of
one's own take that of `lora`, and so does Yogi, whose own fit is 4.0."""

SIGNS = 1.4
"""Rounds with signs and a majority vote over error-free rounds: the median of `obda` on five tuning
seeds (benchmarks/chi.py; 1.1 to 1.5).  The law in the MSE does not hold there."""


def chi_of(gamma: float, payload: str = "lora") -> float:
    """Return the constant of white noise: :data:`CHI_OF`, in proportion to gamma.

    Parameters
    ----------
    gamma : float
        :func:`airtune.bound.forecast.noise_inflation` of a pilot's updates, at least 1.
    payload : str
        Name of what is sent of an update (`aggregation.payload`).

    Examples
    --------
    >>> round(chi_of(9.3), 2), round(chi_of(4.65), 2), round(chi_of(9.3, "ffa"), 2)
    (4.1, 2.05, 7.0)
    """
    return CHI_OF.get(payload, CHI) / GAMMA * gamma


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


def fit_chi_by_seed(
    seeds: npt.ArrayLike, mse: npt.ArrayLike, rounds: npt.ArrayLike
) -> tuple[float, float]:
    """Fit chi to runs of some seeds, each with error-free rounds of its own.

    ``log rounds = log r_seed + log(1 + chi MSE) / 2`` by least squares over chi and all r_seed.  A
    ratio to one error-free run carries what that run is off into all ratios of its seed, which at
    a small MSE is as much as the slow-down; here the error-free run is a run as any other.

    Parameters
    ----------
    seeds : array_like, int, shape (R,)
        What is learnt in a run: model, data and draws.
    mse : array_like, float, shape (R,)
        Mean MSE over v^2 of each run, at least 0; 0 is an error-free run.
    rounds : array_like, float, shape (R,)
        Rounds to the target, above 0; infinite ones are left out.

    Returns
    -------
    chi : float
        In [0, 1e4].
    scatter : float
        Root mean square of what is left in log rounds.

    Raises
    ------
    ValueError
        No seed has runs of two MSE.

    Examples
    --------
    The error-free run of seed 2 was 5 % slow:

    >>> chi, scatter = fit_chi_by_seed(
    ...     [1, 1, 1, 2, 2, 2], [0.0, 0.3, 0.9, 0.0, 0.3, 0.9], [9, 18, 28.5, 10.5, 20, 31.6]
    ... )
    >>> round(chi, 1), round(scatter, 3)
    (9.4, 0.012)
    """
    from scipy.optimize import minimize_scalar

    groups, errors = np.asarray(seeds), np.asarray(mse, np.float64)
    taken = np.asarray(rounds, np.float64)
    known = np.isfinite(taken)
    groups, errors, logs = groups[known], errors[known], np.log(taken[known])
    _, at = np.unique(groups, return_inverse=True)
    count = np.bincount(at)

    def centred(values: Real) -> Real:
        return np.asarray(values - (np.bincount(at, values) / count)[at])

    if not len(at) or not np.any(np.abs(centred(errors)) > 0):
        raise ValueError("no seed has runs of two MSE")

    def left(log_chi: float) -> float:
        return float(np.sum(centred(logs - 0.5 * np.log1p(np.exp(log_chi) * errors)) ** 2))

    ends = np.linspace(np.log(1e-4), np.log(1e4), 200)
    start = int(np.argmin([left(x) for x in ends]))
    low, high = ends[max(start - 1, 0)], ends[min(start + 1, len(ends) - 1)]
    best = minimize_scalar(left, bounds=(low, high), method="bounded")
    chi = 0.0 if start == 0 else float(np.exp(best.x))
    return chi, float(np.sqrt(best.fun / len(logs)))


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
