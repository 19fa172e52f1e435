"""The anomaly stop: a round whose decoded mean is far longer than usual makes no step.

The norm of the mean is held against those of the last accepted rounds: above their median and
`training.anomaly_stop` robust standard deviations the step is left out.  It is the one test that
needs nothing but the sum, so any interface can have it; it sees what is out of line with the rounds
before and nothing else: an attack that is there from the first round on, or that keeps the norm,
passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airtune.rounds.metrics import finite_or_none
from airtune.scenario import Training

LEAST = 5
"""Accepted rounds before the first test."""

TO_DEVIATION = 1.4826
"""Standard deviation of a normal variable over its MAD, the median absolute deviation."""

FLOOR = 0.05
"""Least standard deviation, over the median: rounds that are nearly alike are no reason to stop."""


@dataclass(frozen=True)
class Verdict:
    """What the test of a round has found.

    Attributes
    ----------
    accepted : bool
        Whether the step is made.
    norm : float
        Euclidean norm of the decoded mean.
    limit : float or None
        The largest norm that would be accepted; None before the first test.
    norms : ndarray, float, shape (n,)
        Those of the last accepted rounds, this one among them if it is.
    """

    accepted: bool
    norm: float
    limit: float | None
    norms: NDArray[np.float64]

    def metrics(self) -> dict[str, Any]:
        """Return what the line of the round tells."""
        norm, limit = finite_or_none(self.norm), finite_or_none(self.limit)
        return {"rejected": not self.accepted, "mean_norm": norm, "mean_norm_limit": limit}


def judge(
    mean: NDArray[np.floating[Any]], norms: NDArray[np.float64], settings: Training
) -> Verdict | None:
    """Test the decoded mean of a round; None where `training.anomaly_stop` asks for no test.

    Parameters
    ----------
    mean : ndarray, float, shape (d,)
    norms : ndarray, float, shape (n,)
        Norms of the last accepted rounds, the latest last.
    settings : Training
        `anomaly_stop` and `anomaly_window` are read.

    Examples
    --------
    >>> settings, norms = Training(anomaly_stop=6), np.array([1.0, 1.1, 0.9, 1.0, 1.05])
    >>> [judge(np.array([norm]), norms, settings).accepted for norm in (1.2, 3.0)]
    [True, False]
    >>> judge(np.array([1.2]), norms, settings).norms.tolist()
    [1.0, 1.1, 0.9, 1.0, 1.05, 1.2]
    """
    if settings.anomaly_stop is None:
        return None
    norm = float(np.linalg.norm(np.asarray(mean, np.float64)))
    limit = None
    if len(norms) >= LEAST:
        middle = float(np.median(norms))
        deviation = TO_DEVIATION * float(np.median(np.abs(norms - middle)))
        limit = middle + settings.anomaly_stop * max(deviation, FLOOR * middle)
    accepted = bool(np.isfinite(norm) and (limit is None or norm <= limit))
    if accepted:
        norms = np.append(norms, norm)[-settings.anomaly_window :]
    return Verdict(accepted, norm, limit, norms)
