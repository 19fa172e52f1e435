"""From what was measured on a path to constants of the bound, each with its uncertainty."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from airtune.bound.calibrate.path import CalibrationPath, Point, known
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
        Range over the points of the path (or other readings that `how` names).
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


def smoothness(path: CalibrationPath) -> Estimate:
    """L: the largest |eigenvalue| of the Hessian met on the path."""
    values = [abs(p.curvature.value) for p in path.points]
    at = int(np.argmax(values))
    found = path.points[at].curvature
    if values[at] == 0:
        raise InputError("calibration: the Hessian is zero on the path; set bound.L by a number")
    products = sum(p.curvature.iterations for p in path.points)
    open_ = [p.round for p in path.points if not p.curvature.converged]
    ending = f"; not settled at rounds {open_}" if open_ else ""
    sign = "" if found.value > 0 else ", a negative one"
    return Estimate(
        values[at],
        known(found.error),
        min(values),
        values[at],
        f"power iteration, {products} Hessian-vector products at {len(values)} points; largest at "
        f"round {path.points[at].round}{sign}, residual {found.residual:.2g}{ending}",
    )


def pl_constant(
    path: CalibrationPath, smooth: float, name: str, floor: float | None = None
) -> tuple[Estimate, float]:
    """mu, and the loss F* that it belongs to.

    F* is the floor of the loss curve's decay (or `floor`, when that is less), and
    mu = min ||grad F||^2 / (2 (F - F*)) over the points that still have a tenth of the gap.  The
    proof of the bound uses the PL inequality at the visited points only, with any F* in it.
    F* = 0, the least that a cross-entropy can be, gives the low end of the range.
    """
    least = path.decay.floor if floor is None else min(floor, path.decay.floor)
    start = path.points[0].loss - least
    early = [p for p in path.points if p.loss - least >= EARLY * start > 0]
    ratios = [(p.gradients.gradient_sq / (2 * (p.loss - least)), p) for p in early]
    positive = [(ratio, p) for ratio, p in ratios if ratio > 0]
    if not positive:
        raise InputError(
            f"calibration: bound.{name} was lost in the noise of the gradients; raise "
            f"calibration.samples or set bound.{name} by a number"
        )
    mu, at = min(positive, key=lambda pair: pair[0])
    unreachable = [p.gradients.gradient_sq / (2 * p.loss) for p in path.points if p.loss > 0]
    lost = len(ratios) - len(positive)
    note = f", {lost} lost in noise" if lost else ""
    value = min(mu, smooth)
    return (
        Estimate(
            value,
            _ratio_error(mu, at, path, least),
            min(value, *(ratio for ratio in unreachable if ratio > 0)),
            max(ratio for ratio, _ in positive),
            f"least |grad F|^2 / (2 (F - F*)) of {len(ratios)} points{note}, at round {at.round}; "
            f"F* = {least:.3g}, floor of the loss curve's decay (misfit {path.decay.misfit:.1%}); "
            "low: F* = 0 at all points",
        ),
        least,
    )


def _ratio_error(mu: float, at: Point, path: CalibrationPath, least: float) -> float | None:
    gap = at.loss - least
    share = at.gradients.gradient_sq_error / at.gradients.gradient_sq
    below = path.decay.floor_error / gap if least == path.decay.floor else 0.0
    return known(mu * float(np.hypot(share, below)))


def step_size(path: CalibrationPath, smooth: float) -> Estimate:
    """eta: 1/L, or the learning rate of an SGD server if that is shorter."""
    if path.step is not None and path.step < 1 / smooth:
        return Estimate(path.step, None, path.step, 1 / smooth, "the server's learning rate <= 1/L")
    return Estimate(1 / smooth, None, 1 / smooth, 1 / smooth, "1/L")


def gradient_variance(path: CalibrationPath, *, pooled: bool = False) -> Estimate:
    """sigma_g^2: largest variance of any client and point; `pooled`: of the clients' mean."""
    values = np.array([p.gradients.sigma_sq for p in path.points])
    errors = np.array([p.gradients.sigma_sq_error for p in path.points])
    if pooled:
        clients = values.shape[1]
        values = values.mean(axis=1, keepdims=True)
        errors = np.sqrt(np.sum(errors**2, axis=1, keepdims=True)) / clients
    t, k = np.unravel_index(np.argmax(values), values.shape)
    who = "mean of the groups" if pooled else f"client {k} of {values.shape[1]} looked at"
    return Estimate(
        float(values[t, k]),
        known(errors[t, k]),
        float(values.min()),
        float(values.max()),
        f"largest per-sample variance, {who}, at round {path.points[t].round}; range over clients "
        "and points",
    )


def heterogeneity(path: CalibrationPath) -> Estimate:
    """zeta^2: largest squared distance of a client's gradient from the mean, noise taken off."""
    values = np.array([p.gradients.zeta_sq for p in path.points])
    errors = np.array([p.gradients.zeta_sq_error for p in path.points])
    t, k = np.unravel_index(np.argmax(values), values.shape)
    return Estimate(
        float(values[t, k]),
        known(errors[t, k]),
        float(values.min()),
        float(values.max()),
        f"largest |grad F_k - grad F|^2 less its sampling noise, client {k}, at round "
        f"{path.points[t].round}; range over clients and points",
    )


def update_scale(path: CalibrationPath) -> Estimate:
    """G^2: largest squared scale of a round with batches of one sample."""
    means = [p.gradients.G_sq for p in path.points]
    at = int(np.argmax(means))
    t = int(np.argmax(path.scales))
    value = max(means[at], float(path.scales[t]))
    where = f"in round {t + 1}" if value > means[at] else f"at round {path.points[at].round}"
    return Estimate(
        value,
        known(path.points[at].gradients.G_sq_error),
        min(means),
        max(value, *means),
        f"largest of {len(path.scales)} rounds and {len(means)} points with batches of one sample, "
        f"{where}; the means of the points reach {means[at]:.3g}",
    )
