"""The predicted loss of a noisy run (system model, section 7b), and the learning rate it suggests.

The bound of :mod:`airtune.bound.convergence` is safe, but 10 to 1000 times too loose to tell how
many rounds a run with an Adam-like server needs.  This law predicts instead: the loss after t
rounds is that of an error-free run after ``tau_t`` rounds,

    ``L(t) = L_ideal(tau_t)``,  ``tau_t = sum_{s <= t} [(1 + chi MSE_s) E_s / E_ref]^(-1/2)``

MSE_s is the error of the decoded mean over ``v^2 = sum_b d_b v_b^2``, E_s the energy of the
error-free mean, E_ref that in the run which L_ideal is from.  The reason: the server divides the
mean by the root of its second moment, and noise of energy ``MSE v^2`` on a mean of energy
``||dbar||^2 = v^2 / gamma`` inflates that moment by ``1 + gamma MSE``.  Were all entries of like
energy, chi would be gamma; strong entries shrink less and carry the progress, so chi is fitted.

Limits of the law:

- The noisy step keeps its length, so it leaves a floor, which grows with ``eta sqrt(MSE)`` and is
  not in the law: above an MSE of about 1 (:data:`LARGEST_MSE`) it is too hopeful.
- It is for servers that divide by the root of a second moment (adam, yogi).  A step of plain SGD or
  of momentum does not shrink under noise: there ``tau_t = t``, and the noise adds a floor
  (:func:`airtune.bound.forecast_constants.floored`).
- Clients that are absent bias the mean, which is no noise: L_ideal has to be of the same
  participants.
- chi depends on model, payload and interface; signs (one-bit aggregation) follow no such law and
  have a constant (:data:`airtune.bound.forecast_constants.SIGNS`).

Nothing here is a guarantee; the bound stays the figure that is safe.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from airtune.kinds import Real

CHI = 4.1
"""chi where none is given, for LoRA under Adam and Yogi at a gamma of 9.3: fitted to white noise on
five tuning seeds (benchmarks/chi.py; 3.0 to 5.6 by the seed)."""

RULES_CHI = 5.7
"""chi in what acts on a run by the law: noise-aware steps, whose limits were measured with it,
`aggregation.normalise: auto` and the price of a way.  Of earlier runs; a forecast takes `CHI`."""

LARGEST_MSE = 1.0
"""MSE up to which the law is trusted where chi was not fitted above it."""

LARGEST_FACTOR = 1.4
"""Largest factor on the learning rate."""

PLAIN_MSE = 0.5
"""MSE from which on the learning rate stays as it is: there longer steps cost rounds."""


def noise_inflation(updates: npt.ArrayLike, omega: npt.ArrayLike) -> float:
    """Return gamma, the energy of the updates over that of their mean.

    ``gamma = sum_k omega_k ||d_k||^2 / ||sum_k omega_k d_k||^2``: what an MSE of 1 adds to the
    energy of the mean, in units of that energy.  chi is of its order.

    Parameters
    ----------
    updates : array_like, float, shape (K, d)
        Error-free updates d_k of a round.
    omega : array_like, float, shape (K,)
        Weights, sum 1.

    Returns
    -------
    float
        At least 1; infinite where the updates cancel.

    Examples
    --------
    Orthogonal updates of like norm and equal weight: ``1 / sum_k omega_k^2``, the number of clients

    >>> noise_inflation(np.eye(4), np.full(4, 0.25))
    4.0
    """
    vectors, weights = np.asarray(updates, np.float64), np.asarray(omega, np.float64)
    mean = weights @ vectors
    energy, total = float(mean @ mean), float(weights @ np.sum(vectors**2, axis=1))
    return total / energy if energy > 0 else np.inf


def mean_energy(
    gradient_sq: npt.ArrayLike, sigma_g_sq: float, omega: npt.ArrayLike, batches: npt.ArrayLike
) -> Real:
    """Return the energy of the error-free mean, ``||grad F||^2 + sigma_g^2 sum omega_k^2 / B_k``.

    Parameters
    ----------
    gradient_sq : array_like, float
        ``||grad F||^2``, of one round or of many.
    sigma_g_sq : float
        Variance of the gradient of one sample, summed over the entries.
    omega, batches : array_like, float, shape (K,)
        Weights, sum 1, and batch sizes B_k.

    Returns
    -------
    ndarray, float, shape of `gradient_sq`

    Examples
    --------
    Two clients of equal weight; four times the samples leave a quarter of the noise:

    >>> [float(mean_energy(1.0, 8.0, [0.5, 0.5], batches)) for batches in ([2, 2], [8, 8])]
    [3.0, 1.5]
    """
    weights, sizes = np.asarray(omega, np.float64), np.asarray(batches, np.float64)
    noise = sigma_g_sq * float(np.sum(weights**2 / sizes))
    return np.asarray(np.asarray(gradient_sq, np.float64) + noise)


def slowdown(mse: npt.ArrayLike, chi: float = CHI, energy: npt.ArrayLike = 1.0) -> Real:
    """Return how many rounds make the progress of one error-free round.

    ``[(1 + chi MSE) E / E_ref]^(1/2)``.

    Parameters
    ----------
    mse : array_like, float
        Error of the decoded mean over v^2, at least 0.
    chi : float
        At least 0.
    energy : array_like, float
        E / E_ref (:func:`mean_energy`), above 0.

    Returns
    -------
    ndarray, float

    Raises
    ------
    ValueError
        A value is outside its range.

    Examples
    --------
    >>> slowdown([0.0, 0.3], chi=10.0).tolist()
    [1.0, 2.0]
    """
    errors, energies = np.asarray(mse, np.float64), np.asarray(energy, np.float64)
    if not (np.all(errors >= 0) and chi >= 0 and np.all(energies > 0)):
        raise ValueError("mse and chi must be numbers >= 0, energy numbers > 0")
    return np.asarray(np.sqrt((1.0 + chi * errors) * energies))


def effective_progress(mse: npt.ArrayLike, chi: float = CHI, energy: npt.ArrayLike = 1.0) -> Real:
    """Return tau_0 to tau_T, how many error-free rounds the first t noisy ones are worth.

    Parameters
    ----------
    mse : array_like, float, shape (T,)
        MSE_s of each round over v^2.
    chi : float
    energy : array_like, float, shape (T,) or ()
        E_s / E_ref.

    Returns
    -------
    ndarray, float, shape (T + 1,)
        tau_0 = 0 first.

    Examples
    --------
    >>> effective_progress([0.0, 0.0, 0.3], chi=10.0).tolist()
    [0.0, 1.0, 2.0, 2.5]
    """
    steps = 1.0 / np.atleast_1d(slowdown(mse, chi, energy))
    return np.concatenate([[0.0], np.cumsum(steps)])


def predicted_loss(curve: npt.ArrayLike, tau: npt.ArrayLike) -> Real:
    """Return ``L_ideal(tau)``, straight lines between the rounds of an error-free run.

    Parameters
    ----------
    curve : array_like, float, shape (T + 1,)
        Losses of the error-free run, that of the untuned model first.
    tau : array_like, float
        Effective progress in rounds, at least 0.

    Returns
    -------
    ndarray, float, shape of `tau`
        NaN beyond the last round of the curve: nothing is known there.

    Examples
    --------
    >>> predicted_loss([4.0, 3.0, 2.5], [0.0, 0.5, 2.0, 2.1]).tolist()
    [4.0, 3.5, 2.5, nan]
    """
    losses, progress = np.asarray(curve, np.float64), np.asarray(tau, np.float64)
    return np.asarray(np.interp(progress, np.arange(len(losses)), losses, right=np.nan))


def crossing(curve: npt.ArrayLike, target: float) -> float:
    """Return the round in which a curve first is at a target loss or below, interpolated.

    Parameters
    ----------
    curve : array_like, float, shape (T + 1,)
        Losses, that of the untuned model first.
    target : float

    Returns
    -------
    float
        Infinite if the curve does not get there.

    Examples
    --------
    >>> crossing([4.0, 3.0, 2.0], 2.5), crossing([4.0, 3.0, 2.0], 1.0)
    (1.5, inf)
    """
    losses = np.asarray(curve, np.float64)
    there = np.flatnonzero(losses <= target)
    if not len(there):
        return np.inf
    first = int(there[0])
    if first == 0:
        return 0.0
    before, after = losses[first - 1], losses[first]
    share = (before - target) / (before - after) if np.isfinite(before) else 1.0
    return float(first - 1 + share)


def rounds_to_target(
    curve: npt.ArrayLike,
    target: float,
    mse: npt.ArrayLike,
    chi: float = CHI,
    *,
    energy: npt.ArrayLike = 1.0,
    largest_mse: float = LARGEST_MSE,
) -> float:
    """Return the rounds that a noisy run needs to a target loss, interpolated.

    Parameters
    ----------
    curve : array_like, float, shape (T + 1,)
        ``L_ideal``: losses of an error-free run of the same participants, that of the untuned model
        first.
    target : float
        Loss to reach.
    mse : array_like, float, shape () or (S,)
        MSE over v^2: one figure for all rounds, or one a round and nothing known after the last.
    chi : float
    energy : array_like, float, shape () or (S,)
        E_s / E_ref.
    largest_mse : float
        The target counts as never reached where a round before it has a larger MSE than this: the
        law is too hopeful there.  Set it to the largest MSE at which chi was fitted.

    Returns
    -------
    float
        Infinite where the error-free run does not reach the target, the known rounds do not
        suffice, or the law does not hold.

    Examples
    --------
    The error-free run is there after 1.5 rounds; at chi MSE = 3 each round is worth half of one:

    >>> rounds_to_target([4.0, 3.0, 2.0], 2.5, 0.3, chi=10.0)
    3.0
    >>> rounds_to_target([4.0, 3.0, 2.0], 2.5, [0.0, 0.3], chi=10.0)
    2.0
    >>> rounds_to_target([4.0, 3.0, 2.0], 2.5, 1.5)
    inf
    """
    needed = crossing(curve, target)
    if needed == 0 or needed == np.inf:
        return needed
    pace, errors = slowdown(mse, chi, energy), np.asarray(mse, np.float64)
    if pace.ndim == 0:
        return np.inf if errors > largest_mse else needed * float(pace)
    errors = np.broadcast_to(errors, pace.shape)
    tau = effective_progress(errors, chi, energy)
    there = np.flatnonzero(tau >= needed)
    if not len(there) or np.any(errors[: there[0]] > largest_mse):
        return np.inf
    last = int(there[0]) - 1
    return float(last + (needed - tau[last]) * pace[last])


def step_factor(mse: float, chi: float = RULES_CHI) -> float:
    """Return the factor on the learning rate under `training.learning_rate_rule: noise-aware`.

    ``min(sqrt(1 + chi MSE), 1.4)`` undoes the shrinking of the step while the floor is far; 1 from
    an MSE of 0.5 on.  Both limits come from the runs behind :data:`RULES_CHI`: a step of 1.4 eta
    still gained 0.4 and 1.8 rounds of 16 at an MSE of 0.3, and lost 1.7 and 4.1 of 22 at 1 (two
    seeds).

    Parameters
    ----------
    mse : float
        Predicted error of the decoded mean over v^2, at least 0.
    chi : float

    Returns
    -------
    float
        In [1, 1.4].

    Examples
    --------
    >>> [round(step_factor(mse), 3) for mse in (0.0, 0.1, 0.3, 0.5)]
    [1.0, 1.253, 1.4, 1.0]
    """
    return min(float(slowdown(mse, chi)), LARGEST_FACTOR) if mse < PLAIN_MSE else 1.0


def loss_after(
    curve: npt.ArrayLike,
    rounds: int,
    mse: float,
    chi: float = CHI,
    *,
    energy: float = 1.0,
    largest_mse: float = LARGEST_MSE,
) -> float:
    """Return the loss that a noisy run has after some rounds.

    Parameters
    ----------
    curve : array_like, float, shape (T + 1,)
        ``L_ideal``.
    rounds : int
    mse, chi, energy, largest_mse : float
        As of :func:`rounds_to_target`.

    Returns
    -------
    float
        NaN where the law does not hold or the curve ends before.

    Examples
    --------
    At chi MSE = 3 two rounds are worth one:

    >>> loss_after([4.0, 3.0, 2.0], 2, 0.3, chi=10.0)
    3.0
    """
    if mse > largest_mse:
        return np.nan
    return float(predicted_loss(curve, rounds / float(slowdown(mse, chi, energy))))
