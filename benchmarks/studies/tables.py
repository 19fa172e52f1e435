"""Figures of the study from its finished cells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from airtune.statistics import difference, jain_index, paired, quantiles
from airtune.study import PROPOSAL, REFERENCE, target_loss
from studies.cells import Document, Point, load

NO_COMPETITOR = (REFERENCE, PROPOSAL, "digital")
"""The other schemes are the non-movable ones over the air."""
MORE_HARDWARE = ("fixed-2n", "selection", "ris")
"""They use more antennas or a surface besides the same N antennas."""


@dataclass(frozen=True)
class Outcome:
    """One scheme and seed: what it took to the target, None where it never got there."""

    rounds: float | None
    seconds: float | None
    joules: float | None
    spent_s: float
    spent_j: float
    loss: float | None
    mse: float | None
    fairness: float


Outcomes = dict[str, dict[int, Outcome]]


def histories(point: Point, results: Path) -> dict[str, dict[int, Document]]:
    """Return the finished cells of a point by scheme and seed; infeasible ones are left out."""
    found: dict[str, dict[int, Document]] = {}
    for cell in point.cells():
        document = load(cell, results)
        if document is not None and "history" in document:
            found.setdefault(cell.scheme, {})[cell.seed] = document
    return found


def infeasible(point: Point, results: Path) -> dict[str, str]:
    """Return the schemes that no plan within the budgets serves, and why."""
    documents = [(cell.scheme, load(cell, results)) for cell in point.cells()]
    return {name: d["infeasible"] for name, d in documents if d is not None and "infeasible" in d}


def targets(cells: Mapping[str, Mapping[int, Document]]) -> dict[int, float | None]:
    """Return the target loss of each seed whose reference has finished."""
    return {
        seed: target_loss([{"evaluated": x is not None, "loss": x} for x in d["history"]["loss"]])
        for seed, d in cells.get(REFERENCE, {}).items()
    }


def outcomes(cells: Mapping[str, Mapping[int, Document]], compute_speed: float = 1.0) -> Outcomes:
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
    found: Outcomes = {}
    for scheme, seeds in cells.items():
        for seed, document in seeds.items():
            if seed in goals:
                outcome = _outcome(document, goals[seed], compute_speed)
                found.setdefault(scheme, {})[seed] = outcome
    return found


def _outcome(document: Document, target: float | None, speed: float) -> Outcome:
    history = document["history"]
    seconds = _rescaled(history["time_s"], history["compute_s"], speed)
    joules = _rescaled(history["energy_j"], history["compute_j"], speed)
    reached = None
    if target is not None:
        losses = enumerate(history["loss"])
        reached = next((i for i, x in losses if x is not None and x <= target), None)
    errors = [x for x in history.get("mse", ()) if x is not None]
    return Outcome(
        rounds=reached,
        seconds=None if reached is None else seconds[reached],
        joules=None if reached is None else joules[reached],
        spent_s=seconds[-1],
        spent_j=joules[-1],
        loss=history["loss"][-1],
        mse=float(np.mean(errors)) if errors else None,
        fairness=jain_index(document["participation"]),
    )


def _rescaled(whole: Sequence[float], compute: Sequence[float], speed: float) -> list[float]:
    return [x - c + c / speed for x, c in zip(whole, compute, strict=True)]


@dataclass(frozen=True)
class Saving:
    """How much faster, and with how much less energy, the proposal is than one scheme.

    Attributes
    ----------
    baseline : str
    faster, less_energy : dict
        Percent: median, p10, p90 over the seeds.
    bound : bool
        The baseline never got there in a seed, and what it spent in all its rounds was counted.
    seconds : dict
        `paired` differences of the time to target.
    """

    baseline: str
    faster: Document
    less_energy: Document
    bound: bool
    seconds: Document


def saving(found: Outcomes, baseline: str, proposal: str = PROPOSAL) -> Saving | None:
    """Return the saving against one baseline; None where no seed has both."""
    mine, theirs = found.get(proposal, {}), found.get(baseline, {})
    seeds = sorted(set(mine) & set(theirs))
    if not seeds:
        return None
    pairs = [(mine[seed], theirs[seed]) for seed in seeds]
    faster = [_percent(m.seconds, t.seconds, t.spent_s) for m, t in pairs]
    less = [_percent(m.joules, t.joules, t.spent_j) for m, t in pairs]
    return Saving(
        baseline,
        quantiles(faster, missing=-math.inf),
        quantiles(less, missing=-math.inf),
        any(t.seconds is None for _, t in pairs),
        paired([difference(t.seconds, m.seconds) for m, t in pairs]),
    )


def _percent(mine: float | None, theirs: float | None, spent: float) -> float | None:
    if mine is None:
        return None
    return 100.0 * (1.0 - mine / (spent if theirs is None else theirs))


def best_competitor(found: Outcomes, excluded: Sequence[str] = ()) -> str | None:
    """Return the non-movable over-the-air scheme of least median time to target.

    Those that never get there rank by their final loss, behind all that do.
    """

    def rank(name: str) -> tuple[float, float]:
        seconds = quantiles([o.seconds for o in found[name].values()])["median"]
        loss = quantiles([o.loss for o in found[name].values()])["median"]
        return (
            math.inf if seconds is None else seconds,
            math.inf if loss is None else loss,
        )

    names = [name for name in found if name not in (*NO_COMPETITOR, *excluded)]
    return min(names, key=rank, default=None)


def perplexities(cells: Mapping[str, Mapping[int, Document]]) -> dict[str, dict[int, float | None]]:
    """Return exp(final loss) by scheme and seed."""
    return {
        scheme: {seed: _exp(d["history"]["loss"][-1]) for seed, d in seeds.items()}
        for scheme, seeds in cells.items()
    }


def _exp(loss: float | None) -> float | None:
    return None if loss is None else math.exp(min(loss, 700.0))


def fairness(cells: Mapping[int, Document]) -> dict[str, Any]:
    """Return the quantiles of Jain's index of the participation counts."""
    return quantiles([jain_index(d["participation"]) for d in cells.values()])
