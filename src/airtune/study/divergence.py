"""When a study has failed because of what it trained: it diverged, or never made a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airtune.registry import REFERENCE


def failing(kind: str, schemes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the schemes that make a command fail; empty where what they came to is a result.

    Those are meant that diverged, and those of which no round made a step.  A scheme that cannot
    learn in bad air is a result of a comparison.  The reference sets the target, so without it
    there is nothing to compare; neither is there where no scheme has learnt anything.

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
    >>> failing("compare", {"ideal": {"never_stepped": True}, "fixed": good})
    ['ideal']
    """
    bad = [n for n, entry in schemes.items() if entry.get("diverged") or entry.get("never_stepped")]
    if kind == "run" or len(bad) == len(schemes):
        return bad
    return [name for name in bad if name == REFERENCE]
