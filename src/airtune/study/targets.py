"""Target losses, and where a run crosses them (system model, section 10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from airtune.record.documents import MetricsLine

Number = int | float

SHARES = {"90": 0.9, "98": 0.98}
"""Shares of the reference's improvement that make a target loss, by their names in the results."""

MAIN = "90"
"""The target of headline figures."""

Targets = Mapping[str, float | None]
"""Target losses of a seed by name; None where there is none."""


class Crossing(TypedDict):
    """Where a run reaches a target, between two evaluations; None: never."""

    rounds: float | None
    time_s: float | None
    energy_j: float | None


NEVER: Crossing = {"rounds": None, "time_s": None, "energy_j": None}


def target_loss(losses: Sequence[float | None], share: float = SHARES[MAIN]) -> float | None:
    """Return the initial loss minus a share of the improvement that the reference reaches.

    Parameters
    ----------
    losses : sequence of float or None
        Validation losses of the reference, those of the untuned model first; None where it has
        diverged.
    share : float
        In (0, 1].

    Returns
    -------
    float or None
        None when the reference does not improve: there is nothing to reach then.

    Examples
    --------
    >>> round(target_loss([5.0, 3.0, 1.0]), 6)
    1.4
    >>> target_loss([5.0, 6.0]) is None
    True
    """
    first, last = losses[0], losses[-1]
    if last is None or first is None or last >= first:
        return None
    return float(first - share * (first - last))


def target_losses(losses: Sequence[float | None]) -> dict[str, float | None]:
    """Return the target losses of a seed by name; `losses` as in :func:`target_loss`."""
    return {name: target_loss(losses, share) for name, share in SHARES.items()}


def crossing(rounds: Sequence[MetricsLine], target: float | None) -> Crossing:
    """Return where a run reaches a target.

    At the first evaluation with loss <= target, between it and the one before it:
    ``a = (l0 - target) / (l0 - l1)``, and rounds, time and energy are each ``x0 + a (x1 - x0)``.
    After an evaluation without a loss (the model had diverged) nothing is interpolated.

    Parameters
    ----------
    rounds : sequence of MetricsLine
        Round 0, the untuned model, first.
    target : float or None

    Examples
    --------
    >>> lines = [
    ...     MetricsLine(round=i, time_s=2.0 * i, energy_j=10.0 * i, loss=5.0 - i, evaluated=True)
    ...     for i in range(3)
    ... ]
    >>> crossing(lines, 3.5)
    {'rounds': 1.5, 'time_s': 3.0, 'energy_j': 15.0}
    """
    before: MetricsLine | None = None
    for line in rounds:
        if not line.evaluated:
            continue
        if target is not None and line.loss is not None and line.loss <= target:
            return {
                "rounds": _between(before, line, "round", target),
                "time_s": _between(before, line, "time_s", target),
                "energy_j": _between(before, line, "energy_j", target),
            }
        before = line
    return NEVER.copy()


def _between(
    before: MetricsLine | None, line: MetricsLine, name: str, target: float
) -> float | None:
    """Return a figure of the rounds at the target, between the evaluations around it."""
    end = line.number(name)
    if before is None or before.loss is None or line.loss is None or end is None:
        return None if end is None else float(end)
    start = before.number(name)
    if start is None:
        return float(end)
    share = (before.loss - target) / (before.loss - line.loss)
    return float(start + share * (end - start))
