"""A short training without air: everything about a loss is measured along its trajectory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from airtune.bound.calibrate.contract import FloatArray, Loss, Vector
from airtune.bound.calibrate.curvature import Eigenpair, power_iteration
from airtune.bound.calibrate.decay import Decay, fit_decay
from airtune.bound.calibrate.gradients import GradientStatistics, gradient_statistics, squared_scale
from airtune.errors import InputError
from airtune.learning.server import ServerOptimizer
from airtune.radio.scales import Normalise
from airtune.registry import SERVER_OPTIMIZERS
from airtune.scenario import Calibration
from airtune.scenario.learning import Training
from airtune.streams import generator

Progress = Callable[[str, float], None]
CURVE = 10


@dataclass(frozen=True)
class Point:
    """What was measured after a number of rounds."""

    round: int
    loss: float
    loss_error: float
    curvature: Eigenpair
    gradients: GradientStatistics


@dataclass(frozen=True)
class Trajectory:
    """The course of a calibration.

    Attributes
    ----------
    points : tuple of Point
    rounds, losses : ndarray, shape (n,)
        Loss curve on the calibration samples.
    scales : ndarray, shape (R,)
        G_t^2 of every round, as it came out with the batches of the trajectory.
    step : float or None
        Last step of SGD; None for another optimiser.
    end : ndarray, float32, shape (d,)
        Weights after the last round.
    decay : Decay
    """

    points: tuple[Point, ...]
    rounds: FloatArray
    losses: FloatArray
    scales: FloatArray
    step: float | None
    end: Vector
    decay: Decay

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the vectors as plain JSON types."""
        return {
            "curve": {"rounds": self.rounds.tolist(), "losses": self.losses.tolist()},
            "decay": vars(self.decay),
            "scales": self.scales.tolist(),
            "step": self.step,
            "points": [_point(point) for point in self.points],
        }


def _point(point: Point) -> dict[str, Any]:
    eigen, gradients = dict(vars(point.curvature)), vars(point.gradients)
    del eigen["vector"]
    return {
        "round": point.round,
        "loss": point.loss,
        "loss_error": finite(point.loss_error),
        "curvature": {name: _plain(x) for name, x in eigen.items()},
        "gradients": {name: _plain(x) for name, x in gradients.items()},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [finite(x) for x in value.tolist()]
    return finite(value) if isinstance(value, float) else value


def finite(value: float) -> float | None:
    """Return a number, or None for nan and infinity, which JSON does not have."""
    return float(value) if np.isfinite(value) else None


def measure_trajectory(
    loss: Loss,
    training: Training,
    settings: Calibration,
    *,
    normalise: Normalise,
    batch_size: int,
    seed: int,
    name: str,
    progress: Progress,
) -> Trajectory:
    """Train for `settings.rounds` rounds and measure at points that get rarer as rounds go by.

    The server optimiser is the scenario's, so that the trajectory leads where training will go.
    SGD takes steps of its learning rate, but never longer than 1/L for the largest L met so far.

    Parameters
    ----------
    loss : Loss
    training : Training
        Optimiser of the server.
    settings : Calibration
    normalise : {'block', 'loaded', 'global'}
        Rule of the scales behind G^2.
    batch_size : int
        Samples of each client in a round.
    seed : int
    name : str
        For the random stream and the progress.
    progress : callable
        Called with a text and the fraction done.
    """
    due = _spread_out(settings.rounds, settings.points)
    curve_due = set(np.linspace(0, settings.rounds, CURVE + 1).round().astype(int)) | due
    point = loss.start.copy()
    vector = generator(seed, "calibration", name, "curvature").standard_normal(len(point))
    sgd = training.server_optimizer == "sgd"
    optimizer: ServerOptimizer = SERVER_OPTIMIZERS[training.server_optimizer]
    state = optimizer.init(point, training)
    points: list[Point] = []
    curve: list[tuple[int, float]] = []
    scales = np.empty(settings.rounds)
    step = rate = training.learning_rate
    for t in range(settings.rounds + 1):
        progress(f"calibration: {name}, round {t}", t / (settings.rounds + 1))
        if t in curve_due:
            curve.append((t, _mean_loss(loss, point)[0]))
            if not np.isfinite(curve[-1][1]):
                raise InputError(
                    f"calibration: the loss of {name} is not finite after {t} rounds; lower "
                    f"training.learning_rate = {rate:g}"
                )
        if t in due:
            points.append(_measure(loss, point, vector, t, settings, normalise))
            vector = points[-1].curvature.vector.astype(np.float64)
            largest = max(abs(p.curvature.value) for p in points)
            if sgd and largest > 0:
                step = min(rate, 1 / largest)
                training = training.model_copy(update={"learning_rate": step})
        if t < settings.rounds:
            updates = loss.updates(point, batch_size, t + 1)
            sizes = loss.matrix_sizes.tolist()
            scales[t] = squared_scale(updates, loss.weights, sizes, normalise)
            point, state = optimizer.step(point, loss.weights @ updates, state, training)
    rounds, losses = (np.array(column, float) for column in zip(*curve, strict=True))
    decay = fit_decay(rounds, losses)
    return Trajectory(tuple(points), rounds, losses, scales, step if sgd else None, point, decay)


def _spread_out(rounds: int, points: int) -> set[int]:
    """Return 0, `rounds` and points between them that get rarer: training changes most at first."""
    between = np.geomspace(1, rounds, points)[:-1] if points > 2 else np.zeros(0)
    inner = sorted({round(float(x)) for x in between} - {0})[-(points - 2) :] if points > 2 else []
    return {0, rounds, *inner}


def _mean_loss(loss: Loss, point: Vector) -> tuple[float, float]:
    """Return the loss on the calibration samples and its standard error."""
    losses = loss.losses(point)
    mean = float(loss.weights @ [x.mean() for x in losses])
    variances = [x.var(ddof=1) / len(x) if len(x) > 1 else np.nan for x in losses]
    return mean, float(np.sqrt(loss.weights**2 @ variances))


def _measure(
    loss: Loss,
    point: Vector,
    vector: FloatArray,
    t: int,
    settings: Calibration,
    normalise: Normalise,
) -> Point:
    mean, error = _mean_loss(loss, point)
    curvature = power_iteration(
        lambda v: loss.curvature(point, v, settings.curvature_samples),
        vector.astype(np.float32),
        settings.iterations,
        settings.tolerance,
    )
    return Point(t, mean, error, curvature, gradient_statistics(loss, point, normalise))
