"""Plane waves in place of spherical ones, for solvers that know plane waves.

A placement problem holds plane waves.  Where wave fronts are spherical it is made of plane waves
that agree with them where it matters: at one point of the region (:func:`tangent`), exact there and
off by a phase of about ``pi |r - c|^2 / d`` elsewhere, or at given places (:func:`interpolated`),
exact there, with their slopes if wanted.  What antennas receive is always computed from the
spherical waves themselves (:func:`airtune.radio.array.channel`).
"""

from __future__ import annotations

import math

import numpy as np

from airtune.kinds import Complex, Real
from airtune.radio.array import response, response_slopes
from airtune.radio.channels.base import Paths

CUTOFF = 1e-12
"""Singular values below this share of the largest count as 0."""


def tangent(paths: Paths, point: Real) -> Paths:
    """Return plane waves that agree with waves at a point in value and direction.

    Parameters
    ----------
    paths : Paths
    point : ndarray, float, shape (2,)
        In the plane of the array [wavelengths].

    Returns
    -------
    Paths
        Without distances; the same object if it had none.

    Examples
    --------
    A source 10 wavelengths straight ahead of the corner, seen from 3 wavelengths to the right:

    >>> one = np.ones((1, 1))
    >>> near = Paths(one + 0j, np.zeros((1, 1, 2)), one, 10.0 * one)
    >>> tangent(near, np.array([3.0, 0.0])).directions.round(4).tolist()
    [[[-0.2873, 0.0]]]
    """
    if paths.distances is None:
        return paths
    bend = 1.0 / paths.distances
    along = paths.directions @ point
    stretch = np.sqrt(1.0 - 2.0 * bend * along + bend**2 * (point @ point))
    directions = (paths.directions - bend[..., None] * point) / stretch[..., None]
    here = response(paths, point[None])[..., 0]
    back = np.exp(-2j * np.pi * (directions @ point))
    return Paths(paths.gains * here * back, directions, paths.delays)


def interpolated(paths: Paths, places: Real, *, slopes: bool = False) -> Paths:
    """Return the plane waves of least power that agree with waves at given places.

    Parameters
    ----------
    paths : Paths
        Of K transmitters.
    places : ndarray, float, shape (N, 2)  [wavelengths]
    slopes : bool, optional
        Agree in the derivatives by the places too.

    Returns
    -------
    Paths
        Without distances; directions are the same for all K.  The same object if it had none.

    Examples
    --------
    >>> from airtune.radio.array import channel
    >>> one = np.ones((1, 1))
    >>> near = Paths(one + 0j, np.zeros((1, 1, 2)), one, 10.0 * one)
    >>> places = np.array([[0.0, 0.0], [2.0, 1.0], [4.0, 4.0]])
    >>> plane = interpolated(near, places)
    >>> bool(np.allclose(channel(plane, places), channel(near, places), rtol=1e-9))
    True
    """
    if paths.distances is None:
        return paths
    directions = _directions(float(max(2.0, np.ptp(places, axis=0).max())))
    waves = np.exp(2j * np.pi * (places @ directions.T))
    wanted = np.einsum("kl,kln->nk", paths.gains, response(paths, places))
    if slopes:
        # Divided by 2 pi: slopes of waves and waves are then alike in size.
        tilts = [1j * axis * waves for axis in directions.T]
        waves = np.concatenate([waves, *tilts])
        change = np.einsum("kl,klnd->dnk", paths.gains, response_slopes(paths, places))
        wanted = np.concatenate([wanted, *(change / (2.0 * np.pi))])
    gains = _least(waves, wanted).T
    shape = gains.shape
    return Paths(
        np.ascontiguousarray(gains),
        np.broadcast_to(directions, (*shape, 2)).copy(),
        np.zeros(shape),
    )


def _directions(extent: float) -> Real:
    """Return a grid of directions, fine enough for any wave over so many wavelengths, (M, 2)."""
    count = math.ceil(2.0 * extent)
    grid = np.arange(-count, count + 1) / count
    both = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    return np.asarray(both[np.linalg.norm(both, axis=1) <= 1.0])


def _least(waves: Complex, wanted: Complex) -> Complex:
    """Return the least solution of ``waves @ x = wanted``."""
    solution, *_ = np.linalg.lstsq(waves, wanted, rcond=CUTOFF)
    return np.asarray(solution, dtype=np.complex128)
