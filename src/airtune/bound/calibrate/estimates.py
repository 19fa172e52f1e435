"""From what was measured on a trajectory to constants of the bound, each with its uncertainty."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from airtune.bound.calibrate.trajectory import Point, Trajectory, finite
from airtune.errors import InputError

EARLY = 0.1
"""Share of the initial gap that a point must still have to count for the PL constant."""


@dataclass(frozen=True)
class Estimate:
    """A constant of the bound.

    Attributes
    ----------
    value : float
    error : float or None
        Standard error of sampling, if known.
    low, high : float
        Range over the points of the trajectory (or other readings that `how` names).
    how : str
        How it was obtained, in a sentence.
    """

    value: float
    error: float | None
    low: float
    high: float
    how: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


def smoothness(trajectory: Trajectory) -> Estimate:
    """L: the largest |eigenvalue| of the Hessian met on the trajectory."""
    values = [abs(p.curvature.value) for p in trajectory.points]
    at = int(np.argmax(values))
    largest = trajectory.points[at].curvature
    if values[at] == 0:
        raise InputError(
            "calibration: the Hessian is zero on the trajectory; set bound.L by a number"
        )
    products = sum(p.curvature.iterations for p in trajectory.points)
    open_ = [p.round for p in trajectory.points if not p.curvature.converged]
    ending = f"; not settled at rounds {open_}" if open_ else ""
    sign = "" if largest.value > 0 else ", a negative one"
    return Estimate(
        values[at],
        finite(largest.error),
        min(values),
        values[at],
        f"power iteration, {products} Hessian-vector products at {len(values)} points; largest at "
        f"round {trajectory.points[at].round}{sign}, residual {largest.residual:.2g}{ending}",
    )


def pl_constant(
    trajectory: Trajectory, smooth: float, name: str, floor: float | None = None
) -> tuple[Estimate, float]:
    """mu, and the loss F* that it belongs to.

    F* is the floor of the loss curve's decay (or `floor`, when that is less), and
    mu = min ||grad F||^2 / (2 (F - F*)) over the points that still have a tenth of the gap.  The
    proof of the bound uses the PL inequality at the visited points only, with any F* in it.
    F* = 0, the least that a cross-entropy can be, gives the low end of the range.
    """
    least = trajectory.decay.floor if floor is None else min(floor, trajectory.decay.floor)
    start = trajectory.points[0].loss - least
    early = [p for p in trajectory.points if p.loss - least >= EARLY * start > 0]
    ratios = [(p.gradients.gradient_sq / (2 * (p.loss - least)), p) for p in early]
    positive = [(ratio, p) for ratio, p in ratios if ratio > 0]
    if not positive:
        raise InputError(
            f"calibration: bound.{name} was lost in the noise of the gradients; raise "
            f"calibration.samples or set bound.{name} by a number"
        )
    mu, at = min(positive, key=lambda pair: pair[0])
    unreachable = [p.gradients.gradient_sq / (2 * p.loss) for p in trajectory.points if p.loss > 0]
    lost = len(ratios) - len(positive)
    note = f", {lost} lost in noise" if lost else ""
    value = min(mu, smooth)
    return (
        Estimate(
            value,
            _ratio_error(mu, at, trajectory, least),
            min(value, *(ratio for ratio in unreachable if ratio > 0)),
            max(ratio for ratio, _ in positive),
            f"least |grad F|^2 / (2 (F - F*)) of {len(ratios)} points{note}, at round {at.round}; "
            f"F* = {least:.3g}, floor of the loss curve's decay (misfit "
            f"{trajectory.decay.misfit:.1%}); low: F* = 0 at all points",
        ),
        least,
    )


def _ratio_error(mu: float, at: Point, trajectory: Trajectory, least: float) -> float | None:
    gap = at.loss - least
    share = at.gradients.gradient_sq_error / at.gradients.gradient_sq
    below = trajectory.decay.floor_error / gap if least == trajectory.decay.floor else 0.0
    return finite(mu * float(np.hypot(share, below)))


def step_size(trajectory: Trajectory, smooth: float) -> Estimate:
    """eta: 1/L, or the learning rate of an SGD server if that is shorter."""
    if trajectory.step is not None and trajectory.step < 1 / smooth:
        return Estimate(
            trajectory.step, None, trajectory.step, 1 / smooth, "the server's learning rate <= 1/L"
        )
    return Estimate(1 / smooth, None, 1 / smooth, 1 / smooth, "1/L")


def gradient_variance(trajectory: Trajectory, *, pooled: bool = False) -> Estimate:
    """sigma_g^2: largest variance of any client and point; `pooled`: of the clients' mean."""
    values = np.array([p.gradients.sigma_sq for p in trajectory.points])
    errors = np.array([p.gradients.sigma_sq_error for p in trajectory.points])
    if pooled:
        clients = values.shape[1]
        values = values.mean(axis=1, keepdims=True)
        errors = np.sqrt(np.sum(errors**2, axis=1, keepdims=True)) / clients
    t, k = np.unravel_index(np.argmax(values), values.shape)
    who = "mean of the groups" if pooled else f"client {k} of {values.shape[1]} looked at"
    return Estimate(
        float(values[t, k]),
        finite(errors[t, k]),
        float(values.min()),
        float(values.max()),
        f"largest per-sample variance, {who}, at round {trajectory.points[t].round}; range over "
        "clients and points",
    )


def heterogeneity(trajectory: Trajectory) -> Estimate:
    """zeta^2: largest squared distance of a client's gradient from the mean, noise taken off."""
    values = np.array([p.gradients.zeta_sq for p in trajectory.points])
    errors = np.array([p.gradients.zeta_sq_error for p in trajectory.points])
    t, k = np.unravel_index(np.argmax(values), values.shape)
    return Estimate(
        float(values[t, k]),
        finite(errors[t, k]),
        float(values.min()),
        float(values.max()),
        f"largest |grad F_k - grad F|^2 less its sampling noise, client {k}, at round "
        f"{trajectory.points[t].round}; range over clients and points",
    )


def update_scale(trajectory: Trajectory) -> Estimate:
    """G^2: largest squared scale of a round with batches of one sample."""
    means = [p.gradients.G_sq for p in trajectory.points]
    at = int(np.argmax(means))
    t = int(np.argmax(trajectory.scales))
    value = max(means[at], float(trajectory.scales[t]))
    where = f"in round {t + 1}" if value > means[at] else f"at round {trajectory.points[at].round}"
    return Estimate(
        value,
        finite(trajectory.points[at].gradients.G_sq_error),
        min(means),
        max(value, *means),
        f"largest of {len(trajectory.scales)} rounds and {len(means)} points with batches of one "
        f"sample, {where}; the means of the points reach {means[at]:.3g}",
    )
