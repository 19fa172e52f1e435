"""What is said of schemes that diverged, of those that never made a step, and of lost rounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airtune.report.values import count, decimals, read

MARK = "diverged"
"""What stands with the name of a scheme that did."""
NO_STEP = "no step"
"""What stands with the name of a scheme of which no round made a step."""

NOT_FINITE, REJECTED = "rounds_not_finite", "rejected_rounds"
WITHOUT_STEP = "rounds_without_step"
_REASONS = {REJECTED: "anomaly stop", NOT_FINITE: "not finite"}
_NOTHING = "nothing received"
"""What is left: all dropped out, were late or silent, or a sum could not be read."""


def mark(entry: Mapping[str, Any]) -> str:
    """Return what stands with the name of a scheme that diverged or never made a step.

    Examples
    --------
    >>> mark({"diverged": True}), mark({"diverged": False}), mark({"never_stepped": True})
    ('diverged', '', 'no step')
    """
    if entry.get("diverged"):
        return MARK
    return NO_STEP if entry.get("never_stepped") else ""


def sentence(name: str, entry: Mapping[str, Any], seeds: int = 1) -> str:
    """Say that a scheme diverged, and how, or that it never made a step; empty for all others.

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
    >>> sentence("fixed", {"never_stepped": True, "rounds_without_step": 5, "rounds": 5})
    'fixed never made a step: 5 of 5 rounds without a step (nothing received).'
    >>> sentence("fixed", {"never_stepped": True, "never_stepped_seeds": [0, 2]}, seeds=3)
    'fixed made no step in any round of seeds 0, 2 of 3.'
    """
    if not entry.get("diverged"):
        return _never(name, entry, seeds)
    which = entry.get("diverged_seeds") or ()
    if seeds > 1 and which:
        text = f"{name} diverged in {_listed(which, seeds)}"
        still = [seed for seed in entry.get("never_stepped_seeds") or () if seed not in which]
        never = f"; no step was made in any round of {_listed(still, seeds)}" if still else ""
        return f"{text}: its loss ended above its start or is not a number{never}."
    first, last = (read(entry.get(key)).median for key in ("initial_loss", "final_loss"))
    if first is None or last is None:
        return f"{name} diverged: its loss is not a number at the end."
    if last > first:
        return f"{name} diverged: its loss rose, {two_losses(first, last)}."
    return f"{name} diverged: its loss did not fall, and {_lost(entry)}."


def _never(name: str, entry: Mapping[str, Any], seeds: int) -> str:
    if not entry.get("never_stepped"):
        return ""
    which = entry.get("never_stepped_seeds") or ()
    if seeds > 1 and which:
        return f"{name} made no step in any round of {_listed(which, seeds)}."
    left = rounds_without_step(entry)
    return f"{name} never made a step{f': {left}' if left else ''}."


def _listed(which: Sequence[int], seeds: int) -> str:
    return f"{'seeds' if len(which) > 1 else 'seed'} {', '.join(map(str, which))} of {seeds}"


def rounds_without_step(entry: Mapping[str, Any]) -> str:
    """Say how many rounds of a scheme made no step, and why; empty for none.

    `rounds_without_step` of the results counts them; documents of earlier versions, which lack it,
    tell of those of the anomaly stop.  Reasons have numbers where there are several, and over
    several seeds, whose medians do not add up, none then.

    Examples
    --------
    >>> rounds_without_step({"rejected_rounds": 7, "rounds": 14})
    '7 of 14 rounds without a step (anomaly stop)'
    >>> rounds_without_step({"rounds_without_step": 9, "rejected_rounds": 7, "rounds": 14})
    '9 of 14 rounds without a step (7 anomaly stop, 2 nothing received)'
    """
    known = read(entry.get(WITHOUT_STEP)).known
    lost = _number(entry, WITHOUT_STEP if known else REJECTED)
    if not lost:
        return ""
    why = _why(entry, lost) if known else _REASONS[REJECTED]
    return f"{count(lost)}{_of(entry)} rounds without a step" + (f" ({why})" if why else "")


def _why(entry: Mapping[str, Any], lost: float) -> str:
    found = {words: _number(entry, key) for key, words in _REASONS.items()}
    if not any(found.values()):
        return _NOTHING
    for key, words in _REASONS.items():
        if entry.get(key) == entry[WITHOUT_STEP]:
            return words
    if isinstance(entry[WITHOUT_STEP], Mapping):
        return ""
    found[_NOTHING] = lost - sum(found.values())
    return ", ".join(f"{count(rounds)} {words}" for words, rounds in found.items() if rounds)


def lost_rounds(results: Mapping[str, Any], called: Callable[[str], str] = str) -> list[str]:
    """Say of each scheme in how many rounds the server made no step.

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
    >>> lost_rounds({"schemes": {"fixed": {"rounds_without_step": 2, "rounds": 5}, "ideal": {}}})
    ['fixed: 2 of 5 rounds without a step (nothing received) left the adapter as it was']
    """
    schemes: Mapping[str, Mapping[str, Any]] = results.get("schemes") or {}
    said = []
    for name, entry in schemes.items():
        if _most(entry, WITHOUT_STEP) > _most(entry, NOT_FINITE):
            said.append(f"{called(name)}: {rounds_without_step(entry)} left the adapter as it was")
        elif _most(entry, NOT_FINITE):
            said.append(f"{called(name)}: {_lost(entry)} and left the adapter as it was")
    return said


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
    return f"{count(_number(entry))}{_of(entry)} rounds had no finite update or step"


def _of(entry: Mapping[str, Any]) -> str:
    done = read(entry.get("rounds")).median
    return "" if done is None else f" of {count(done)}"


def _most(entry: Mapping[str, Any], key: str) -> float:
    """Return a count of rounds, of several seeds the 90 % quantile."""
    value = read(entry.get(key))
    return value.p90 or value.median or 0.0


def _number(entry: Mapping[str, Any], key: str = NOT_FINITE) -> float:
    """Return a count of rounds, of several seeds the median or else the 90 % quantile."""
    value = read(entry.get(key))
    return value.median or value.p90 or 0.0
