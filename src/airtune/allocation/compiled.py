"""Compile a numerical kernel with numba and keep its type for the type checker."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile in nopython mode; division by zero gives infinity, the code is kept on disk."""
    return cast("Callable[P, R]", numba.njit(cache=True, error_model="numpy")(function))
