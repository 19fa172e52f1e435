"""The loss of an error-free run, continued beyond its last known round (system model, section 7b).

A few rounds without the errors of the air, a *pilot*, tell how a loss begins to fall.  A rectified
power law [1]_ in the number of rounds t continues it,

    ``L(t) = E + (L(0) - E) / (1 + (t / s)^b)``

with a floor E, a scale s in rounds and a power b.  A pilot of eight rounds says little about floor
and power, so both have a prior, taken from whole runs (:data:`FLOOR`, :data:`LOG_POWER`); the more
rounds are known, the less it counts.

References
----------
.. [1] H. Lin et al., "Selecting large language model to fine-tune via rectified scaling law",
   arXiv 2402.02314, 2024.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from airtune.bound.forecast import crossing
from airtune.kinds import Real

FLOOR = (0.22, 0.1)
"""Prior of E / L(0): mean and standard deviation.

This and the next were set by hand, once, after fits to the whole error-free runs of a small LLaMA
with an Adam-like server in benchmarks/results/study (cell-edge, paper-v1), and widened for runs in
which few clients take part."""

LOG_POWER = (0.35, 0.25)
"""Prior of log b, in the same way."""

SCATTER = 0.017
"""Standard deviation of a measured loss around the law, over L(0)."""

LOG_SCALE = (-3.0, 8.0)
"""Range of log s that is searched."""

_STARTS = (0.0, 1.0, 2.5)
"""Where searches for log s begin; the best end is taken."""


@dataclass(frozen=True)
class LearningCurve:
    """Losses of an error-free run: measured ones, and the law that continues them.

    Attributes
    ----------
    measured : tuple of float
        L(0), that of the untuned model, to L(P).
    floor, scale, power : float
        E, s [rounds] and b of the law.
    """

    measured: tuple[float, ...]
    floor: float
    scale: float
    power: float

    @property
    def known(self) -> int:
        """P, the last measured round."""
        return len(self.measured) - 1

    def law(self, rounds: npt.ArrayLike) -> Real:
        """Return the loss of the law after some rounds, of the shape of `rounds`."""
        t, start = np.asarray(rounds, np.float64), self.measured[0]
        with np.errstate(over="ignore"):
            fallen = 1.0 + (t / self.scale) ** self.power
        return np.asarray(self.floor + (start - self.floor) / fallen)

    def losses(self, rounds: int) -> Real:
        """Return the losses after 0 to `rounds` rounds: as measured, then by the law.

        The law goes on from the last measured loss: what this is above or below the law fades as
        the law falls towards its floor.

        Parameters
        ----------
        rounds : int
            At least 0.

        Returns
        -------
        ndarray, float, shape (rounds + 1,)

        Examples
        --------
        >>> curve = LearningCurve((4.0, 2.5), floor=1.0, scale=1.0, power=1.0)
        >>> curve.losses(3).tolist()
        [4.0, 2.5, 2.0, 1.75]
        """
        head = np.asarray(self.measured[: rounds + 1])
        if rounds <= self.known:
            return head
        later = self.law(np.arange(self.known + 1, rounds + 1))
        last, fitted = self.measured[-1], float(self.law(self.known))
        if fitted > self.floor:
            later = later + (last - fitted) * (later - self.floor) / (fitted - self.floor)
        return np.concatenate([head, later])

    def rounds_to(self, target: float, most: int) -> float:
        """Return the round in which the error-free run is at a target loss, interpolated.

        Parameters
        ----------
        target : float
        most : int
            Rounds after which it counts as never.

        Returns
        -------
        float
            Infinite where it is not there within `most` rounds.

        Examples
        --------
        >>> curve = LearningCurve((4.0, 2.5), floor=1.0, scale=1.0, power=1.0)
        >>> curve.rounds_to(1.75, 10), curve.rounds_to(0.9, 10)
        (3.0, inf)
        """
        return crossing(self.losses(most), target)

    def target(self, share: float, rounds: int) -> float:
        """Return ``L(0) - share (L(0) - L(rounds))`` (system model, section 10).

        Examples
        --------
        >>> LearningCurve((4.0, 2.5), floor=1.0, scale=1.0, power=1.0).target(0.9, 3)
        1.975
        """
        start = self.measured[0]
        return float(start - share * (start - self.losses(rounds)[-1]))

    def to_dict(self) -> dict[str, Any]:
        """Return the curve as plain JSON types."""
        return {
            "measured": list(self.measured),
            "floor": self.floor,
            "scale_rounds": self.scale,
            "power": self.power,
        }


def fit_learning_curve(losses: npt.ArrayLike) -> LearningCurve:
    """Fit the rectified power law to the first losses of an error-free run.

    The most probable parameters: least squares of the losses over their scatter
    (:data:`SCATTER`), and of E / L(0) and log b over their priors.

    Parameters
    ----------
    losses : array_like, float, shape (P + 1,)
        L(0) to L(P), finite and above 0, P at least 1.

    Returns
    -------
    LearningCurve

    Raises
    ------
    ValueError
        There are fewer than two losses, or one is not a finite number above 0.

    Examples
    --------
    Twelve rounds of a run that follows the law; the loss after thirty is met within 2 %:

    >>> truth = LearningCurve((3.0,), floor=0.6, scale=2.5, power=1.4)
    >>> curve = fit_learning_curve(truth.losses(12))
    >>> bool(abs(curve.losses(30)[-1] / truth.losses(30)[-1] - 1) < 0.02)
    True
    """
    from scipy.optimize import least_squares

    known = np.asarray(losses, np.float64)
    if known.ndim != 1 or len(known) < 2 or not np.all(np.isfinite(known) & (known > 0)):
        raise ValueError("losses must be at least two finite numbers above 0")
    rounds, relative = np.arange(1.0, len(known)), known[1:] / known[0]

    def residuals(x: Real) -> Real:
        floor, log_scale, log_power = x
        law = floor + (1 - floor) / (1 + (rounds / np.exp(log_scale)) ** np.exp(log_power))
        priors = [(floor - FLOOR[0]) / FLOOR[1], (log_power - LOG_POWER[0]) / LOG_POWER[1]]
        return np.concatenate([(law - relative) / SCATTER, priors])

    bounds = ([0.0, LOG_SCALE[0], -1.0], [1.0, LOG_SCALE[1], 1.5])
    starts = [np.array([FLOOR[0], log_scale, LOG_POWER[0]]) for log_scale in _STARTS]
    fits = [least_squares(residuals, start, bounds=bounds) for start in starts]
    floor, log_scale, log_power = min(fits, key=lambda fit: float(fit.cost)).x
    return LearningCurve(
        measured=tuple(float(x) for x in known),
        floor=float(floor * known[0]),
        scale=float(np.exp(log_scale)),
        power=float(np.exp(log_power)),
    )
