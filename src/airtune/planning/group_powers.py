"""Which powers scale groups have under `aggregation.normalise: auto`."""

from __future__ import annotations

from typing import Literal

from airtune.bound.forecast import RULES_CHI, slowdown

REFERENCE = "fixed"
"""Scheme whose predicted error chooses: its array moves and switches nothing, so that no scheme's
choice depends on how good its own air is."""

NOTICEABLE = 0.05
"""Share of the rounds that noise has to cost for the groups to have powers by scale."""


def powers_at(mse: float) -> Literal["block", "loaded"]:
    """Return the powers of scale groups, for all schemes of a repetition alike.

    `loaded` never has the larger total error, but peaks, and brings nothing where the air is as
    good as perfect.  So it is taken where the law of :mod:`airtune.bound.forecast` has the noise
    cost :data:`NOTICEABLE` of the rounds or more.

    Parameters
    ----------
    mse : float
        Error over v^2 that the scheme :data:`REFERENCE` is predicted to have in the first round.

    Examples
    --------
    >>> powers_at(0.001), powers_at(0.1)
    ('block', 'loaded')
    """
    return "loaded" if slowdown(mse, RULES_CHI) >= 1.0 + NOTICEABLE else "block"
