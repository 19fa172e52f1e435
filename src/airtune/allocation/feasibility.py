"""Feasibility: whether the cheapest admissible run meets the budgets, and what it needs."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from airtune.allocation.clocks import cheapest_server_time, total_energy
from airtune.allocation.problem import BACKOFF_MIN, ROUNDING, ResourceProblem

_DIGITS = 9
_LARGEST = 1e300


def is_feasible(problem: ResourceProblem) -> bool:
    """Whether some plan meets all budgets.

    More rounds, larger batches, more pre-training and more power all cost time and energy, so the
    least of each decides.

    Examples
    --------
    A round takes 0.6 s besides computing, so 0.6 s are not enough for one:

    >>> from airtune.allocation.examples import two_clients
    >>> problem = two_clients(latency_s=6)
    >>> is_feasible(problem), is_feasible(problem.with_budgets(latency_s=0.6))
    (True, False)
    """
    rounds, samples = problem.rounds[0], problem.least_samples
    batch = np.ones_like(problem.clients.omega)
    backoff = least_backoff(problem)
    time = cheapest_server_time(problem, rounds, samples, batch, backoff)
    if time is None:
        return False
    spent = total_energy(problem, rounds, samples, batch, backoff, time)
    return spent <= problem.energy_j * (1 + ROUNDING)


def least_backoff(problem: ResourceProblem) -> float:
    """Lower end of rho; 1 where no client's radio energy depends on it."""
    return BACKOFF_MIN if np.any(problem.clients.radio_j > 0) else 1.0


def least_budget(
    feasible: Callable[[float], bool], start: float, *, digits: int = _DIGITS
) -> float | None:
    """Least value of a budget with which it can be met, rounded up.

    Parameters
    ----------
    feasible : callable
        Whether some plan meets all budgets with this one at a value.
    start : float
        A value that is too small.
    digits : int
        Significant digits of the answer; the answer is feasible, and less its last digit is not.

    Returns
    -------
    float or None
        None when no value helps.
    """
    if not feasible(math.inf):
        return None
    low, high = start, max(2 * start, 1e-300)
    while not feasible(high):
        low, high = high, high * 4
        if not high < _LARGEST:
            return None
    while high - low > 1e-14 * high:
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (low, middle) if feasible(middle) else (middle, high)
    value, step = round_up(high, digits), 10.0 ** (1 - digits)
    while not feasible(value):
        value = round_up(value * (1 + step), digits)
        step = min(2 * step, 1.0)  # rounding needs one step: the end comes soon in any case
        if not value < _LARGEST:
            return None
    return value


def round_up(value: float, digits: int = _DIGITS) -> float:
    """Round a positive number up to so many significant digits."""
    exponent = math.floor(math.log10(value)) - digits + 1
    text = f"{value:.{digits - 1}e}"
    rounded = float(text)
    return rounded if rounded >= value else float(f"{rounded + 10.0**exponent:.{digits - 1}e}")
