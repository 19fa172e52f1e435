"""The memory of this machine, and the refusal of work that needs more than there is."""

from __future__ import annotations

import os
from pathlib import Path

from airtune.errors import InputError

GIB = 2.0**30

PARSED = 6.0
"""Memory of the rows of a file of text as Python objects, over its size."""

_GROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Where Linux says what a container may use (versions 2 and 1)."""


def total_bytes() -> int:
    """Return the memory that this process may use [bytes].

    The least of the machine's memory, the limit of the container and the limit of the process.
    """
    import psutil

    limits = [int(psutil.virtual_memory().total)]
    for path in _GROUP_LIMITS:
        try:
            limits.append(int(path.read_text(encoding="ascii")))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    if os.name == "posix":
        import resource

        limits += [
            soft
            for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)
            if (soft := resource.getrlimit(kind)[0]) not in (resource.RLIM_INFINITY, -1)
        ]
    return min(limits)


def demand(what: str, needed_bytes: float) -> None:
    """Refuse what needs more memory than there is, before any of it is taken.

    Parameters
    ----------
    what : str
        Begins the message: the setting or file, its value, and what the memory is for.
    needed_bytes : float
        Estimate of the memory needed [bytes].

    Raises
    ------
    InputError
        It is more than :func:`total_bytes`.

    Examples
    --------
    >>> demand("clients.count = 10: their adapters", 4e6)
    >>> demand("clients.count = 10000000: their adapters", 4e18)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    airtune.errors.InputError: clients.count = 10000000: their adapters need about 3.73e+09 GiB of \
memory, here are ... GiB
    """
    there = total_bytes()
    if needed_bytes > there:
        raise InputError(
            f"{what} need about {needed_bytes / GIB:.3g} GiB of memory, here are "
            f"{there / GIB:.3g} GiB"
        )
