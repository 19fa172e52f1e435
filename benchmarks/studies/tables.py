"""Figures of the study from its finished cells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from airtune.report.style import COMPONENTS
from airtune.study.outcomes import PROPOSAL, REFERENCE, target_loss
from airtune.study.statistics import difference, jain_index, paired, quantiles
from studies.points import Document, Point
from studies.results import Results

NOT_OVER_THE_AIR = (REFERENCE, PROPOSAL, "digital", "digital-movable", "digital-selection")
"""The other schemes are the non-movable ones over the air."""
MORE_HARDWARE = ("fixed-2n", "selection", "selection-compact", "ris")
"""They use more antennas or a surface besides the same N antennas."""

Cells = Mapping[str, Mapping[int, Document]]
"""Documents by scheme and seed."""
Values = Mapping[str, Mapping[int, float | None]]
"""One figure by scheme and seed; None where the target was never reached."""


@dataclass(frozen=True)
class Counted:
    """The finished cells of a point that are compared.

    Attributes
    ----------
    cells : dict
        Documents by scheme and seed.
    seeds : tuple of int
        Those in which every scheme has finished or cannot be run; while there is none, all that
        have begun.
    complete : bool
        Whether every scheme has finished in these seeds.
    unfinished : tuple of int
        The point's seeds that are not counted, or not complete.
    infeasible : dict
        Why a cell cannot be run, by scheme and seed.
    """

    cells: dict[str, dict[int, Document]]
    seeds: tuple[int, ...]
    complete: bool
    unfinished: tuple[int, ...]
    infeasible: dict[str, dict[int, str]]


def counted(point: Point, results: Results) -> Counted:
    """Return the cells of a point that compare: complete seeds where there are any."""
    known = {(c.scheme, c.seed): d for c in point.cells() if (d := results.find(c)) is not None}
    begun = sorted({seed for _, seed in known})
    whole = [s for s in begun if all((name, s) in known for name in point.schemes)]
    seeds = tuple(whole or begun)
    cells: dict[str, dict[int, Document]] = {}
    refused: dict[str, dict[int, str]] = {}
    for (scheme, seed), document in known.items():
        if "infeasible" in document:
            refused.setdefault(scheme, {})[seed] = document["infeasible"]
        elif seed in seeds:
            cells.setdefault(scheme, {})[seed] = document
    unfinished = tuple(seed for seed in point.seeds if seed not in whole)
    return Counted(cells, seeds, bool(whole), unfinished, refused)


@dataclass(frozen=True)
class Outcome:
    """One scheme and seed: what it took to the target, None where it never got there.

    `parts_s` and `parts_j` are the components of `seconds` and `joules` or, where the target was
    never reached, of what all rounds took (`spent_s`, `spent_j`).
    """

    rounds: float | None
    seconds: float | None
    joules: float | None
    spent_s: float
    spent_j: float
    parts_s: dict[str, float]
    parts_j: dict[str, float]
    loss: float | None
    mse: float | None
    fairness: float
    planned: int
    batch: float
    most_client_j: float


Outcomes = dict[str, dict[int, Outcome]]


def targets(cells: Cells) -> dict[int, float | None]:
    """Return the target loss of each seed whose reference has finished.

    A last loss that is None is a run that diverged, not one that was not evaluated.
    """
    goals = {}
    for seed, document in cells.get(REFERENCE, {}).items():
        losses = document["history"]["loss"]
        last = len(losses) - 1
        goals[seed] = target_loss([x for i, x in enumerate(losses) if x is not None or i == last])
    return goals


def outcomes(cells: Cells, compute_speed: float = 1.0) -> Outcomes:
    """Return what every cell took to its seed's target.

    Parameters
    ----------
    cells : mapping
        Documents by scheme and seed.
    compute_speed : float
        Factor on the FLOP per cycle of the clients: computing then takes that much less time and
        energy, and nothing else changes (no budget, so batches and clocks stay).
    """
    goals = targets(cells)
    results: Outcomes = {}
    for scheme, seeds in cells.items():
        for seed, document in seeds.items():
            if seed in goals:
                outcome = _outcome(document, goals[seed], compute_speed)
                results.setdefault(scheme, {})[seed] = outcome
    return results


def _outcome(document: Document, target: float | None, speed: float) -> Outcome:
    history = document["history"]
    losses = history["loss"]
    seconds = _rescaled(history["time_s"], history["compute_s"], speed)
    joules = _rescaled(history["energy_j"], history["compute_j"], speed)
    reached = None if target is None else _crossing(losses, target)
    errors = [x for x in history.get("mse", ()) if x is not None]
    end = _Place(len(losses) - 1) if reached is None else reached
    return Outcome(
        rounds=None if reached is None else reached.of(range(len(losses))),
        seconds=None if reached is None else reached.of(seconds),
        joules=None if reached is None else reached.of(joules),
        spent_s=seconds[-1],
        spent_j=joules[-1],
        parts_s=_parts(history, "s", end, speed),
        parts_j=_parts(history, "j", end, speed),
        loss=losses[-1],
        mse=float(np.mean(errors)) if errors else None,
        fairness=jain_index(document["participation"]),
        planned=len(losses) - 1,
        batch=float(np.median(document["batch"])),
        most_client_j=max(document.get("client_energy_j", (math.nan,))),
    )


@dataclass(frozen=True)
class _Place:
    """A place of a history: a round, or `share` of the way to it from an earlier one."""

    round: int
    before: int = 0
    share: float = 1.0

    def of(self, column: Sequence[float]) -> float:
        """Return what a column has there."""
        if self.share == 1.0:
            return float(column[self.round])
        start = column[self.before]
        return float(start + self.share * (column[self.round] - start))


def _crossing(losses: Sequence[float | None], target: float) -> _Place | None:
    """Return where the target is crossed, as `airtune.study.targets.crossing` does."""
    before: tuple[int, float] | None = None
    for round_index, loss in enumerate(losses):
        if loss is not None and loss <= target:
            if before is None:
                return _Place(round_index)
            return _Place(round_index, before[0], (before[1] - target) / (before[1] - loss))
        if loss is not None:
            before = round_index, loss
    return None


def _rescaled(whole: Sequence[float], compute: Sequence[float], speed: float) -> list[float]:
    return [x - c + c / speed for x, c in zip(whole, compute, strict=True)]


def _parts(history: Document, unit: str, end: _Place, speed: float) -> dict[str, float]:
    """Return the components up to a place; one that costs nothing has no column."""
    columns = ((name, history.get(f"{name}_{unit}")) for name in COMPONENTS)
    parts = {name: end.of(column) for name, column in columns if column is not None}
    return parts | {"compute": parts["compute"] / speed}


@dataclass(frozen=True)
class Figure:
    """One figure of all schemes, of which less is better.

    Attributes
    ----------
    quantity : str
        ``time``, ``energy`` or ``perplexity``.
    values : Values
    spent : Values
        What counts for a baseline that never got there.
    behind : Values
        Ranks those that never get there.
    """

    quantity: str
    values: Values
    spent: Values
    behind: Values


def time_of(outcomes: Outcomes) -> Figure:
    """Return the time to target [s]."""
    return Figure("time", *(_column(outcomes, name) for name in ("seconds", "spent_s", "loss")))


def energy_of(outcomes: Outcomes) -> Figure:
    """Return the energy to target [J]."""
    return Figure("energy", *(_column(outcomes, name) for name in ("joules", "spent_j", "loss")))


def perplexity_of(cells: Cells) -> Figure:
    """Return exp(final loss); a run that diverged has none."""
    values = {
        scheme: {seed: _exp(d["history"]["loss"][-1]) for seed, d in seeds.items()}
        for scheme, seeds in cells.items()
    }
    endless = {scheme: dict.fromkeys(seeds, math.inf) for scheme, seeds in values.items()}
    return Figure("perplexity", values, endless, values)


def _column(outcomes: Outcomes, name: str) -> dict[str, dict[int, float | None]]:
    return {
        scheme: {seed: getattr(o, name) for seed, o in seeds.items()}
        for scheme, seeds in outcomes.items()
    }


def _exp(loss: float | None) -> float | None:
    return None if loss is None else math.exp(min(loss, 700.0))


@dataclass(frozen=True)
class Saved:
    """By how much less the proposal takes than one scheme, seed by seed.

    Attributes
    ----------
    quantity, baseline : str
    compared : tuple of int
        The seeds.
    percents : tuple of (float or None)
        100 (1 - movable / baseline); None where movable never reached the target.
    missed : int
        Seeds in which the baseline never reached it: what it spent in all its rounds is counted,
        and the percentage is a lower bound.
    better : int
        Seeds in which movable took less.
    sign_test : float, optional
        Two-sided p of the paired differences.
    """

    quantity: str
    baseline: str
    compared: tuple[int, ...]
    percents: tuple[float | None, ...]
    missed: int
    better: int
    sign_test: float | None

    @property
    def seeds(self) -> int:
        """How many seeds were compared."""
        return len(self.compared)

    @property
    def quantiles(self) -> Document:
        """Median, 10 % and 90 % quantile; a seed that movable lost counts as minus infinite."""
        return quantiles(self.percents, missing=-math.inf)


def saved(figure: Figure, baseline: str, seeds: Sequence[int] | None = None) -> Saved | None:
    """Compare with one baseline in the seeds that both have; None where there is none."""
    mine, theirs = figure.values.get(PROPOSAL, {}), figure.values.get(baseline, {})
    shared = sorted(set(mine) & set(theirs) & set(mine if seeds is None else seeds))
    if not shared:
        return None
    differences = [difference(theirs[seed], mine[seed]) for seed in shared]
    return Saved(
        figure.quantity,
        baseline,
        tuple(shared),
        tuple(_percent(mine[s], theirs[s], figure.spent[baseline][s]) for s in shared),
        sum(theirs[seed] is None for seed in shared),
        sum(x > 0 for x in differences),
        paired(differences)["sign_test_p"],
    )


def _percent(mine: float | None, theirs: float | None, spent: float | None) -> float | None:
    if mine is None:
        return None
    other = spent if theirs is None else theirs
    return 100.0 * (1.0 - mine / (math.inf if other is None else other))


def against_best(figure: Figure, excluded: Sequence[str] = NOT_OVER_THE_AIR) -> Saved | None:
    """Compare with the best of the schemes that are not excluded.

    They are ranked by their medians over the seeds that movable and every one of them have; those
    that never get there rank by their final loss, behind all that do.
    """
    mine = set(figure.values.get(PROPOSAL, {}))
    excluded = (*excluded, PROPOSAL, REFERENCE)
    names = [n for n, seeds in figure.values.items() if n not in excluded and mine & set(seeds)]
    if not names:
        return None
    shared = sorted(mine.intersection(*(figure.values[name] for name in names)))

    def rank(name: str) -> tuple[float, ...]:
        medians = (
            quantiles([values[name][seed] for seed in shared])["median"]
            for values in (figure.values, figure.behind)
        )
        return tuple(math.inf if x is None else x for x in medians)

    return saved(figure, min(names, key=rank), shared) if shared else None


def fairness(cells: Mapping[int, Document]) -> list[float | None]:
    """Return Jain's index of the participation counts, seed by seed."""
    return [jain_index(d["participation"]) for d in cells.values()]


def same_curves(cells: Cells, one: str, other: str) -> list[int]:
    """Return the seeds in which two schemes have the same losses, bit for bit."""
    mine, theirs = cells.get(one, {}), cells.get(other, {})
    shared = sorted(set(mine) & set(theirs))
    return [s for s in shared if mine[s]["history"]["loss"] == theirs[s]["history"]["loss"]]
