"""When a study has failed because what it trained diverged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airtune.registry import REFERENCE


def failing(kind: str, schemes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the schemes whose divergence makes a command fail; empty where it is a result.

    A scheme that cannot learn in bad air is a result of a comparison.  The reference sets the
    target, so without it there is nothing to compare; neither is there where everything diverged.

    Parameters
    ----------
    kind : str
        ``run``, ``compare`` or ``sweep``; of a sweep, the schemes are those of one point.
    schemes : mapping
        Figures by scheme, as in ``results.json``.

    Examples
    --------
    >>> bad, good = {"diverged": True}, {"diverged": False}
    >>> failing("run", {"fixed": bad}), failing("compare", {"ideal": good, "fixed": bad})
    (['fixed'], [])
    >>> failing("compare", {"ideal": bad, "fixed": good}), failing("compare", {"fixed": bad})
    (['ideal'], ['fixed'])
    """
    diverged = [name for name, entry in schemes.items() if entry.get("diverged")]
    if kind == "run" or len(diverged) == len(schemes):
        return diverged
    return [name for name in diverged if name == REFERENCE]
