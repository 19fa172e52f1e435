"""Movement policies side by side, in the books of the electrical chapter."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import median

from airtune.report.values import MISSING, decimals, significant
from airtune.study.outcomes import PROPOSAL, REFERENCE
from studies import phrases, sections, tables
from studies.markdown import markdown_table
from studies.tables import Outcome, Outcomes

ALWAYS = "each-round"


def chapter(options: sections.Options) -> str:
    """Return time and energy to target of every policy, and which is the best by the rule."""
    rows, factors = [], dict[str, list[float]]()
    for place, always, others in _places(options):
        for policy, seeds in {ALWAYS: always, **others}.items():
            common = sorted(set(seeds) & set(always))
            own, base = ([found[s] for s in common] for found in (seeds, always))
            products = [_relative(a, b) for a, b in zip(own, base, strict=True)]
            factors.setdefault(policy, []).extend(products)
            rows.append([place, policy, *_figures(own), _factor(products)])
    if not rows:
        return ""
    columns = ["Scenario", "Policy", "Rounds", "Time [s]", "Energy [J]", "Drives [J]", "Error [dB]"]
    table = markdown_table([*columns, "Energy x time"], rows, left=2)
    return f"{_CHAPTER}\n{table}\n{_verdict(factors)}{_decision(options)}"


def _places(
    options: sections.Options,
) -> Iterator[tuple[str, dict[int, Outcome], dict[str, dict[int, Outcome]]]]:
    """Yield each scenario's outcomes of moving always and of the others, by seed."""
    tried = {point.name: point for point in sections.policies(options)}
    for place in sections.electrical(options):
        cells = tables.counted(place, options.results).cells
        others = {}
        for policy in sections.POLICIES:
            point = tried.get(f"{place.name}: {policy}")
            mine = tables.counted(point, options.results).cells.get(PROPOSAL) if point else None
            if mine:
                others[policy] = _movable({REFERENCE: cells.get(REFERENCE, {}), PROPOSAL: mine})
        if others:
            yield place.name, _movable(cells), others


def _movable(cells: tables.Cells) -> dict[int, Outcome]:
    outcomes: Outcomes = tables.outcomes(cells)
    return outcomes.get(PROPOSAL, {})


def _relative(mine: Outcome, base: Outcome) -> float:
    """Return energy times time to target over that of moving always, infinite for never."""
    if mine.seconds is None or mine.joules is None:
        return math.inf
    if base.seconds is None or base.joules is None:
        return 0.0
    return mine.seconds * mine.joules / (base.seconds * base.joules)


def _figures(seeds: list[Outcome]) -> Iterator[str]:
    for name in ("rounds", "seconds", "joules"):
        yield phrases.spread([getattr(o, name) for o in seeds])
    yield phrases.spread([o.parts_j.get("movement", 0.0) for o in seeds])
    errors = [o.mse for o in seeds if o.mse]
    yield decimals(10.0 * math.log10(median(errors)), 1) if errors else MISSING


def _factor(products: list[float]) -> str:
    middle = median(products) if products else math.nan
    return significant(middle, 3) if math.isfinite(middle) else MISSING


def _verdict(factors: dict[str, list[float]]) -> str:
    """Name the policy of the least median of energy times time over scenarios and seeds."""
    ranked = sorted((median(found), policy) for policy, found in factors.items() if found)
    listed = ", ".join(f"`{policy}` {_factor(factors[policy])}" for _, policy in ranked)
    return f"Median of energy times time over all scenarios and seeds, `{ALWAYS}` 1: {listed}.\n"


def _decision(options: sections.Options) -> str:
    """Return what the seeds say that decide the default; nothing while none has been run."""
    found: dict[str, tables.Cells] = {}
    for point in sections.default_policy(options):
        found[point.name] = tables.counted(point, options.results).cells
    rows, all_of = [], dict[str, list[float]]()
    for place in dict.fromkeys(name.partition(": ")[0] for name in found):
        base = found[f"{place}: {ALWAYS}"]
        always = _movable(base)
        for policy in sections.DECIDED:
            mine = found[f"{place}: {policy}"].get(PROPOSAL, {})
            own = _movable({REFERENCE: base.get(REFERENCE, {}), PROPOSAL: mine})
            common = sorted(set(own) & set(always))
            products = [_relative(own[seed], always[seed]) for seed in common]
            if products:
                all_of.setdefault(policy, []).extend(products)
                rows.append([place, policy, str(len(products)), *_spread_of(products)])
    if not rows:
        return ""
    rows += [["all", policy, str(len(of)), *_spread_of(of)] for policy, of in all_of.items()]
    columns = ["Scenario", "Policy", "Seeds", "Geometric mean", "Median", "Least", "Most"]
    return f"{_DECISION}\n{markdown_table(columns, rows, left=2)}"


def _spread_of(products: list[float]) -> Iterator[str]:
    """Yield geometric mean, median, least and most."""
    logarithms = [math.log(product) if product > 0.0 else -math.inf for product in products]
    mean = math.exp(math.fsum(logarithms) / len(logarithms))
    for value in (mean, median(products), min(products), max(products)):
        yield significant(value, 3) if math.isfinite(value) else MISSING


_DECISION = """
Eight further seeds of each scenario, which nobody had looked at, decide which policy is the
default.  The rule was written down before one of them was run: the policy of the least geometric
mean of energy times time over that of `each-round` in the same seed, over all three scenarios.  A
mean takes the place of the median because a median does not see the slow seeds; that was chosen
with the cells above in sight, and the median stands beside it.
"""

_CHAPTER = """\
### Movement policies

Movable antennas under each [movement policy](planning.md#what-a-way-is-worth), all else as above:
within half a wavelength a round, or *any way*.  `statistical` goes any way, too.  All these cells
were run anew when the searches for places had become shorter.  *Drives* is their part of the
energy; the last column is energy times time to target over that of `each-round` in the same seed.
The rule for the default was written down before any of these cells was run for the first time: the
policy of the least median of energy times time over the three scenarios and their seeds.  It chose
`when-needed` then, which is the default since and the policy of the first chapter; those of the
scenarios are of cells that moved `each-round`.  In the cells as they are now the same rule names
another policy first (below the table), ahead in one scenario and behind in another, with slowest
seeds that take far longer, for nothing moves when the air has changed.  So further seeds decide.
"""
