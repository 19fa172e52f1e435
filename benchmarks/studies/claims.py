"""Claims and aims put to the test, why they came out as they did, and every scheme's figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from airtune.report.style import component_label, ordered_components, scheme_style
from airtune.report.values import MISSING, count, decimals, significant
from airtune.schemes import SCHEMES
from airtune.study import PROPOSAL, REFERENCE
from studies import perplexity, phrases, sections, tables
from studies.cells import Point
from studies.markdown import listed, markdown_table

DIGITAL, ANY, SAME = "digital", "the best over the air", "the best with the same N antennas"
PAPER_TIME = "Paper: up to 95 % faster"
PAPER_ENERGY = "Paper: over 90 % less energy"


@dataclass(frozen=True)
class Aim:
    """A claim, and where it is put to the test."""

    claim: str
    percent: float
    quantity: str
    place: tuple[str, str]
    against: str


PAPER_V1, EDGE = ("paper-v1", "shared-plan"), ("cell-edge", "shared-plan")
CAPPED = ("cell-edge", "capped-powers")
AIMS = (
    *(Aim(PAPER_TIME, 95.0, "time", PAPER_V1, who) for who in (DIGITAL, ANY)),
    *(Aim(PAPER_ENERGY, 90.0, "energy", PAPER_V1, who) for who in (DIGITAL, ANY)),
    *(Aim("Aim: 97 % faster", 97.0, "time", place, DIGITAL) for place in (PAPER_V1, EDGE)),
    *(Aim("Aim: 95 % less energy", 95.0, "energy", place, DIGITAL) for place in (PAPER_V1, EDGE)),
    *(Aim("Aim: 60 % faster", 60.0, "time", EDGE, who) for who in (ANY, SAME)),
    Aim("Aim: 60 % faster", 60.0, "time", CAPPED, ANY),
    *(Aim("Aim: 50 % less energy", 50.0, "energy", EDGE, who) for who in (ANY, SAME)),
    Aim("Aim: 50 % less energy", 50.0, "energy", CAPPED, ANY),
)


@dataclass(frozen=True)
class Measured:
    """A point with what its cells took."""

    point: Point
    counted: tables.Counted
    found: tables.Outcomes

    @property
    def title(self) -> str:
        """Scenario and plan."""
        return f"{self.point.section}, {self.point.name.replace('-', ' ')}"

    def figures(self) -> tuple[tables.Figure, tables.Figure]:
        """Return time and energy to target."""
        return tables.time_of(self.found), tables.energy_of(self.found)

    def against(self, quantity: str, whom: str) -> tables.Saved | None:
        """Compare movable in time or energy; the best is ranked in this figure by itself."""
        figure = self.figures()[quantity == "energy"]
        if whom == DIGITAL:
            return tables.saved(figure, DIGITAL)
        more = tables.MORE_HARDWARE if whom == SAME else ()
        return tables.against_best(figure, (*tables.NOT_OVER_THE_AIR, *more))


def measured(options: sections.Options) -> list[Measured]:
    """Return the points of the claims."""
    found = []
    for point in sections.claims(options):
        counted = tables.counted(point, options.results)
        found.append(Measured(point, counted, tables.outcomes(counted.cells)))
    return found


def verdicts(points: list[Measured], known: perplexity.Known) -> str:
    """Judge every claim and aim in one table."""
    by_place = {(m.point.section, m.point.name): m for m in points}
    rows = []
    for aim in AIMS:
        place = by_place.get(aim.place)
        saving = place.against(aim.quantity, aim.against) if place else None
        where = f"{aim.place[0]}, {aim.place[1].replace('-', ' ')}"
        rows.append(_row(aim.claim, where, aim.against, saving, aim.percent))
    for k, counted in known.items():
        saving = tables.against_best(tables.perplexity_of(counted.cells), ())
        where = f"paper-v2, {k.replace('k-', 'K = ')}"
        rows.append(_row("Paper: lower perplexity", where, "the best, digital too", saving, 0.05))
    columns = ["Claim or aim", "Scenario and plan", "Against", "Measured", "Reached"]
    return f"{_VERDICTS}\n{markdown_table(columns, rows, left=5)}\n{_NOTES}"


def _row(
    claim: str, where: str, against: str, saving: tables.Saved | None, percent: float
) -> list[str]:
    if saving is None:
        return [claim, where, against, "not run yet", MISSING]
    if against != DIGITAL:
        against = f"{against}: {scheme_style(saving.baseline).label}"
    return [claim, where, against, phrases.in_full(saving), phrases.verdict(saving, percent)]


_VERDICTS = """\
## Claims and aims: reached or not

What movable antennas save, as the median over the seeds.  *Reached* asks the median; where single
seeds reached the aim though the median did not, they are counted.
"""

_NOTES = """\
The paper (arXiv 2506.00011) names its savings against wireless baselines in a setting whose
numbers we do not know; paper-v1 and paper-v2 are our reading of it.  The aims are this project's.
The cell-edge aims are against the best non-movable scheme over the air, once among all and once
among those with no more than the same N antennas (without 2N antennas, selection and surface).  The
best is chosen for time and for energy apart, among the schemes run there.  "At least", "at most"
and "as a bound": the baseline did not reach the target in some seed, and what it spent in all its
rounds stands in for it.
"""


def reasons(points: list[Measured]) -> str:
    """Show time and energy to target by component where all schemes share one plan."""
    parts = [m for m in points if m.point.scenario.plan == "shared" and PROPOSAL in m.found]
    return "\n".join([_WHY, *(x for m in parts for x in _components(m))]) if parts else ""


_WHY = """\
## Why: time and energy by component

Medians to the target; a scheme with a star did not reach it in half of the seeds, and all its
rounds are shown.  Medians of components need not add up to the median of the sum.
"""


def _components(place: Measured) -> Iterator[str]:
    yield f"### {place.title}\n"
    for quantity in ("time", "energy"):
        lines = []
        for whom in (ANY, DIGITAL):
            saving = place.against(quantity, whom)
            if saving is not None:
                lines.append(f"- {_explained(place.found, saving)}")
        yield "\n".join(lines) + "\n"
        yield _component_table(place.found, quantity)


def _component_table(found: tables.Outcomes, quantity: str) -> str:
    attribute, unit = _PARTS[quantity]
    names = {n for seeds in found.values() for o in seeds.values() for n in getattr(o, attribute)}
    order = ordered_components(names)
    rows = []
    for scheme, seeds in found.items():
        parts = [getattr(o, attribute) for o in seeds.values()]
        missed = sum(o.rounds is None for o in seeds.values())
        star = " *" if 2 * missed >= len(seeds) else ""
        figures = [median(p.get(name, 0.0) for p in parts) for name in order]
        total = median(sum(p.values()) for p in parts)
        cells = [significant(x, 3) for x in (*figures, total)]
        rows.append([scheme_style(scheme).label + star, *cells])
    columns = [f"{quantity.capitalize()} [{unit}]", *map(component_label, order), "All"]
    return markdown_table(columns, rows)


_PARTS = {"time": ("parts_s", "s"), "energy": ("parts_j", "J")}
SMALL = 0.01
"""Differences of a component below this share of the baseline's total are not told."""


def _explained(found: tables.Outcomes, saving: tables.Saved) -> str:
    """Say which components make movable win or lose, by paired differences."""
    attribute, unit = _PARTS[saving.quantity]
    mine, theirs = found[PROPOSAL], found[saving.baseline]
    pairs = [(mine[seed], theirs[seed]) for seed in sorted(set(mine) & set(theirs))]
    names = {n for pair in pairs for o in pair for n in getattr(o, attribute)}
    change = {
        name: median(
            getattr(m, attribute).get(name, 0.0) - getattr(t, attribute).get(name, 0.0)
            for m, t in pairs
        )
        for name in ordered_components(names)
    }
    whole = median(sum(getattr(t, attribute).values()) for _, t in pairs)
    told = {n: x for n, x in change.items() if abs(x) >= SMALL * whole}
    label = scheme_style(saving.baseline).label
    text = f"{saving.quantity.capitalize()} against {label}: {phrases.words(saving)}."
    gains = sorted((x, n) for n, x in told.items() if x < 0)
    losses = sorted(((x, n) for n, x in told.items() if x > 0), reverse=True)
    for verb, side in (("saves", gains), ("spends more", losses)):
        if side:
            each = [
                f"{component_label(n).lower()} {significant(abs(x), 2)} {unit}" for x, n in side
            ]
            text += f" It {verb}: {listed(each)}."
    if not told:
        text += " No component differs by a hundredth of the whole."
    return text + _drives_apart(pairs, attribute)


def _drives_apart(pairs: list[tuple[tables.Outcome, tables.Outcome]], attribute: str) -> str:
    """Say what the saving would be if moving antennas cost nothing."""
    without = []
    for mine, theirs in pairs:
        parts = getattr(mine, attribute)
        rest = sum(parts.values()) - parts.get("movement", 0.0)
        without.append(100.0 * (1.0 - rest / sum(getattr(theirs, attribute).values())))
    return f" Drives that cost nothing would bring this to {decimals(median(without), 1)} % saved."


def details(points: list[Measured]) -> str:
    """Return a table of every scheme's figures for each point."""
    parts = [text for place in points if place.found for text in _detail(place)]
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
    own = place.point.scenario.plan == "own"
    columns = ["Scheme", "Reached", *(("Planned rounds", "Batch") if own else ()), "Rounds"]
    columns += ["Time [s]", "Energy [J]", "Final loss", "Error", "Time saved", "Energy saved"]
    rows = [_scheme(place, name, own) for name in place.found]
    yield markdown_table(columns, rows)
    yield "\n".join(f"- {text}" for text in _remarks(place)) + "\n"


def _scheme(place: Measured, name: str, own: bool) -> list[str]:
    seen = list(place.found[name].values())
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
    found, scenario = place.found, place.point.scenario
    limit = scenario.budget.latency_s
    if limit is not None:
        over = _over(found, "spent_s", limit)
        rule = "" if scenario.plan == "own" else ": the plan keeps it for movable, not for all"
        yield f"Longer than {limit:g} s in all their rounds{rule}: {_named(over, 's')}."
    cap = scenario.budget.client_energy_j
    if cap is not None:
        over = _over(found, "most_client_j", float(cap))
        yield f"A client above {cap:g} J: {_named(over, 'J')}."
    rounds = [o.rounds for o in found.get(PROPOSAL, {}).values() if o.rounds]
    if rounds:
        share = 100.0 / median(rounds)
        yield (
            f"Resolution: the target is looked for after each round; one round is {share:.0f} % "
            "of movable's rounds to target, so one round can decide a row."
        )
    yield from _beyond_ideal(found)
    same = tables.same_curves(place.counted.cells, "fixed")
    if same:
        yield (
            f"{phrases.labels(same)} learned exactly as Fixed did, bit for bit: the threshold that "
            "is best by its estimate lets everybody send."
        )
    yield from _ranked_among(place)


def _over(found: tables.Outcomes, name: str, limit: float) -> dict[str, float]:
    worst = {s: max(getattr(o, name) for o in seeds.values()) for s, seeds in found.items()}
    return {scheme: x for scheme, x in worst.items() if x > limit * (1 + 1e-6)}


def _named(figures: dict[str, float], unit: str) -> str:
    each = [f"{phrases.labels([s])} (up to {significant(x)} {unit})" for s, x in figures.items()]
    return listed(each) if each else "none"


def _beyond_ideal(found: tables.Outcomes) -> Iterator[str]:
    losses = {
        name: median(o.loss for o in seeds.values() if o.loss is not None)
        for name, seeds in found.items()
        if any(o.loss is not None for o in seeds.values())
    }
    lower = [n for n in losses if n != REFERENCE and losses[n] < losses.get(REFERENCE, 0.0)]
    if lower:
        yield (
            f"{phrases.labels(lower)} ended at a lower loss than the error-free reference: some "
            "noise does no harm, and differences of this size are chance."
        )


def _ranked_among(place: Measured) -> Iterator[str]:
    others = [n for n in place.found if n not in tables.NOT_OVER_THE_AIR]
    if len(others) < len(SCHEMES) - len(tables.NOT_OVER_THE_AIR):
        yield f"Non-movable over the air, of those run here: {phrases.labels(others)}."
