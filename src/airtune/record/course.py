"""What the rounds of a cell say about it."""

from __future__ import annotations

from collections.abc import Sequence

from airtune.record.documents import MetricsLine


def diverged(rounds: Sequence[MetricsLine]) -> bool:
    """Tell whether a cell has diverged.

    It has where its last loss is not finite or above the first, and where rounds without anything
    finite (`not_finite`) have kept the last loss from falling below the first.

    Parameters
    ----------
    rounds : sequence of MetricsLine
        Round 0, the untuned model, first; the last round is validated.

    Examples
    --------
    >>> def course(*losses, **last):
    ...     known = [MetricsLine(round=i, evaluated=True, loss=x) for i, x in enumerate(losses)]
    ...     return [*known[:-1], known[-1].model_copy(update=last)]
    >>> diverged(course(2.0, 1.0)), diverged(course(2.0, None)), diverged(course(2.0, 2.5))
    (False, True, True)
    >>> diverged(course(2.0, 2.0)), diverged(course(2.0, 2.0, not_finite="updates"))
    (False, True)
    """
    losses = [line.loss for line in rounds if line.evaluated]
    first, last = losses[0], losses[-1]
    if last is None or first is None:
        return last is None
    lost = any(line.not_finite for line in rounds)
    return last >= first if lost else last > first
