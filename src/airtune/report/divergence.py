"""What is said of schemes that diverged, and of rounds without anything finite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airtune.report.values import count, decimals, read

MARK = "diverged"
"""What stands with the name of a scheme that did."""


def mark(entry: Mapping[str, Any]) -> str:
    """Return what stands with the name of a scheme: nothing unless it has diverged.

    Examples
    --------
    >>> mark({"diverged": True}), mark({"diverged": False})
    ('diverged', '')
    """
    return MARK if entry.get("diverged") else ""


def sentence(name: str, entry: Mapping[str, Any], seeds: int = 1) -> str:
    """Say that a scheme diverged, and how; empty where it has not.

    Parameters
    ----------
    name : str
        The scheme, or another beginning of the sentence.
    entry : mapping
        Its figures in ``results.json``.
    seeds : int
        Repetitions of the study.

    Examples
    --------
    >>> sentence("fixed", {"diverged": True, "initial_loss": 2.0, "final_loss": None})
    'fixed diverged: its loss is not a number at the end.'
    >>> sentence("fixed", {"diverged": True, "diverged_seeds": [1]}, seeds=3)
    'fixed diverged in seed 1 of 3: its loss ended above its start or is not a number.'
    """
    if not entry.get("diverged"):
        return ""
    which = entry.get("diverged_seeds") or ()
    if seeds > 1 and which:
        listed = ", ".join(map(str, which))
        text = f"in {'seeds' if len(which) > 1 else 'seed'} {listed} of {seeds}"
        return f"{name} diverged {text}: its loss ended above its start or is not a number."
    first, last = (read(entry.get(key)).median for key in ("initial_loss", "final_loss"))
    if first is None or last is None:
        return f"{name} diverged: its loss is not a number at the end."
    if last > first:
        return f"{name} diverged: its loss rose, {two_losses(first, last)}."
    return f"{name} diverged: its loss did not fall, and {_lost(entry)}."


def lost_rounds(results: Mapping[str, Any], called: Callable[[str], str] = str) -> list[str]:
    """Say of each scheme in how many rounds nothing finite was there to step along.

    Parameters
    ----------
    results : mapping
        The document of ``airtune compare --json``.
    called : callable
        From the name of a scheme to what it is called.

    Examples
    --------
    >>> lost_rounds({"schemes": {"fixed": {"rounds_not_finite": 2, "rounds": 5}, "ideal": {}}})
    ['fixed: 2 of 5 rounds had no finite update or step and left the adapter as it was']
    """
    schemes: Mapping[str, Mapping[str, Any]] = results.get("schemes") or {}
    return [
        f"{called(name)}: {_lost(entry)} and left the adapter as it was"
        for name, entry in schemes.items()
        if _number(entry)
    ]


def two_losses(first: float, last: float) -> str:
    """Return two losses with as many decimals as tell them apart, six at most.

    Examples
    --------
    >>> two_losses(2.31, 2.3104)
    '2.3100 at the start, 2.3104 at the end'
    """
    places = next((n for n in (3, 4, 5) if round(first, n) != round(last, n)), 6)
    return f"{decimals(first, places)} at the start, {decimals(last, places)} at the end"


def _lost(entry: Mapping[str, Any]) -> str:
    done = read(entry.get("rounds")).median
    of = "" if done is None else f" of {count(done)}"
    return f"{count(_number(entry))}{of} rounds had no finite update or step"


def _number(entry: Mapping[str, Any]) -> float:
    """Return the rounds that were lost, of several seeds the median or else the 90 % quantile."""
    value = read(entry.get("rounds_not_finite"))
    return value.median or value.p90 or 0.0
