"""Which coding of the updates is taken: as set, by quality, or by predicted time.

The predicted time to a loss is the number of rounds, by the law of :mod:`airtune.bound.forecast`,
times the time of a round.  Errors of quantisation are not white noise on the mean, so their
constant chi is fitted for each quantiser, with and without feedback: :data:`CHI`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from airtune.bound.forecast import slowdown
from airtune.kinds import Integer, Real
from airtune.radio.quantisers.coding import Coding
from airtune.scenario import Digital as Settings

BIT_CHOICES = (4, 8, 16)
"""Bits for `digital.bits: auto`."""

MOST_BITS = 16

PLANNED = ("lloyd-max", "entropy", "top-k")
"""Quantisers among which a plan chooses; with the same bits ``uniform`` is never better."""

TOP_SHARES = (0.03, 0.1, 0.3)
"""Shares of ``top-k`` among which a plan chooses."""

CHI: Mapping[tuple[str, bool], float] = {
    ("lloyd-max", False): 11.0,
    ("lloyd-max", True): 18.0,
    ("entropy", False): 11.0,
    ("entropy", True): 18.0,
    ("top-k", False): 18.0,
    ("top-k", True): 21.0,
    ("uniform", False): 11.0,
    ("uniform", True): 18.0,
}
"""chi by quantiser and feedback, with the error that :func:`error_of_mean` expects.  ``lloyd-max``:
fitted elsewhere at 1 to 4 bits, in runs of the quickstart's model (two seeds, Adam, ten clients),
not by a script of this package.  ``entropy`` and ``uniform`` take these, which is no
more than the first of them needed on a tuning seed of benchmarks/quantisers.py.  ``top-k``: by a
run of 4 bits and a share of 0.03 on that seed."""


def error_of_mean(coding: Coding, omega: Real, matrix_sizes: Integer) -> float:
    """Return the expected error of the mean over v^2: ``sum_k omega_k^2`` times that of an update.

    Parameters
    ----------
    coding : Coding
    omega : ndarray, float, shape (K,)
        Sum 1.
    matrix_sizes : ndarray, int, shape (B,)
    """
    return float(omega @ omega) * coding.quantiser.error_of(matrix_sizes, coding.feedback)


def rounds_factor(coding: Coding, omega: Real, matrix_sizes: Integer) -> float:
    """Return how many rounds with this coding make the progress of one without rounding."""
    chi = CHI[coding.quantizer, coding.feedback]
    return float(slowdown(error_of_mean(coding, omega, matrix_sizes), chi))


def candidates(settings: Settings, omega: Real, matrix_sizes: Integer) -> list[Coding]:
    """Return the codings that the settings leave open, at least one.

    Parameters
    ----------
    settings : Digital
        Section ``digital`` of the scenario.
    omega : ndarray, float, shape (K,)
        Sum 1.
    matrix_sizes : ndarray, int, shape (B,)
    """
    names = PLANNED if settings.quantizer == "planned" else (settings.quantizer,)
    planned = settings.error_feedback == "planned"
    feedbacks = (False, True) if planned else (bool(settings.error_feedback),)
    found = []
    for name in names:
        shares: Sequence[float] = (1.0,)
        if name == "top-k":
            shares = TOP_SHARES if settings.top_share == "planned" else (settings.top_share,)
        for share in shares:
            for feedback in feedbacks:
                all_bits = [Coding(name, bits, feedback, share) for bits in range(1, MOST_BITS + 1)]
                found += _of_bits(all_bits, settings, omega, matrix_sizes)
    return found


def _of_bits(
    codings: list[Coding], settings: Settings, omega: Real, matrix_sizes: Integer
) -> list[Coding]:
    """Return those of codings with 1 to 16 bits that `digital.bits` leaves."""
    if settings.bits == "planned":
        return codings
    if settings.bits != "auto":
        return [codings[settings.bits - 1]]
    allowed = 10.0 ** (settings.quality_db / 10.0)
    for bits in BIT_CHOICES:
        plain = codings[bits - 1].quantiser.expected_error(matrix_sizes)
        if float(omega @ omega) * plain <= allowed:
            return [codings[bits - 1]]
    return [codings[BIT_CHOICES[-1] - 1]]


def fastest(
    codings: Sequence[Coding],
    omega: Real,
    matrix_sizes: Integer,
    seconds: Callable[[Coding], float],
) -> Coding:
    """Return the coding of least predicted time; of equals the first.

    Parameters
    ----------
    codings : sequence of Coding
    omega : ndarray, float, shape (K,)
        Sum 1.
    matrix_sizes : ndarray, int, shape (B,)
    seconds : callable
        Time of a round with a coding [s].

    Examples
    --------
    Finer levels where a round takes long anyway, coarse ones where the upload is all:

    >>> codings = [Coding("lloyd-max", bits, feedback=False) for bits in (1, 2, 4, 8)]
    >>> omega, sizes = np.full(10, 0.1), np.array([5000])
    >>> [
    ...     fastest(codings, omega, sizes, lambda coding: beside + 0.1 * coding.bits).bits
    ...     for beside in (0.0, 1.0, 10.0)
    ... ]
    [1, 2, 4]
    """
    times = [seconds(c) * rounds_factor(c, omega, matrix_sizes) for c in codings]
    return codings[int(np.argmin(times))]
