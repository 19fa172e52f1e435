"""How often each analog symbol is sent (system model, section 4): the integer n_rep of a plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")

ROUNDING = 1e-12
"""Least relative gain for which symbols are sent once more."""


def fewest_sendings(
    solve: Callable[[int], Answer | None], value: Callable[[Answer], float], most: int
) -> Answer | None:
    """Return the best answer over n = 1 ... `most` sendings of a symbol, the fewest of equal ones.

    Sent n times the noise of a symbol falls to 1 / n, and time and energy of the uplink rise n
    times.  Under uniform forcing only rho n counts for the noise and for what amplifiers draw, and
    every sending costs time and circuits besides: so of the plans with the same rho n the fewest
    sendings are the best, n = ceil(rho n), and n > 1 goes with a back-off rho > 1 - 1 / n.

    All n are tried.  Costs rise with n, so where there is no plan for some n there is none for any
    larger one.

    Parameters
    ----------
    solve : callable
        Best answer with n sendings; None where no plan keeps the budgets.
    value : callable
        What is to be least.
    most : int
        Largest n, at least 1.

    Returns
    -------
    Answer of `solve`, or None
        None where there is none even for n = 1.

    Examples
    --------
    Each sending costs 0.1, the noise is 1 / n:

    >>> fewest_sendings(lambda n: (n, 1 / n + 0.1 * n), lambda answer: answer[1], 8)[0]
    3
    """
    best: Answer | None = None
    for count in range(1, most + 1):
        answer = solve(count)
        if answer is None:
            break
        if best is None or value(answer) < value(best) * (1 - ROUNDING):
            best = answer
    return best
