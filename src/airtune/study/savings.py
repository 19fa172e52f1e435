"""What the proposal saves against each baseline (system model, section 10)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, TypedDict

from airtune.costs import Components
from airtune.registry import PROPOSAL, REFERENCE
from airtune.study.outcomes import CellFigures, Figures, over_seeds
from airtune.study.statistics import Quantiles
from airtune.study.targets import MAIN


class Headline(TypedDict):
    """The proposal against each baseline [%]; the baselines whose percentage is a lower bound.

    Ceilings are what the reference saves, which has no radio at all.
    """

    faster_pct: dict[str, float | Quantiles | None]
    less_energy_pct: dict[str, float | Quantiles | None]
    ceiling_faster_pct: dict[str, float | Quantiles | None]
    ceiling_less_energy_pct: dict[str, float | Quantiles | None]
    lower_bounds: list[str]


def headline(figures: Figures) -> Headline:
    """Return how much faster and how much less energy the proposal is, seed by seed.

    ``x % = 100 (1 - movable / baseline)`` at equal target (system model, section 10).  A baseline
    that never reaches the target counts with what it had spent when it stopped: the percentage is
    then a lower bound and the baseline is listed under `lower_bounds`.  None when the proposal
    never reaches it.

    All figures are those of the main target, between two evaluations
    (:func:`airtune.study.targets.crossing`).

    Examples
    --------
    >>> def cell(time_s, energy_j):
    ...     return {"targets": {"90": {"rounds": 1.0, "time_s": time_s, "energy_j": energy_j}}}
    >>> ideal, movable, fixed = cell(2.0, 1.0), cell(3.0, 1.0), cell(4.0, 2.0)
    >>> found = headline({"ideal": {0: ideal}, "movable": {0: movable}, "fixed": {0: fixed}})
    >>> found["faster_pct"], found["less_energy_pct"], found["ceiling_faster_pct"]
    ({'fixed': 25.0}, {'fixed': 50.0}, {'fixed': 50.0})
    """
    proposal, reference = figures.get(PROPOSAL, {}), figures.get(REFERENCE, {})
    others = {n: c for n, c in figures.items() if n not in (PROPOSAL, REFERENCE)}
    bounds = [
        name
        for name, cells in others.items()
        if any(_reached(cell, "time_s") is None for seed, cell in cells.items() if seed in proposal)
    ]
    return {
        "faster_pct": _savings(proposal, others, "time_s", "latency_s"),
        "less_energy_pct": _savings(proposal, others, "energy_j", "energy_j"),
        "ceiling_faster_pct": _savings(reference, others, "time_s", "latency_s"),
        "ceiling_less_energy_pct": _savings(reference, others, "energy_j", "energy_j"),
        "lower_bounds": bounds,
    }


def _reached(cell: CellFigures, figure: Literal["time_s", "energy_j"]) -> float | None:
    return cell["targets"][MAIN][figure]


def _savings(
    saver: Mapping[int, CellFigures],
    others: Figures,
    figure: Literal["time_s", "energy_j"],
    spent: Literal["latency_s", "energy_j"],
) -> dict[str, float | Quantiles | None]:
    """Return what a scheme saves against each of the others, over the seeds of both [%]."""
    savings: dict[str, float | Quantiles | None] = {}
    for name, cells in others.items():
        pairs = [(saver[seed], cells[seed]) for seed in cells if seed in saver]
        if pairs:
            each = [_saving(mine, theirs, figure, spent) for mine, theirs in pairs]
            savings[name] = over_seeds(each, missing=-math.inf)
    return savings


def _saving(
    saver: CellFigures,
    other: CellFigures,
    figure: Literal["time_s", "energy_j"],
    spent: Literal["latency_s", "energy_j"],
) -> float | None:
    mine, theirs = _reached(saver, figure), _reached(other, figure)
    if mine is None:
        return None
    if theirs is None:
        theirs = Components(**other[spent]).total
    return 100.0 * (1.0 - mine / theirs)
