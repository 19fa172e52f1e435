"""What a single run prints: its rounds, what it has learnt, and time and energy by component."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airtune.report import scores, twins
from airtune.report.divergence import mark, rounds_without_step
from airtune.report.faults import fault_words
from airtune.report.style import component_label, ordered_components
from airtune.report.values import (
    MISSING,
    Value,
    count,
    decimals,
    members,
    number,
    read,
    si,
    significant,
    total,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

Pairs = list[tuple[str, str]]


def terminal_totals(results: Mapping[str, Any]) -> list[RenderableType]:
    """Return what is printed of a run: one block a scheme, 80 columns wide.

    Parameters
    ----------
    results : mapping
        The document of ``airtune run --json``.
    """
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = []
    seeds = int(results.get("seeds") or 1)
    for name, entry in (results.get("schemes") or {}).items():
        title = ", ".join(filter(None, (f"{name}: {_rounds(results, entry)}", mark(entry))))
        parts.append(Text(title + (f", medians of {seeds} seeds" if seeds > 1 else "")))
        facts = Table.grid(padding=(0, 2))
        facts.add_column(style="dim")
        facts.add_column(overflow="fold")
        for label, text in [*learning(results, entry), *to_target(results, entry)]:
            facts.add_row(Text(f"  {label}"), Text(text))
        if wrong := fault_words(entry):
            facts.add_row(Text("  faults"), Text(wrong))
        if left := rounds_without_step(entry):
            facts.add_row(Text("  steps"), Text(left))
        parts += [facts, _spent(entry)]
    said = twins.remark(results.get("scenario") or {})
    if said:
        parts.append(Text(f"{said[0].upper()}{said[1:]}", style="dim"))
    return parts


def learning(results: Mapping[str, Any], entry: Mapping[str, Any]) -> Pairs:
    """Return the loss and every known score, from the start to the end.

    Examples
    --------
    >>> learning({}, {"initial_loss": 2.3, "final_loss": 0.7})
    [('loss', '2.300 → 0.700 nat')]
    """
    said = [("loss", f"{_change(entry, 'initial_loss', 'final_loss', _three)} nat")]
    if read(entry.get("final_perplexity")).known:
        change = _change(entry, "initial_perplexity", "final_perplexity", significant)
        said.append(("perplexity", change))
    for score in scores.known_scores(results):
        change = _change(entry, f"initial_{score.key}", score.key, _percent)
        bounds = scores.interval(entry, score)
        known = "" if bounds is None else f" (95 %: {' to '.join(map(_percent, bounds))})"
        said.append((score.words, f"{change} %{known}"))
    return said


def to_target(results: Mapping[str, Any], entry: Mapping[str, Any]) -> Pairs:
    """Return what was needed to the target loss; nothing where there is no target."""
    target = read(results.get("target_loss")).median
    if target is None:
        return []
    rounds, time, energy = (
        read(entry.get(key)).median
        for key in ("rounds_to_target", "time_to_target_s", "energy_to_target_j")
    )
    label = f"to target {_three(target)}"
    if rounds is None or time is None or energy is None:
        return [(label, "not reached")]
    return [(label, f"{count(rounds)} rounds, {si(time, 's')}, {si(energy, 'J')}")]


def _spent(entry: Mapping[str, Any]) -> RenderableType:
    """Return simulated time and energy by component, with their totals."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    seconds, joules = members(entry.get("latency_s")), members(entry.get("energy_j"))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("  Component")
    table.add_column("Simulated time", justify="right")
    table.add_column("Energy", justify="right")
    radiated = members(entry.get("radiated_j"))
    if radiated:
        table.add_column("Radiated", justify="right")
    for part in ordered_components({*seconds, *joules}):
        pair = seconds.get(part, Value(None)), joules.get(part, Value(None))
        if any(value.median for value in pair):
            cells = [_quantity(pair[0], "s"), _quantity(pair[1], "J")]
            if radiated:
                cells.append(_quantity(radiated.get(part, Value(None)), "J"))
            table.add_row(Text(f"  {component_label(part)}"), *cells)
    if not any(value.spread for value in (*seconds.values(), *joules.values())):
        sums = Value(total(seconds)), Value(total(joules))
        table.add_section()
        cells = [_quantity(sums[0], "s"), _quantity(sums[1], "J")]
        if radiated:
            cells.append(_quantity(Value(total(radiated)), "J"))
        table.add_row(Text("  Total"), *cells)
    return table


def _quantity(value: Value, unit: str) -> str:
    return MISSING if value.median is None else si(value.median, unit)


def _rounds(results: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    history = entry.get("history") or ()
    done = read(entry.get("rounds")).median
    if done is None:
        done = max((number(line.get("round")) or 0.0 for line in history), default=0.0)
    asked = number(((results.get("scenario") or {}).get("training") or {}).get("rounds"))
    of = f" of {int(asked)}" if asked is not None and done < asked else ""
    return f"{count(done)}{of} {'round' if done == 1 and not of else 'rounds'}"


def _change(entry: Mapping[str, Any], first: str, last: str, write: Any) -> str:
    ends = [read(entry.get(key)).median for key in (first, last)]
    return " → ".join(MISSING if x is None else write(x) for x in ends)


def _three(x: float) -> str:
    return decimals(x, 3)


def _percent(x: float) -> str:
    return decimals(100 * x, 1)
