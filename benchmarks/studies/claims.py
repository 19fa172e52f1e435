"""Claims and aims put to the test."""

from __future__ import annotations

from dataclasses import dataclass

from airtune.report.style import scheme_style
from airtune.report.values import MISSING, significant
from studies import perplexity, phrases, sections, tables
from studies.markdown import markdown_table
from studies.points import Point

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
PLACES = (PAPER_V1, EDGE)
"""Where the headline claims are put to the test."""
OWN = ("paper-v1", "own-plan")
AIMS = (
    *(Aim(PAPER_TIME, 95.0, "time", PAPER_V1, who) for who in (DIGITAL, ANY)),
    *(Aim(PAPER_ENERGY, 90.0, "energy", PAPER_V1, who) for who in (DIGITAL, ANY)),
    *(Aim(PAPER_TIME, 95.0, "time", OWN, who) for who in (DIGITAL, ANY)),
    *(Aim(PAPER_ENERGY, 90.0, "energy", OWN, who) for who in (DIGITAL, ANY)),
    *(Aim("Aim: 97 % faster", 97.0, "time", place, DIGITAL) for place in PLACES),
    *(Aim("Aim: 95 % less energy", 95.0, "energy", place, DIGITAL) for place in PLACES),
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
    outcomes: tables.Outcomes

    @property
    def title(self) -> str:
        """Scenario and plan."""
        return f"{self.point.section}, {self.point.name.replace('-', ' ')}"

    def figures(self) -> tuple[tables.Figure, tables.Figure]:
        """Return time and energy to target."""
        return tables.time_of(self.outcomes), tables.energy_of(self.outcomes)

    def against(self, quantity: str, whom: str) -> tables.Saved | None:
        """Compare movable in time or energy; the best is ranked in this figure by itself."""
        figure = self.figures()[quantity == "energy"]
        if whom not in (ANY, SAME):
            return tables.saved(figure, whom)
        more = tables.MORE_HARDWARE if whom == SAME else ()
        return tables.against_best(figure, (*tables.NOT_OVER_THE_AIR, *more))


def measured(options: sections.Options) -> list[Measured]:
    """Return the points of the claims."""
    points = []
    for point in sections.claims(options):
        counted = tables.counted(point, options.results)
        points.append(Measured(point, counted, tables.outcomes(counted.cells)))
    return points


def verdicts(points: list[Measured], known: perplexity.Known) -> str:
    """Judge every claim and aim in one table."""
    by_place = {(m.point.section, m.point.name): m for m in points}
    rows, savings = [], []
    for aim in AIMS:
        place = by_place.get(aim.place)
        saving = place.against(aim.quantity, aim.against) if place else None
        where = f"{aim.place[0]}, {aim.place[1].replace('-', ' ')}"
        savings.append(saving)
        row = _row(aim.claim, where, aim.against, saving, aim.percent)
        rows.append(_begun(row, place.counted if place else None))
    for k, counted in known.items():
        saving = tables.against_best(tables.perplexity_of(counted.cells), ())
        where = f"paper-v2, {k.replace('k-', 'K = ')}"
        savings.append(saving)
        row = _row("Paper: lower perplexity", where, "the best, digital too", saving, 0.05)
        rows.append(_begun(row, counted))
    tested = [saving for saving in savings if saving is not None]
    less = sum((saving.quantiles["median"] or 0.0) > 0 for saving in tested)
    reached = sum(row[-1].startswith("yes") for row in rows)
    run = "all" if len(tested) == len(rows) else str(len(tested))
    outcome = (
        f"Of {len(rows)} tests {run} have been run: {reached or 'none'} reached the aim, and in "
    )
    outcome += f"{less or 'none'} movable takes less than what it is compared with.\n"
    columns = ["Claim or aim", "Scenario and plan", "Against", "Measured", "Reached"]
    notes = _NOTES + _least_p([saving.seeds for saving in tested])
    return "\n".join([_VERDICTS, outcome, markdown_table(columns, rows, left=5), notes])


def _least_p(seeds: list[int]) -> str:
    """Say how small the p of a sign test can be at all with so few seeds."""
    if not seeds:
        return ""
    least = significant(2.0 ** (1 - max(seeds)), 2)
    return f"With {max(seeds)} seeds a sign test cannot give less than p = {least}.\n"


def _row(
    claim: str, where: str, against: str, saving: tables.Saved | None, percent: float
) -> list[str]:
    if saving is None:
        return [claim, where, against, "not run yet", MISSING]
    if against != DIGITAL:
        against = f"{against}: {scheme_style(saving.baseline).label}"
    return [claim, where, against, phrases.in_full(saving), phrases.verdict(saving, percent)]


def _begun(row: list[str], counted: tables.Counted | None) -> list[str]:
    """Mark a row for which some schemes are still missing."""
    partial = counted is not None and not counted.complete and row[-1] != MISSING
    return [*row[:3], f"{row[3]}; some schemes are missing", row[4]] if partial else row


_VERDICTS = """\
## Claims and aims: reached or not

What movable antennas save of the time or energy to target, or of the perplexity, as the median over
the seeds; in brackets the 10-90 % range of what is saved (negative: movable takes more) and in how
many seeds movable takes less.  *Reached* asks the median; where the seeds do not agree, it says how
many reach the aim.  *Shared plan*: rounds, batches and clocks are planned once, for movable, and
used by all; *own plan*: every scheme plans for itself within the same budgets
([more](#how-the-schemes-were-compared), also on what movable antennas are spared).
"""

_NOTES = """\
The paper (arXiv 2506.00011) names its savings against wireless baselines in a setting whose
numbers we do not know; paper-v1 and paper-v2 are our reading of it.  The aims are this project's.
The cell-edge aims are against the best non-movable scheme over the air, once among all and once
among those with no more than the same N antennas (without 2N antennas, selection and surface).  The
best is chosen for time and for energy apart, among the schemes run there, after their results are
known, which favours it a little.  "At least", "at most" and "a lower bound": the baseline did not
reach the target in some seed, and what it spent in all its rounds stands in for it.
"""
