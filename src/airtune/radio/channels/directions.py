"""Directions of arrival, written as the in-plane part `u` of a unit vector.

The array lies in the xy-plane and faces +z, so every scatterer is in the half space z >= 0 and its
unit vector is ``(u_x, u_y, sqrt(1 - |u|^2))`` with ``|u| <= 1``.  With the array on a wall, x
horizontal and y upwards, a scatterer at azimuth phi (from broadside, positive towards +x) and
elevation eps (above the horizon) has

    u = (cos(eps) sin(phi), sin(eps)).
"""

from __future__ import annotations

import numpy as np

from airtune.kinds import Real


def uniform(shape: tuple[int, ...], rng: np.random.Generator) -> Real:
    """Return directions spread uniformly (in solid angle) over the half sphere.

    The height z of a uniform point of the half sphere is uniform in [0, 1] (Archimedes).

    Parameters
    ----------
    shape : tuple of int
        Shape of the wanted set.
    rng : Generator
        Source of randomness.

    Returns
    -------
    ndarray, float, shape (*shape, 2)
        In-plane parts `u`.
    """
    height = rng.uniform(size=shape)
    turn = rng.uniform(0.0, 2.0 * np.pi, size=shape)
    radius = np.sqrt(1.0 - height**2)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=-1)


def random_step(directions: Real, deviation: float, rng: np.random.Generator) -> Real:
    """Turn each direction by a random angle and keep it on the half sphere.

    The turn is a Gaussian vector in the tangent plane with standard deviation `deviation` along
    each of its two axes, followed along the great circle (exponential map of the sphere).  A
    direction that would pass behind the array is mirrored to the front.  Both parts leave the
    uniform distribution over the half sphere unchanged.

    Parameters
    ----------
    directions : ndarray, float, shape (..., 2)
        In-plane parts `u`.
    deviation : float
        Standard deviation of the turn about each tangent axis [rad].
    rng : Generator
        Source of randomness.

    Returns
    -------
    ndarray, float, shape (..., 2)
        Turned directions, ``|u| <= 1``.
    """
    # By component: ten times ten thousand directions turn in every round of many clients.
    x, y = directions[..., 0], directions[..., 1]
    z = np.sqrt(np.clip(1.0 - (x * x + y * y), 0.0, None))
    step = deviation * rng.standard_normal((*x.shape, 3))
    a, b, c = step[..., 0], step[..., 1], step[..., 2]
    along = a * x + b * y + c * z
    a, b, c = a - along * x, b - along * y, c - along * z
    angle = np.sqrt(a * a + b * b + c * c)
    # sinc keeps the quotient sin(angle)/angle finite at angle 0
    turn, reach = np.cos(angle), np.sinc(angle / np.pi)
    x, y = turn * x + reach * a, turn * y + reach * b
    size = np.maximum(1.0, np.sqrt(x * x + y * y))
    return np.stack([x / size, y / size], axis=-1)


def pull(directions: Real, centres: Real, factor: float) -> Real:
    """Multiply each direction's angle from its centre by `factor` along the great circle.

    Parameters
    ----------
    directions, centres : ndarray, float, shape (..., 2)
        In-plane parts `u`; `centres` broadcasts.
    factor : float
        Share of the angle that remains, in [0, 1].

    Returns
    -------
    ndarray, float, shape (..., 2)
        Pulled directions.
    """
    unit, centre = lift(directions), lift(np.broadcast_to(centres, directions.shape))
    angle = np.arctan2(
        np.linalg.norm(np.cross(unit, centre), axis=-1, keepdims=True),
        np.sum(unit * centre, axis=-1, keepdims=True),
    )
    sine = np.sin(angle)
    safe = np.where(sine > 1e-9, sine, 1.0)
    moved = (np.sin((1.0 - factor) * angle) * centre + np.sin(factor * angle) * unit) / safe
    return _flatten(np.where(sine > 1e-9, moved, unit))


def lift(directions: Real) -> Real:
    """Return the unit vectors, shape (..., 3), of in-plane parts, shape (..., 2)."""
    rest = np.clip(1.0 - np.sum(directions**2, axis=-1, keepdims=True), 0.0, None)
    return np.concatenate([directions, np.sqrt(rest)], axis=-1)


def _flatten(vectors: Real) -> Real:
    """Return the in-plane parts of (nearly) unit vectors; rounding never leaves ``|u| <= 1``."""
    in_plane = vectors[..., :2]
    return np.asarray(in_plane / np.maximum(1.0, np.linalg.norm(in_plane, axis=-1, keepdims=True)))
