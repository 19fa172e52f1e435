"""Complex Gaussian numbers."""

from __future__ import annotations

import numpy as np

from airtune.kinds import Complex


def complex_normal(shape: tuple[int, ...], rng: np.random.Generator) -> Complex:
    """Return independent circular Gaussian numbers CN(0, 1).

    Real and imaginary part have variance 1/2 each and are drawn in turn, entry by entry.

    Parameters
    ----------
    shape : tuple of int
    rng : Generator
        Source of randomness.

    Returns
    -------
    ndarray, complex, shape `shape`

    Examples
    --------
    >>> numbers = complex_normal((20_000,), np.random.default_rng(1))
    >>> float(np.round(np.mean(np.abs(numbers) ** 2), 1))
    1.0
    """
    parts = rng.standard_normal((*shape, 2)) * np.sqrt(0.5)
    return np.asarray(parts.view(np.complex128)[..., 0])
