"""Why the target was not reached, scheme by scheme, in one sentence each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airtune.registry import REFERENCE
from airtune.report.divergence import rounds_without_step, sentence, two_losses
from airtune.report.values import count, decimals, number, read

TARGET_PERCENT = 90
SMALL_GAIN = 0.02
"""A gain of the reference below this, in nat, is said: noise of evaluation may hide it."""

_STILL_FALLING = 0.02
"""Share of its whole fall that a loss must lose in the last quarter to count as falling."""

_BUDGETS = {
    "latency_s": "the latency budget was used up",
    "client_energy_j": "a client's energy budget was used up",
    "energy_j": "the total energy budget was used up",
    "plan": "the plan took no more rounds",
}


def reasons(results: Mapping[str, Any], called: Callable[[str], str] = str) -> list[str]:
    """Say why there is no target, or why schemes did not reach it.

    Parameters
    ----------
    results : mapping
        The document of ``airtune compare --json``.
    called : callable
        From the name of a scheme to what it is called in a sentence.

    Returns
    -------
    list of str
        A sentence on the target where it is none or a small one, and one for each finished scheme
        that did not reach it, that diverged, or that never made a step; empty where all have
        reached it, and for a single scheme without a target that has neither.

    Examples
    --------
    >>> history = [{"round": t, "loss": x} for t, x in enumerate([5.0, 4.0, 3.0, 2.0])]
    >>> entry = {"rounds_to_target": None, "history": history}
    >>> scenario = {"training": {"rounds": 3}}
    >>> reasons({"target_loss": 1.4, "scenario": scenario, "schemes": {"fixed": entry}})
    ["fixed's loss was still falling: 83 % of the way to the target after 3 rounds."]
    """
    schemes: Mapping[str, Mapping[str, Any]] = results.get("schemes") or {}
    reference = called(REFERENCE)
    target = read(results.get("target_loss")).median
    seeds = int(results.get("seeds") or 1)
    diverged = {name: sentence(called(name), entry, seeds) for name, entry in schemes.items()}
    if target is None:
        named = REFERENCE if len(schemes) > 1 else None  # what is said of the target says it
        others = [
            _with_steps(text, schemes[name])
            for name, text in diverged.items()
            if text and name != named
        ]
        return [*_no_target(schemes, seeds, reference), *others]
    asked = _rounds_asked(results)
    missed = {
        name: entry
        for name, entry in schemes.items()
        if not read(entry.get("rounds_to_target")).known
    }
    said = [
        _with_steps(diverged[name] or _missed(called(name), entry, target, asked), entry)
        for name, entry in missed.items()
    ]
    said += [text for name, text in diverged.items() if text and name not in missed]
    gain = _gain(schemes.get(REFERENCE) or {})
    if missed and gain is not None and gain < SMALL_GAIN:
        said.insert(
            0,
            f"The target is {TARGET_PERCENT} % of {reference}'s gain, and {reference} itself "
            f"gained only {_small(gain)}.",
        )
    return said


def _with_steps(sentence: str, entry: Mapping[str, Any]) -> str:
    left = "" if entry.get("never_stepped") else rounds_without_step(entry)
    return f"{sentence.removesuffix('.')}; {left}." if left else sentence


def _no_target(schemes: Mapping[str, Mapping[str, Any]], seeds: int, called: str) -> list[str]:
    """Say why there is no target: the reference did not improve; nothing where it did not run."""
    entry = schemes.get(REFERENCE)
    if entry is None or len(schemes) < 2:
        return []
    opening = f"The target is {TARGET_PERCENT} % of {called}'s gain, and {called} itself"
    if entry.get("diverged") or entry.get("never_stepped"):
        return [sentence(opening, entry, seeds)]
    first, last = (read(entry.get(key)).median for key in ("initial_loss", "final_loss"))
    if first is None or last is None:
        return [f"{opening} has no loss at the start or at the end."]
    return [f"{opening} gained nothing: loss {two_losses(first, last)}."]


def _missed(name: str, entry: Mapping[str, Any], target: float, asked: int | None) -> str:
    losses = _losses(entry)
    done = _rounds_done(entry, losses)
    if len(losses) < 2:
        return f"{name} was validated at the start only."
    start, end = losses[0][1], losses[-1][1]
    way = f"{_percent((start - end) / (start - target))} of the way to the target"
    stopped = _BUDGETS.get(str(entry.get("stopped_by")))
    if asked is not None and done < asked and stopped:
        rounds = f"{name} stopped after {count(done)} of {asked} rounds: {stopped}"
        return f"{rounds}, {way}{_error(entry)}."
    after = f"after {count(done)} {'round' if done == 1 else 'rounds'}{_error(entry)}"
    if end >= start:
        return f"{name}'s loss did not fall: {two_losses(start, end)} {after}."
    least_round, least = min(losses, key=lambda pair: pair[1])
    if end - least > _STILL_FALLING * (start - least):
        best = _percent((start - least) / (start - target))
        return (
            f"{name}'s loss was least after round {count(least_round)}, {best} of the way to the "
            f"target, and rose again to {way.removesuffix(' to the target')} {after}."
        )
    falling = _still_falling(losses)
    state = "was still falling" if falling else "had stopped falling"
    return f"{name}'s loss {state}: {way} {after}."


def _losses(entry: Mapping[str, Any]) -> list[tuple[float, float]]:
    pairs = (
        (number(line.get("round")), number(line.get("loss"))) for line in entry.get("history") or ()
    )
    return [(index, loss) for index, loss in pairs if index is not None and loss is not None]


def _rounds_done(entry: Mapping[str, Any], losses: Sequence[tuple[float, float]]) -> float:
    known = read(entry.get("rounds")).median
    return known if known is not None else max((index for index, _ in losses), default=0.0)


def _rounds_asked(results: Mapping[str, Any]) -> int | None:
    training = (results.get("scenario") or {}).get("training") or {}
    asked = number(training.get("rounds"))
    return None if asked is None else int(asked)


def _still_falling(losses: Sequence[tuple[float, float]]) -> bool:
    """Return whether the last quarter of the rounds still brought a share of the whole fall."""
    end_round, end = losses[-1]
    before = [loss for index, loss in losses if index <= 0.75 * end_round]
    return before[-1] - end > _STILL_FALLING * (losses[0][1] - end)


def _gain(reference: Mapping[str, Any]) -> float | None:
    first, last = (read(reference.get(key)).median for key in ("initial_loss", "final_loss"))
    return None if first is None or last is None else first - last


def _error(entry: Mapping[str, Any]) -> str:
    error = read(entry.get("mse_db")).median
    return "" if error is None else f", aggregation error {decimals(error, 1)} dB"


def _percent(share: float) -> str:
    """Return a share in whole percent; what is short of the whole does not read 100 %."""
    percent = min(round(100 * share), 99) if share < 1 else 100
    return f"{percent} %".replace("-", "−")


def _small(gain: float) -> str:
    return f"{gain:.2g}"
