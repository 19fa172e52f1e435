"""Reference placements for studies and baselines."""

from __future__ import annotations

import math

import numpy as np

from airtune.placement.problem import Real


def half_wavelength(antennas: int, region: Real, spacing: float = 0.5) -> Real:
    """Planar array centred in the region (system model, section 3).

    n_x is the largest divisor of N not above sqrt N, along x; N / n_x along y. The array may
    stick out of a small region: a fixed array needs no room to move.

    Parameters
    ----------
    antennas : int
    region : ndarray, shape (2,)  [wavelengths]
    spacing : float
        Distance between neighbours, half a wavelength by default  [wavelengths]

    Returns
    -------
    ndarray, shape (N, 2)  [wavelengths]
    """
    nx = max(n for n in range(1, math.isqrt(antennas) + 1) if antennas % n == 0)
    ny = antennas // nx
    x, y = np.meshgrid(
        (np.arange(nx) - (nx - 1) / 2) * spacing + region[0] / 2,
        (np.arange(ny) - (ny - 1) / 2) * spacing + region[1] / 2,
        indexing="ij",
    )
    return np.column_stack([x.ravel(), y.ravel()])
