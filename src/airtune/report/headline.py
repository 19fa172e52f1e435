"""The sentences at the head of the page: what was compared, and the savings that were measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airtune.registry import PROPOSAL, REFERENCE
from airtune.report import scores
from airtune.report.sheet import Cell
from airtune.report.style import scheme_style
from airtune.report.values import MISSING, Value, count, decimals, read, si, significant

_MISSED = "movable did not reach the target"


@dataclass(frozen=True)
class Gain:
    """The proposal against one baseline; a ceiling is what the error-free reference saves."""

    name: str
    label: str
    faster: Cell
    less_energy: Cell
    faster_ceiling: str = ""
    less_energy_ceiling: str = ""


def phrase(name: str) -> str:
    """Return how a sentence speaks of a scheme."""
    return {
        "movable": "movable antennas",
        "fixed": "the fixed array",
        "random-position": "random positions",
        "digital": "digital upload",
        "digital-movable": "digital upload to movable antennas",
        "digital-selection": "digital upload to selected antennas",
        "ideal": "the error-free reference",
    }.get(name, scheme_style(name).label)


def gains(results: Mapping[str, Any]) -> tuple[Gain, ...]:
    """Return the proposal against each baseline, in the order of the results."""
    if not read(results.get("target_loss")).known:
        return ()
    headline = results.get("headline") or {}
    faster, less = headline.get("faster_pct") or {}, headline.get("less_energy_pct") or {}
    # Baselines that stopped short of the target: their percentages are lower bounds.
    least = headline.get("lower_bounds") or ()
    schemes: Mapping[str, Any] = results.get("schemes") or {}
    names = [n for n in schemes if n != PROPOSAL and (n in faster or n in less)]
    # The reference is no competitor: it comes last.
    names.sort(key=lambda name: name == REFERENCE)
    return tuple(
        Gain(
            name,
            scheme_style(name).label + (" (reference)" if name == REFERENCE else ""),
            _percent(
                read(faster.get(name)), _why(schemes, name, "time_to_target_s"), name in least
            ),
            _percent(
                read(less.get(name)), _why(schemes, name, "energy_to_target_j"), name in least
            ),
            _ceiling(headline, "ceiling_faster_pct", name),
            _ceiling(headline, "ceiling_less_energy_pct", name),
        )
        for name in names
    )


def _ceiling(headline: Mapping[str, Any], key: str, name: str) -> str:
    most = read((headline.get(key) or {}).get(name)).median
    return "" if most is None else f"{decimals(most, 1)}\u00a0%"


def sentences(results: Mapping[str, Any]) -> list[str]:
    """Return the headline in one to three sentences."""
    schemes: Mapping[str, Any] = results.get("schemes") or {}
    target = read(results.get("target_loss"))
    seeds = int(results.get("seeds") or 1)
    if not schemes:
        return ["No scheme has finished yet; the curves show the rounds done so far."]
    if target.median is None:
        return [
            *_no_target(schemes),
            *[_plain(n, e) for n, e in schemes.items() if n != REFERENCE][:2],
        ]
    if PROPOSAL not in schemes:
        return [_plain(name, entry) for name, entry in schemes.items()][:3]
    proposal = schemes[PROPOSAL]
    reached = _reached(proposal)
    if reached is None:
        opening = "Movable antennas did not reach the target loss"
        others = [phrase(n) for n, e in schemes.items() if n != PROPOSAL and _reached(e)]
        others_text = f"{_listed(others)} did" if others else "nor did any other scheme"
        return [f"{opening} of {decimals(target.median, 3)}; {others_text}."]
    text = f"Movable antennas reached the target loss of {decimals(target.median, 3)} in {reached}"
    text += f" (medians over {seeds} seeds)." if seeds > 1 else "."
    return [text, *_against(results, schemes)]


def _no_target(schemes: Mapping[str, Any]) -> list[str]:
    if len(schemes) < 2:
        return []
    if REFERENCE not in schemes:
        return ["There is no target loss: the error-free reference is not among the schemes."]
    reference, how = schemes[REFERENCE], "did not improve on its start"
    if reference.get("diverged"):
        how = "diverged"
    elif reference.get("never_stepped"):
        how = "never made a step"
    return [f"There is no target loss: the error-free reference {how}."]


def _against(results: Mapping[str, Any], schemes: Mapping[str, Any]) -> list[str]:
    headline = results.get("headline") or {}
    least = headline.get("lower_bounds") or ()
    parts, never = [], []
    for name, entry in schemes.items():
        if name in (PROPOSAL, REFERENCE):
            continue
        time = read((headline.get("faster_pct") or {}).get(name)).median
        energy = read((headline.get("less_energy_pct") or {}).get(name)).median
        if _reached(entry) is None:
            never.append(phrase(name))
        elif time is not None and energy is not None:
            speed = _compared(time, "faster", "slower", name in least)
            joules = _compared(energy, "less energy", "more energy", name in least)
            parts.append(f"{speed} with {joules} than {phrase(name)}")
    sentences = [f"That is {_listed(parts, ', and ')}."] if parts else []
    if never:
        text = _listed(never)
        sentences.append(f"{text[0].upper()}{text[1:]} did not reach it by the last round.")
    return sentences


def _compared(percent: float, saved: str, lost: str, at_least: bool) -> str:
    """Return a saving in words; of a saving that is a lower bound, a loss is an upper one."""
    bound = ("at least " if percent >= 0 else "at most ") if at_least else ""
    return f"{bound}{_whole(percent)} {saved if percent >= 0 else lost}"


def _reached(entry: Mapping[str, Any]) -> str | None:
    time, energy = read(entry.get("time_to_target_s")), read(entry.get("energy_to_target_j"))
    if time.median is None or energy.median is None:
        return None
    rounds = read(entry.get("rounds_to_target")).median
    prefix = f"{count(rounds)} rounds, " if rounds is not None else ""
    return f"{prefix}{significant(time.median)} simulated seconds and {si(energy.median, 'J')}"


def _plain(name: str, entry: Mapping[str, Any]) -> str:
    loss = read(entry.get("final_loss")).median
    text = f"{phrase(name)[0].upper()}{phrase(name)[1:]}"
    text += f" ended at a loss of {decimals(loss, 3)}" if loss is not None else " finished"
    score = scores.main_score({"schemes": {name: entry}})
    return f"{text}{scores.in_words(entry, score)}."


def _why(schemes: Mapping[str, Any], name: str, key: str) -> str:
    """Say why there is no percentage, or an infinite one behind a hundred."""
    if not read(schemes.get(PROPOSAL, {}).get(key)).known:
        return _MISSED
    if not read(schemes[name].get(key)).known:
        return "target not reached"
    return ""


def _percent(value: Value, why: str, at_least: bool) -> Cell:
    if at_least and why != _MISSED and value.median is not None and value.median > 0:
        return Cell(f">\u00a0{decimals(value.median, 1)}\u00a0%", _range(value) or why)
    if why:
        return Cell(why, remark=True)
    if value.median is None:
        return Cell(MISSING)
    return Cell(f"{decimals(value.median, 1)}\u00a0%", _range(value))


def _range(value: Value) -> str:
    if value.p10 is None or value.p90 is None:
        return ""
    return f"{decimals(value.p10, 1)} to {decimals(value.p90, 1)}"


def _whole(percent: float) -> str:
    # 99.96 % must not be rounded to a hundred.
    text = decimals(abs(percent), 0 if abs(percent) < 99 else 1)
    return f"{'99.9' if text == '100.0' and abs(percent) < 100 else text}\u00a0%"


def _listed(parts: list[str], last: str = " and ") -> str:
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])}{last}{parts[-1]}"
