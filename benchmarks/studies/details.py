"""Every scheme's figures, and what to mind when reading them."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from airtune.registry import SCHEMES
from airtune.report.style import scheme_style
from airtune.report.values import MISSING, count, significant
from airtune.study.outcomes import PROPOSAL, REFERENCE
from studies import phrases, tables
from studies.claims import Measured
from studies.markdown import listed, markdown_table


def details(points: list[Measured]) -> str:
    """Return a table of every scheme's figures for each point."""
    begun = [place for place in points if place.outcomes or place.counted.infeasible]
    parts = [text for place in begun for text in _detail(place)]
    return "\n".join([_DETAILS, *parts]) if parts else ""


_DETAILS = """\
## Time and energy to target: every scheme

*Reached*: in how many seeds.  The last two columns: what movable saves against the scheme;
negative: it takes more.  Where a range ends in "never", the target was not reached there.  *Error*:
of the received mean, relative to the updates.
"""


def _detail(place: Measured) -> Iterator[str]:
    yield f"### {place.title}: every scheme\n"
    yield phrases.which_seeds(place.counted)
    if not place.outcomes:
        return
    own = place.point.scenario.plan == "own"
    columns = ["Scheme", "Reached", *(("Planned rounds", "Batch") if own else ()), "Rounds"]
    columns += ["Time [s]", "Energy [J]", "Final loss", "Error", "Time saved", "Energy saved"]
    rows = [_scheme(place, name, own) for name in place.outcomes]
    yield markdown_table(columns, rows)
    yield "\n".join(f"- {text}" for text in _remarks(place)) + "\n"


def _scheme(place: Measured, name: str, own: bool) -> list[str]:
    seen = list(place.outcomes[name].values())
    compared = name not in (PROPOSAL, REFERENCE)
    errors = [o.mse for o in seen if o.mse is not None]
    plans = [float(o.planned) for o in seen], [o.batch for o in seen]
    return [
        scheme_style(name).label,
        f"{sum(o.rounds is not None for o in seen)}/{len(seen)}",
        *(phrases.spread(column, count) for column in (plans if own else ())),
        phrases.spread([o.rounds for o in seen], count),
        phrases.spread([o.seconds for o in seen]),
        phrases.spread([o.joules for o in seen]),
        phrases.spread([o.loss for o in seen]),
        phrases.spread(errors, lambda x: significant(x, 2)) if errors else MISSING,
        *(
            phrases.percent(tables.saved(figure, name)) if compared else MISSING
            for figure in place.figures()
        ),
    ]


def _remarks(place: Measured) -> Iterator[str]:
    outcomes, scenario = place.outcomes, place.point.scenario
    if scenario.plan == "shared":
        planned = [o for seeds in outcomes.values() for o in seeds.values()]
        yield (
            f"Planned: {phrases.spread([float(o.planned) for o in planned], count)} rounds with "
            f"batches of {phrases.spread([o.batch for o in planned], count)} (the median client)."
        )
    limit = scenario.budget.latency_s
    if limit is not None:
        over = _over(outcomes, "spent_s", limit)
        rule = "" if scenario.plan == "own" else " (planned for movable, others may take longer)"
        yield f"Over the budget of {limit:g} s in all rounds{rule}: {_named(over, 's')}."
    cap = scenario.budget.client_energy_j
    if cap is not None:
        over = _over(outcomes, "most_client_j", float(cap))
        yield f"With a client over its budget of {cap:g} J: {_named(over, 'J')}."
    rounds = [o.rounds for o in outcomes.get(PROPOSAL, {}).values() if o.rounds]
    if rounds:
        share = 100.0 / median(rounds)
        yield (
            f"Resolution: losses are evaluated after each round, {share:.0f} % of movable's "
            "rounds to target; between two of them the target is crossed on a straight line."
        )
    yield from _beyond_ideal(outcomes)
    same = tables.same_curves(place.counted.cells, "truncated", "fixed")
    if same:
        yield (
            f"Truncated learned exactly as Fixed did in {phrases.numbers(same)}, bit for bit: the "
            "threshold that is best by its estimate lets everybody send there."
        )
    yield from _ranked_among(place)


def _over(outcomes: tables.Outcomes, name: str, limit: float) -> dict[str, float]:
    worst = {s: max(getattr(o, name) for o in seeds.values()) for s, seeds in outcomes.items()}
    return {scheme: x for scheme, x in worst.items() if x > limit * (1 + 1e-6)}


def _named(figures: dict[str, float], unit: str) -> str:
    each = [f"{phrases.labels([s])} (up to {significant(x)} {unit})" for s, x in figures.items()]
    return listed(each) if each else "none"


def _beyond_ideal(outcomes: tables.Outcomes) -> Iterator[str]:
    losses = {
        name: median(o.loss for o in seeds.values() if o.loss is not None)
        for name, seeds in outcomes.items()
        if any(o.loss is not None for o in seeds.values())
    }
    lower = [n for n in losses if n != REFERENCE and losses[n] < losses.get(REFERENCE, 0.0)]
    if lower:
        yield (
            f"{phrases.labels(lower)} ended at a lower loss than the error-free reference: noise "
            "of this size does no harm, and the order of final losses says little."
        )


def _ranked_among(place: Measured) -> Iterator[str]:
    others = [n for n in place.outcomes if n not in tables.NOT_OVER_THE_AIR]
    if len(others) < len(SCHEMES) - len(tables.NOT_OVER_THE_AIR):
        yield f"Non-movable over the air, of those run here: {phrases.labels(others)}."
