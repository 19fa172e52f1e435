"""Figures computed from the histories of finished cells (system model, section 10)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np

from airtune.planning.deviation import against_plan
from airtune.record.course import diverged, never_stepped, rounds_without_step
from airtune.record.documents import (
    FinishedDocument,
    LeftOutDocument,
    MetricsLine,
    PlanDocument,
    Sample,
)
from airtune.registry import PROPOSAL, REFERENCE
from airtune.scenario import Scenario
from airtune.study.ends import stopped_by
from airtune.study.faults import fault_figures, over_fault_figures
from airtune.study.statistics import Share, jain_index, quantiles, share_interval
from airtune.study.targets import MAIN, SHARES, Crossing, Targets, crossing, target_loss

Number = int | float
RADIATING = ("uplink", "pilots", "downlink")

__all__ = [
    "PROPOSAL",
    "REFERENCE",
    "CellFigures",
    "CellHistory",
    "Figures",
    "RoundFigures",
    "baseline_of",
    "cell_figures",
    "over_cells",
    "over_seeds",
    "target_loss",
]


@dataclass(frozen=True)
class CellHistory:
    """The records of a finished cell.

    Attributes
    ----------
    rounds : sequence of MetricsLine
        Round 0, the untuned model, first.
    finished : FinishedDocument
    plan : PlanDocument or None
    samples : sequence of Sample
        Answers before and after fine-tuning.
    left_out : LeftOutDocument or None
        Records of the data that are not used; None where it is not known.
    """

    rounds: Sequence[MetricsLine]
    finished: FinishedDocument
    plan: PlanDocument | None
    samples: Sequence[Sample] = ()
    left_out: LeftOutDocument | None = None

    @property
    def losses(self) -> list[Number | None]:
        """Losses of the rounds that were validated; None where the model had diverged."""
        return [line.loss for line in self.rounds if line.evaluated]


class RoundFigures(TypedDict):
    """One validated round of a history."""

    round: int
    time_s: Number | None
    energy_j: Number | None
    loss: Number | None
    mse_db: Number | None
    exact_match: Number | None
    token_accuracy: Number | None
    preference_accuracy: Number | None


class CellFigures(TypedDict):
    """Figures of one scheme and one seed, as they stand in results.json."""

    targets: dict[str, Crossing]
    rounds_to_target: int | None
    time_to_target_s: Number | None
    energy_to_target_j: Number | None
    energy_j: dict[str, Number]
    latency_s: dict[str, Number]
    final_loss: Number | None
    final_perplexity: Number | None
    exact_match: Number | None
    exact_match_interval: Share | None
    token_accuracy: Number | None
    preference_accuracy: Number | None
    preference_accuracy_interval: Share | None
    rouge_l: Number | None
    initial_loss: Number | None
    initial_perplexity: Number | None
    initial_exact_match: Number | None
    initial_token_accuracy: Number | None
    initial_preference_accuracy: Number | None
    initial_rouge_l: Number | None
    mse_db: float | None
    fairness: float
    product_bias: Number | None
    dropped: int
    rejected_rounds: int
    within_latency_budget: bool
    within_client_energy_budget: bool
    within_energy_budget: bool
    diverged: bool
    rounds_not_finite: int
    rounds_without_step: int | None
    never_stepped: bool | None
    rounds: int
    stopped_by: str | None
    ended: Literal["plan", "budget"]
    left_out_records: int | None
    plan: dict[str, Any] | None
    repetition: int | None
    radiated_j: dict[str, Number] | None
    faults: NotRequired[dict[str, float]]
    history: list[RoundFigures]


Figures = dict[str, dict[int, CellFigures]]
"""Figures of finished cells by scheme and seed."""


def baseline_of(figures: Figures) -> str:
    """Return the scheme that paired differences are taken to: the proposal where it has run."""
    return PROPOSAL if PROPOSAL in figures else next(iter(figures))


def cell_figures(
    history: CellHistory, targets: Targets, scenario: Scenario | None = None
) -> CellFigures:
    """Return the figures of one finished cell.

    Parameters
    ----------
    history : CellHistory
    targets : mapping of str to float or None
        Target losses of its seed by name; empty where there is no reference.
    scenario : Scenario, optional
        Settings that it ran with; they tell why it stopped before `training.rounds`.
    """
    lines, totals = history.rounds, history.finished
    last = next(line for line in reversed(lines) if line.evaluated)
    reached, target = None, targets.get(MAIN)
    if target is not None:
        reached = next(
            (line for line in lines if line.loss is not None and line.loss <= target), None
        )
    errors = [line.mse for line in lines if line.mse is not None]
    mean_error = float(np.mean(errors)) if errors else 0.0
    faults = fault_figures(lines, len(totals.participation))
    figures: CellFigures = {
        "targets": {name: crossing(lines, targets.get(name)) for name in SHARES},
        "rounds_to_target": reached.round if reached else None,
        "time_to_target_s": reached.time_s if reached else None,
        "energy_to_target_j": reached.energy_j if reached else None,
        "energy_j": totals.energy_j,
        "radiated_j": _radiated(lines),
        "latency_s": totals.latency_s,
        "final_loss": last.loss,
        "final_perplexity": last.perplexity,
        "exact_match": last.exact_match,
        "exact_match_interval": share_interval(last.exact_match, last.records),
        "token_accuracy": last.token_accuracy,
        "preference_accuracy": last.preference_accuracy,
        "preference_accuracy_interval": share_interval(last.preference_accuracy, last.records),
        "rouge_l": _mean(sample.rouge_l_after for sample in history.samples),
        "initial_loss": lines[0].loss,
        "initial_perplexity": lines[0].perplexity,
        "initial_exact_match": lines[0].exact_match,
        "initial_token_accuracy": lines[0].token_accuracy,
        "initial_preference_accuracy": lines[0].preference_accuracy,
        "initial_rouge_l": _mean(sample.rouge_l_before for sample in history.samples),
        "mse_db": 10.0 * math.log10(mean_error) if mean_error > 0 else None,
        "fairness": jain_index(totals.participation),
        "product_bias": _mean(line.product_bias for line in lines),
        "dropped": sum(len(line.dropped) for line in lines),
        "rejected_rounds": sum(line.rejected for line in lines),
        "within_latency_budget": totals.within_latency_budget,
        "within_client_energy_budget": totals.within_client_energy_budget,
        "within_energy_budget": totals.within_energy_budget,
        "diverged": diverged(lines),
        "rounds_not_finite": sum(line.not_finite is not None for line in lines),
        "rounds_without_step": rounds_without_step(lines),
        "never_stepped": never_stepped(lines),
        "rounds": totals.rounds,
        "stopped_by": stopped_by(totals, history.plan, scenario) if scenario else None,
        "ended": "plan" if totals.stopped_by is None else "budget",
        "left_out_records": history.left_out.count if history.left_out else None,
        "plan": _against_plan(history),
        "repetition": history.plan.repetition if history.plan else None,
        "history": [_round_figures(line) for line in lines if line.evaluated],
    }
    if faults is not None:
        figures["faults"] = faults
    return figures


def _mean(values: Iterable[Number | None]) -> float | None:
    """Return the mean of what is known, None where nothing is."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _radiated(lines: Sequence[MetricsLine]) -> dict[str, Number] | None:
    """Return what antennas radiated, by component [J]; None where the lines do not tell."""
    parts = [line.round_radiated_j for line in lines if line.round_radiated_j is not None]
    sums = {name: math.fsum(part.get(name, 0.0) for part in parts) for name in RADIATING}
    return sums if parts else None


def _against_plan(history: CellHistory) -> dict[str, Any] | None:
    """Return what was booked against the plan; None for a cell without a plan."""
    if history.plan is None:
        return None
    replanned = [{"replanned": line.replanned} for line in history.rounds]
    return against_plan(history.plan.model_dump(), history.finished.model_dump(), replanned)


def _round_figures(line: MetricsLine) -> RoundFigures:
    return {
        "round": line.round,
        "time_s": line.time_s,
        "energy_j": line.energy_j,
        "loss": line.loss,
        "mse_db": line.mse_db,
        "exact_match": line.exact_match,
        "token_accuracy": line.token_accuracy,
        "preference_accuracy": line.preference_accuracy,
    }


def over_seeds(values: Sequence[Any], missing: float | None = math.inf) -> Any:
    """Merge one figure over the seeds: median, 10 % and 90 % quantile; as it is for one seed.

    Parameters
    ----------
    values : sequence
        The figure of each seed: a number, None, or a mapping of names to figures.
    missing : float or None
        What None counts as: infinite for what is better small (a target never reached), minus
        infinite for a saving that was not made; None leaves it out.

    Examples
    --------
    >>> over_seeds([3.0])
    3.0
    >>> over_seeds([{"loss": 1.0}, {"loss": 3.0}])["loss"]["median"]
    2.0
    """
    if len(values) == 1:
        return values[0]
    first = values[0]
    if isinstance(first, Mapping):
        return {name: _merge_named(name, [value[name] for value in values]) for name in first}
    return quantiles(values, missing)


def over_cells(cells: Mapping[int, CellFigures]) -> dict[str, Any]:
    """Merge the figures of a scheme over its seeds, `cells` by the number of the repetition.

    Returns
    -------
    dict
        As :func:`over_seeds`; `diverged` where any seed has, and `diverged_seeds` lists them; so
        `never_stepped` and `never_stepped_seeds`; `mse_db_seeds` counts the seeds with an error in
        dB where others have none.
    """
    merged = over_seeds(list(cells.values())) | {
        "diverged_seeds": [seed for seed in sorted(cells) if cells[seed]["diverged"]],
        "never_stepped_seeds": [seed for seed in sorted(cells) if cells[seed]["never_stepped"]],
    }
    known = sum(figures["mse_db"] is not None for figures in cells.values())
    return {**merged, "mse_db_seeds": known} if 0 < known < len(cells) else merged


def _merge_named(name: str, values: list[Any]) -> Any:
    if name == "history":
        seeds = [{line["round"]: line for line in lines} for lines in values]
        common = [i for i in seeds[0] if all(i in lines for lines in seeds)]  # some end earlier
        return [_merge_round([lines[i] for lines in seeds]) for i in common]
    if name == "faults":
        return over_fault_figures(values)
    if name.startswith("within_"):
        return all(values)
    if name == "ended":
        return min(values)  # "budget" where any was
    if name == "stopped_by":
        return next((value for value in values if value is not None), None)
    if (name.endswith("_interval") or name == "rounds_without_step") and None in values:
        return None
    if name == "mse_db":
        return over_seeds(values, missing=None)
    if name in ("diverged", "never_stepped"):
        return any(values) or (None if None in values else False)
    return over_seeds(values)


def _merge_round(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the medians of one round over the seeds; `loss` also with its quantiles."""
    merged: dict[str, Any] = {"round": lines[0]["round"]}
    for name in list(RoundFigures.__annotations__)[1:]:
        values = [line[name] for line in lines]
        unknown = all(value is None for value in values)
        figures = None if unknown else _merge_named(name, values)
        merged[name] = figures and figures["median"]
        if name == "loss" and figures:
            merged |= {"loss_p10": figures["p10"], "loss_p90": figures["p90"]}
    return merged
