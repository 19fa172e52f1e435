"""Arrays that kernels make and clear.

Numba compiles `np.empty` anew for every constant in a shape, and a whole array's assignment slowly;
here each is compiled once for all kernels.
"""

from __future__ import annotations

import numpy as np

from airtune.compiled import inner
from airtune.kinds import Integer, Real


@inner
def blank(rows: int, columns: int) -> Real:
    """Array of shape (rows, columns); its entries mean nothing yet."""
    return np.empty((rows, columns))


@inner
def blank_integers(count: int) -> Integer:
    """Array of integers of shape (count,); its entries mean nothing yet."""
    return np.empty(count, np.int64)


@inner
def clear(array: Real) -> None:
    """Fill a 2-D array with zeros."""
    for i in range(array.shape[0]):
        for j in range(array.shape[1]):
            array[i, j] = 0.0
