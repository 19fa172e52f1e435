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


def rounds_without_step(rounds: Sequence[MetricsLine]) -> int | None:
    """Return in how many rounds the server made no step, whatever the reason.

    Parameters
    ----------
    rounds : sequence of MetricsLine
        Round 0 is not counted.

    Returns
    -------
    int or None
        None where a line does not tell: those of earlier versions.

    Examples
    --------
    >>> lines = [MetricsLine(round=0), MetricsLine(round=1, stepped=False)]
    >>> rounds_without_step(lines), rounds_without_step([*lines, MetricsLine(round=2)])
    (1, None)
    """
    made = _steps(rounds)
    return None if None in made else made.count(False)


def never_stepped(rounds: Sequence[MetricsLine]) -> bool | None:
    """Tell whether no round at all made a step; parameters as of :func:`rounds_without_step`.

    Returns
    -------
    bool or None
        None where no line tells of a step and some do not tell.  False without any round.

    Examples
    --------
    >>> silent, made = MetricsLine(round=1, stepped=False), MetricsLine(round=2, stepped=True)
    >>> never_stepped([silent]), never_stepped([silent, made])
    (True, False)
    """
    made = _steps(rounds)
    if True in made or not made:
        return False
    return None if None in made else True


def _steps(rounds: Sequence[MetricsLine]) -> list[bool | None]:
    return [line.stepped for line in rounds if line.round > 0]
