"""Names of the array types used in this package: numpy arrays of one kind of number.

`Real` is float64, `Complex` complex128, `Integer` int64, `Mask` bool, `Floating` float32 or
float64. Shapes and units stand in the docstrings of what takes and returns them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Real = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]
Integer = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Floating = npt.NDArray[np.floating[Any]]  # float32 or float64, as the learner sends it
