"""Compile numerical kernels with numba; keep their types for the type checker, their code on disk.

Arithmetic is strict in every kernel: with any licence to reorder or fuse operations the last bits
would depend on how a kernel was inlined, and machine code from the disk could then differ from the
code that was just compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")
Stamp = tuple[tuple[str, int, int], ...]


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile at the first call; division by zero gives infinity, the code is kept on disk.

    Parameters
    ----------
    function : callable
        A function that numba can compile in nopython mode.

    Returns
    -------
    callable
        The compiled function, with the same signature.
    """
    return _stamped(function, numba.njit(cache=True, error_model="numpy")(function))


def entry(function: Callable[P, R]) -> Callable[P, R]:
    """Compile at the first call a kernel that Python calls, too; the code is kept on disk.

    The interpreter lock is released while it runs. Parameters and returns as for `compiled`.
    """
    return _stamped(function, numba.njit(cache=True, nogil=True)(function))


def inner(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a kernel that is only called by other kernels and ends up inside them.

    The wrappers that Python would need are not compiled. Parameters and returns as for `compiled`.
    """
    decorate = numba.njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
    return cast("Callable[P, R]", decorate(function))


@cache
def sources(folder: Path) -> Stamp:
    """Name, time and size of every Python file of a folder, as they were at the first call."""
    files = sorted(folder.glob("*.py"))
    return tuple((f.name, f.stat().st_mtime_ns, f.stat().st_size) for f in files)


def _stamped(function: Callable[P, R], kernel: Any) -> Callable[P, R]:
    """Let the code on disk count as outdated when any file beside the function's own changes.

    Numba takes the code for valid while the function's own file is unchanged; but it also contains
    the kernels of other files that it calls. So all kernels that call each other stand in one
    folder, and the stamp covers every file of it.
    """
    with suppress(AttributeError):  # not a public part of numba
        index = kernel._cache._cache_file
        folder = Path(function.__code__.co_filename).parent
        index._source_stamp = (index._source_stamp, sources(folder))
    return cast("Callable[P, R]", kernel)
