"""Statistics over seeds: quantiles, and paired differences on common random numbers.

Every scheme of a seed meets the same channels, data and batches, so schemes are compared seed by
seed: the differences scatter much less than the figures themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

QUANTILES = {"median": 0.5, "p10": 0.1, "p90": 0.9}
COVERAGE = 0.95
"""Wanted coverage of an interval; few seeds may not reach it, the interval says what it has."""


class Quantiles(TypedDict):
    """Median, 10 % and 90 % quantile; None where one is infinite."""

    median: float | None
    p10: float | None
    p90: float | None


class Interval(TypedDict):
    """An interval for a median and the probability that the median lies in it."""

    low: float | None
    high: float | None
    coverage: float


class Paired(Quantiles):
    """Differences of one figure, seed by seed, to a baseline; infinite numbers are None."""

    differences: list[float | None]
    interval: Interval
    sign_test_p: float | None
    wilcoxon_p: float | None


class PairedFigures(TypedDict):
    """Differences of every figure of every scheme to one baseline."""

    baseline: str
    seeds: int
    schemes: dict[str, dict[str, Paired]]


class Share(TypedDict):
    """An interval for a share of records, in [0, 1]."""

    low: float
    high: float


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return a quantile by linear interpolation; None where it is infinite.

    As ``numpy.quantile``, which makes NaN of values between two infinite ones.

    Parameters
    ----------
    values : sequence of float, length n >= 1
    share : float
        In [0, 1]; 0.5 is the median.
    """
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    weight = place - math.floor(place)
    value = low if low == high or weight == 0 else low + (high - low) * weight
    return value if math.isfinite(value) else None


def quantiles(values: Sequence[float | None], missing: float | None = math.inf) -> Quantiles:
    """Return median, 10 % and 90 % quantile.

    Parameters
    ----------
    values : sequence of float or None, length n >= 1
    missing : float or None
        What None counts as.  Infinite (the default) is right for what is better small and was never
        reached, minus infinite for a saving that was not made; None leaves it out.

    Returns
    -------
    dict
        ``median``, ``p10``, ``p90``; None where a quantile is infinite, or no value is known.

    Examples
    --------
    >>> quantiles([1.0, 2.0, 4.0, None])["median"]
    3.0
    >>> quantiles([1.0, 2.0, None])["p90"] is None
    True
    >>> quantiles([1.0, 2.0, None], missing=None)["median"]
    1.5
    """
    if missing is None:
        values, missing = [value for value in values if value is not None] or values, math.inf
    known = [missing if value is None else float(value) for value in values]
    median, p10, p90 = (quantile(known, share) for share in QUANTILES.values())
    return {"median": median, "p10": p10, "p90": p90}


def difference(value: float | None, baseline: float | None) -> float:
    """Return value - baseline, where None is infinite; two infinite ones differ by nothing."""
    first = math.inf if value is None else float(value)
    second = math.inf if baseline is None else float(baseline)
    return 0.0 if first == second else first - second


def median_interval(differences: Sequence[float]) -> tuple[float, float, float]:
    """Return an interval for the median and its coverage, whatever the distribution is.

    Between the k-th least and the k-th greatest of n differences the median lies with probability
    ``1 - 2 P(Bin(n, 1/2) < k)``; k is the greatest that keeps :data:`COVERAGE`, or 1 where n is too
    small for any to do so.  From six differences on these are the ends that
    ``scipy.stats.quantile_test`` gives; with fewer it has none, and it does not say what coverage
    an interval has.

    Parameters
    ----------
    differences : sequence of float, length n >= 1

    Returns
    -------
    low, high, coverage : float

    Examples
    --------
    >>> median_interval([3.0, 1.0, 2.0])
    (1.0, 3.0, 0.75)

    References
    ----------
    H. A. David, H. N. Nagaraja: Order Statistics, 3rd ed., Wiley 2003, section 7.1.
    """
    from scipy.stats import binom

    ordered, n = sorted(differences), len(differences)

    def covered(k: int) -> float:
        return float(1 - 2 * binom.cdf(k - 1, n, 0.5))

    best = max((k for k in range(1, n // 2 + 1) if covered(k) >= COVERAGE), default=1)
    return ordered[best - 1], ordered[n - best], max(covered(best), 0.0)


def paired(differences: Sequence[float]) -> Paired:
    """Sum up the differences of one figure, seed by seed, to a baseline.

    Parameters
    ----------
    differences : sequence of float, length n >= 1
        Infinite where only one of the two never got there.

    Returns
    -------
    dict
        ``differences``, ``median``, ``p10``, ``p90``; ``interval`` (low, high, coverage) of the
        median; ``sign_test_p`` and ``wilcoxon_p``, exact two-sided tests of a median of 0 (None
        where all differences are 0).  Infinite numbers are null.

    Examples
    --------
    >>> found = paired([1.0, 2.0, 3.0])
    >>> found["median"], found["interval"], found["sign_test_p"]
    (2.0, {'low': 1.0, 'high': 3.0, 'coverage': 0.75}, 0.25)
    """
    from scipy.stats import binomtest, wilcoxon

    low, high, coverage = median_interval(differences)
    moved = [x for x in differences if x != 0]
    sign = rank = None
    if moved:
        above = sum(x > 0 for x in moved)
        sign = float(binomtest(above, len(moved), 0.5).pvalue)
        # Ranks are all that counts: an infinite difference is beyond the greatest finite one.
        beyond = 1.0 + 2.0 * max((abs(x) for x in moved if math.isfinite(x)), default=0.0)
        finite = [math.copysign(beyond, x) if math.isinf(x) else x for x in moved]
        ties = len(set(map(abs, finite))) < len(finite)
        rank = float(wilcoxon(finite, method="approx" if ties else "auto").pvalue)
    return {
        "differences": [_finite(x) for x in differences],
        **quantiles(differences),
        "interval": {"low": _finite(low), "high": _finite(high), "coverage": coverage},
        "sign_test_p": sign,
        "wilcoxon_p": rank,
    }


def share_interval(share: float | None, records: int | None) -> Share | None:
    """Return Wilson's 95 % interval for a share that was observed on so many records.

    None where the share or the number of records is not known.

    Examples
    --------
    >>> interval = share_interval(0.4, 250)
    >>> round(interval["low"], 3), round(interval["high"], 3)
    (0.341, 0.462)

    References
    ----------
    E. B. Wilson: Probable inference, the law of succession, and statistical inference, 1927.
    """
    from scipy.stats import binomtest

    if share is None or not records:
        return None
    test = binomtest(round(share * records), records)
    found = test.proportion_ci(COVERAGE, method="wilson")
    return {"low": float(found.low), "high": float(found.high)}


PAIRED_FIGURES = (
    "rounds_to_target",
    "time_to_target_s",
    "energy_to_target_j",
    "final_loss",
    "final_perplexity",
    "exact_match",
    "token_accuracy",
    "preference_accuracy",
    "mse_db",
    "fairness",
)


def paired_figures(
    figures: Mapping[str, Mapping[int, Mapping[str, Any]]], baseline: str
) -> PairedFigures | None:
    """Compare every scheme with one, seed by seed.

    Parameters
    ----------
    figures : mapping
        Figures of one run by scheme and seed (`airtune.study.outcomes.cell_figures`).
    baseline : str
        Scheme that is subtracted.

    Returns
    -------
    dict or None
        ``{"baseline", "seeds", "schemes": {NAME: {FIGURE: paired(...)}}}``, each difference
        scheme minus baseline; None with fewer than two seeds or without the baseline.

    Examples
    --------
    Two seeds of two schemes; what neither has (here all but the loss) is left out:

    >>> def cell(loss):
    ...     return {**dict.fromkeys(PAIRED_FIGURES), "final_loss": loss}
    >>> figures = {"movable": {0: cell(0.5), 1: cell(0.75)}, "fixed": {0: cell(1.0), 1: cell(1.0)}}
    >>> differences = paired_figures(figures, baseline="fixed")
    >>> differences["schemes"]["movable"]["final_loss"]["differences"]
    [-0.5, -0.25]
    >>> list(differences["schemes"]["movable"])
    ['final_loss']
    """
    base = figures.get(baseline, {})
    schemes: dict[str, dict[str, Paired]] = {}
    for name, cells in figures.items():
        seeds = sorted(set(cells) & set(base))
        if name == baseline or len(seeds) < 2:
            continue
        entry = {}
        for figure in PAIRED_FIGURES:
            pairs = [(cells[seed].get(figure), base[seed].get(figure)) for seed in seeds]
            if all(one is None and other is None for one, other in pairs):
                continue
            if figure == "mse_db" and any(None in pair for pair in pairs):
                continue  # the error-free reference has no error in decibels
            entry[figure] = paired([difference(*pair) for pair in pairs])
        schemes[name] = entry
    return {"baseline": baseline, "seeds": len(base), "schemes": schemes} if schemes else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def jain_index(counts: Iterable[float]) -> float:
    """Return Jain's fairness index, ``(sum x)^2 / (n sum x^2)``; 1 when all are 0.

    Parameters
    ----------
    counts : iterable of float, length n >= 1
        How often each of n clients took part.

    Examples
    --------
    >>> jain_index([4, 4, 4]), jain_index([1, 0, 0, 0])
    (1.0, 0.25)

    References
    ----------
    R. Jain, D. Chiu, W. Hawe: A quantitative measure of fairness, DEC-TR-301, 1984.
    """
    x = np.asarray(list(counts), dtype=float)
    return float(x.sum() ** 2 / (len(x) * (x**2).sum())) if x.any() else 1.0
