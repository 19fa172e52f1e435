"""Largest curvature of a loss by power iteration on Hessian-vector products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from airtune.bound.calibrate.contract import FloatArray, Vector


@dataclass(frozen=True)
class Eigenpair:
    """The eigenvalue of largest magnitude.

    Attributes
    ----------
    value : float
        Rayleigh quotient v^T H v; an eigenvalue of H lies within `residual` of it.
    residual : float
        ||H v - value v||.
    error : float
        Standard error over the draws of samples, at fixed v; nan for a single draw.
    vector : ndarray, float32, shape (d,)
        Unit vector v.
    iterations : int
        Products taken.
    converged : bool
        The value has settled within the tolerance.
    """

    value: float
    residual: float
    error: float
    vector: Vector
    iterations: int
    converged: bool


def power_iteration(
    product: Callable[[Vector], Vector], start: Vector, iterations: int, tolerance: float
) -> Eigenpair:
    """Find the eigenvalue of largest magnitude of a symmetric matrix known by its products.

    Parameters
    ----------
    product : callable
        Returns estimates of H v, shape (draws, d), for a unit vector v; their mean is H.
    start : ndarray, float32, shape (d,)
        First vector, not 0.
    iterations : int
        Products at most.
    tolerance : float
        Stop when the Rayleigh quotient changes by less than this share.
    """
    vector: Vector = _unit(start)
    value, before = 0.0, np.inf
    for step in range(1, iterations + 1):
        rows = product(vector)
        image = rows.mean(axis=0, dtype=np.float64)
        quotients = rows @ vector.astype(np.float64)
        value = float(quotients.mean())
        residual = float(np.linalg.norm(image - value * vector.astype(np.float64)))
        error = float(quotients.std(ddof=1) / np.sqrt(len(rows))) if len(rows) > 1 else np.nan
        settled = abs(value - before) <= tolerance * abs(value)
        if settled or step == iterations or not np.any(image):
            break
        before, vector = value, _unit(image)
    return Eigenpair(value, residual, error, vector, step, bool(settled or not np.any(image)))


def _unit(vector: FloatArray | Vector) -> Vector:
    wide = np.asarray(vector, np.float64)
    return np.asarray(wide / np.linalg.norm(wide), np.float32)
