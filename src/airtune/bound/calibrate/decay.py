"""The loss that training tends to, from the early loss curve: a fit of its decay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from airtune.bound.calibrate.contract import FloatArray

SLOWEST, FASTEST = 1e-3, 40.0


@dataclass(frozen=True)
class Decay:
    """F_t = floor + height exp(-rate t).

    Attributes
    ----------
    floor, height, rate : float
    floor_error : float
        Standard error of `floor`, by the jackknife over the points of the curve.
    misfit : float
        Root mean square of the residuals over `height`.
    """

    floor: float
    height: float
    rate: float
    floor_error: float
    misfit: float

    def __call__(self, rounds: ArrayLike) -> FloatArray:
        """Return the fitted loss after `rounds`."""
        return np.asarray(self.floor + self.height * np.exp(-self.rate * np.asarray(rounds)))


def fit_decay(rounds: ArrayLike, losses: ArrayLike) -> Decay:
    """Fit a geometric decay to a loss curve by least squares.

    A loss with constant mu that is trained by steps of constant length decays at least so fast.
    The floor lies within [0, least loss], for a cross-entropy is not negative; a curve that
    does not bend down leaves it at 0 (a larger gap, so a smaller mu: on the safe side).

    Parameters
    ----------
    rounds, losses : array_like, shape (n,), n >= 4
        Round and loss of each point of the curve, the first being the start.
    """
    t, loss = np.asarray(rounds, float), np.asarray(losses, float)
    floor, height, rate = _fit(t, loss)
    others = [np.arange(len(t)) != i for i in range(1, len(t))]
    floors = np.array([_fit(t[k], loss[k])[0] for k in others])
    residual = loss - floor - height * np.exp(-rate * t)
    return Decay(
        floor=floor,
        height=height,
        rate=rate,
        floor_error=float(np.sqrt(len(others) - 1) * floors.std()),
        misfit=float(np.sqrt(np.mean(residual**2)) / height) if height > 0 else np.inf,
    )


def _fit(t: FloatArray, loss: FloatArray) -> tuple[float, float, float]:
    span = max(float(t[-1] - t[0]), 1.0)

    def solve(log_rate: float) -> tuple[float, float, float]:
        decay = np.exp(-np.exp(log_rate) * t)
        columns = np.stack([np.ones_like(t), decay], axis=1)
        floor, height = np.linalg.lstsq(columns, loss, rcond=None)[0]
        if not 0 <= floor <= loss.min():
            floor = float(np.clip(floor, 0.0, loss.min()))
            height = max(float(decay @ (loss - floor) / (decay @ decay)), 0.0)
        error = loss - floor - height * decay
        return float(error @ error), float(floor), float(height)

    grid = np.log(np.geomspace(SLOWEST / span, FASTEST, 60))
    best = int(np.argmin([solve(x)[0] for x in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    nearest = minimize_scalar(lambda x: solve(x)[0], bounds=(low, high), method="bounded")
    x = float(nearest.x) if nearest.fun <= solve(grid[best])[0] else float(grid[best])
    _, floor, height = solve(x)
    return floor, height, float(np.exp(x))
