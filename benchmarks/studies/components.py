"""Why the claims came out as they did: time and energy to target by component."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median

from airtune.report.style import component_label, ordered_components, scheme_style
from airtune.report.values import count, decimals, significant
from airtune.study.outcomes import PROPOSAL
from studies import phrases, tables
from studies.claims import ANY, DIGITAL, Measured
from studies.markdown import listed, markdown_table


def reasons(points: list[Measured]) -> str:
    """Show time and energy to target by component where all schemes share one plan."""
    parts = [m for m in points if m.point.scenario.plan == "shared" and PROPOSAL in m.outcomes]
    return "\n".join([_WHY, *(x for m in parts for x in _components(m))]) if parts else ""


_WHY = """\
## Why: time and energy by component

Medians to the target; where a scheme did not reach it in a seed, all its rounds count there (a
star: in half of the seeds or more).  Medians of components need not add up to the median of the
sum.
"""


def _components(place: Measured) -> Iterator[str]:
    yield f"### {place.title}\n"
    for quantity in ("time", "energy"):
        savings = [place.against(quantity, whom) for whom in (ANY, "fixed", DIGITAL)]
        texts = dict.fromkeys(explained(place.outcomes, s) for s in savings if s is not None)
        yield "\n".join(f"- {text}" for text in texts) + "\n"
        yield component_table(place.outcomes, quantity)


def component_table(
    outcomes: tables.Outcomes, quantity: str, labels: Mapping[str, str] | None = None
) -> str:
    """Write the components of each scheme, as medians to the target, under its name or label."""
    attribute, unit = _PARTS[quantity]
    names = {
        n for seeds in outcomes.values() for o in seeds.values() for n in getattr(o, attribute)
    }
    order = ordered_components(names)
    rows = []
    for scheme, seeds in outcomes.items():
        parts = [getattr(o, attribute) for o in seeds.values()]
        missed = sum(o.rounds is None for o in seeds.values())
        star = " *" if 2 * missed >= len(seeds) else ""
        figures = [median(p.get(name, 0.0) for p in parts) for name in order]
        total = median(sum(p.values()) for p in parts)
        cells = [significant(x, 3) for x in (*figures, total)]
        label = (labels or {}).get(scheme) or scheme_style(scheme).label
        rows.append([label + star, *cells])
    columns = [f"{quantity.capitalize()} [{unit}]", *map(component_label, order), "All"]
    return markdown_table(columns, rows)


_PARTS = {"time": ("parts_s", "s"), "energy": ("parts_j", "J")}
SMALL = 0.01
"""Differences of a component below this share of the baseline's total are not told."""


def explained(outcomes: tables.Outcomes, saving: tables.Saved) -> str:
    """Say which components make movable win or lose, by paired differences."""
    attribute, unit = _PARTS[saving.quantity]
    label = scheme_style(saving.baseline).label
    text = f"{saving.quantity.capitalize()} against {label}: {phrases.in_full(saving)}"
    text += f"{phrases.sign_test(saving)}."
    mine, theirs = outcomes[PROPOSAL], outcomes[saving.baseline]
    pairs = [(mine[s], theirs[s]) for s in saving.compared if mine[s].rounds is not None]
    if not pairs:
        return text
    rounds = (phrases.spread([o.rounds for o in side], count) for side in zip(*pairs, strict=True))
    text += f" Rounds: {' against '.join(rounds)}."
    names = {n for pair in pairs for o in pair for n in getattr(o, attribute)}
    change = {
        name: median(
            getattr(m, attribute).get(name, 0.0) - getattr(t, attribute).get(name, 0.0)
            for m, t in pairs
        )
        for name in ordered_components(names)
    }
    whole = median(sum(getattr(t, attribute).values()) for _, t in pairs)
    notable = {n: x for n, x in change.items() if abs(x) >= SMALL * whole}
    gains = sorted((x, n) for n, x in notable.items() if x < 0)
    losses = sorted(((x, n) for n, x in notable.items() if x > 0), reverse=True)
    for verb, side in (("saves", gains), ("adds", losses)):
        if side:
            sizes = ((significant(abs(x), 2), component_label(n).lower()) for x, n in side)
            each = [f"{size} {unit} of {name}" for size, name in sizes]
            text += f" Movable {verb} {listed(each)}."
    if not notable:
        text += " No component differs by a hundredth of the whole."
    return text + _drives_apart(pairs, attribute)


def _drives_apart(pairs: list[tuple[tables.Outcome, tables.Outcome]], attribute: str) -> str:
    """Say what the saving would be if moving antennas cost nothing."""
    free = []
    for mine, theirs in pairs:
        parts = getattr(mine, attribute)
        whole, baseline = sum(parts.values()), sum(getattr(theirs, attribute).values())
        free.append(100.0 * (1.0 - (whole - parts.get("movement", 0.0)) / baseline))
    return f" Drives that cost nothing would bring this to {decimals(median(free), 1)} % saved."
