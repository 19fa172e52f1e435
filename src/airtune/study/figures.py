"""Figures computed from the histories of finished cells (system model, section 10)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from airtune import record
from airtune.costs import Components
from airtune.planning.deviation import against_plan
from airtune.record import Cell, Document, RunFolder
from airtune.study.statistics import jain_index, quantiles

if TYPE_CHECKING:
    pass

REFERENCE = "ideal"


PROPOSAL = "movable"


TARGET_SHARE = 0.9
"""The target loss is reached when this share of the reference's improvement is."""


Figures = dict[str, dict[int, Document]]
"""Figures of finished cells by scheme and seed."""


def finished_figures(run_folder: RunFolder) -> tuple[Figures, dict[int, float | None]]:
    """Return the figures of the finished cells, and the target loss of each seed."""
    finished = [cell for cell in run_folder.cells if cell.finished]
    targets = {c.seed: target_loss(record.read_metrics(c)) for c in finished if _is_reference(c)}
    figures: Figures = {}
    for cell in finished:
        entry = cell_figures(cell, targets.get(cell.seed))
        figures.setdefault(cell.scheme, {})[cell.seed] = entry
    return figures, targets


def baseline_of(figures: Figures) -> str:
    """Return the scheme that paired differences are taken to: the proposal where it has run."""
    return PROPOSAL if PROPOSAL in figures else next(iter(figures))


def _is_reference(cell: Cell) -> bool:
    return cell.scheme == REFERENCE


def target_loss(history: list[Document]) -> float | None:
    """Return the initial loss minus 90 % of the improvement that the reference reaches.

    None when the reference does not improve: there is nothing to reach then.
    """
    losses = [line["loss"] for line in history if line["evaluated"]]
    if losses[-1] is None or losses[-1] >= losses[0]:
        return None
    return float(losses[0] - TARGET_SHARE * (losses[0] - losses[-1]))


def cell_figures(cell: Cell, target: float | None) -> Document:
    """Return the figures of one finished cell (one scheme, one seed)."""
    lines = record.read_metrics(cell)
    totals = record.read_json(cell.folder / "finished.json")
    plan = record.read_json(file) if (file := cell.folder / "plan.json").exists() else None
    last = next(line for line in reversed(lines) if line["evaluated"])
    reached = None
    if target is not None:
        reached = next(
            (line for line in lines if line["loss"] is not None and line["loss"] <= target), None
        )
    errors = [line["mse"] for line in lines if line["mse"] is not None]
    mean_error = float(np.mean(errors)) if errors else 0.0
    return {
        "rounds_to_target": reached["round"] if reached else None,
        "time_to_target_s": reached["time_s"] if reached else None,
        "energy_to_target_j": reached["energy_j"] if reached else None,
        "energy_j": totals["energy_j"],
        "latency_s": totals["latency_s"],
        "final_loss": last["loss"],
        "final_perplexity": last["perplexity"],
        "exact_match": last["exact_match"],
        "initial_loss": lines[0]["loss"],
        "initial_exact_match": lines[0]["exact_match"],
        "mse_db": 10.0 * math.log10(mean_error) if mean_error > 0 else None,
        "fairness": jain_index(totals["participation"]),
        "dropped": sum(len(line.get("dropped", ())) for line in lines),
        "within_latency_budget": totals["within_latency_budget"],
        "within_client_energy_budget": totals["within_client_energy_budget"],
        "within_energy_budget": totals.get("within_energy_budget", True),
        "diverged": last["loss"] is None,
        "plan": against_plan(plan, totals, lines) if plan else None,
        "history": [{name: line[name] for name in _HISTORY} for line in lines if line["evaluated"]],
    }


_HISTORY = ("round", "time_s", "energy_j", "loss", "mse_db", "exact_match")


def over_seeds(values: list[Any], missing: float = math.inf) -> Any:
    """Merge one figure over the seeds: median, 10 % and 90 % quantile; as it is for one seed.

    A figure that is null in a seed counts as `missing` there: infinite for what is better small
    (a target never reached), minus infinite for a saving that was not made.
    """
    if len(values) == 1:
        return values[0]
    first = values[0]
    if isinstance(first, dict):
        return {name: _merge_named(name, [value[name] for value in values]) for name in first}
    return quantiles(values, missing)


def _merge_named(name: str, values: list[Any]) -> Any:
    if name == "history":
        return [_merge_round(lines) for lines in zip(*values, strict=False)]
    if name.startswith("within_"):
        return all(values)
    return any(values) if name == "diverged" else over_seeds(values)


def _merge_round(lines: tuple[Document, ...]) -> Document:
    """Return the medians of one round over the seeds; `loss` also with its quantiles."""
    merged: Document = {"round": lines[0]["round"]}
    for name in _HISTORY[1:]:
        values = [line[name] for line in lines]
        if all(value is None for value in values):
            merged[name] = None
        else:
            figures = over_seeds(values)
            merged[name] = figures["median"]
            if name == "loss":
                merged |= {"loss_p10": figures["p10"], "loss_p90": figures["p90"]}
    return merged


def headline(figures: Figures) -> Document:
    """Return how much faster and how much less energy the proposal is, seed by seed.

    ``x % = 100 (1 - movable / baseline)`` at equal target.  A baseline that never reaches the
    target counts with what it had spent when it stopped: the percentage is then a lower bound
    and the baseline is listed under `lower_bounds`.  Null when the proposal never reaches it.
    """
    proposal = figures.get(PROPOSAL, {})
    faster: Document = {}
    less: Document = {}
    bounds = []
    for name, cells in figures.items():
        if name in (PROPOSAL, REFERENCE):
            continue
        pairs = [(proposal[seed], cells[seed]) for seed in cells if seed in proposal]
        if not pairs:
            continue
        times = [_saving(p, b, "time_to_target_s", "latency_s") for p, b in pairs]
        joules = [_saving(p, b, "energy_to_target_j", "energy_j") for p, b in pairs]
        faster[name] = over_seeds(times, missing=-math.inf)
        less[name] = over_seeds(joules, missing=-math.inf)
        if any(baseline["time_to_target_s"] is None for _, baseline in pairs):
            bounds.append(name)
    return {"faster_pct": faster, "less_energy_pct": less, "lower_bounds": bounds}


def _saving(proposal: Document, baseline: Document, figure: str, spent: str) -> float | None:
    mine, theirs = proposal[figure], baseline[figure]
    if mine is None:
        return None
    if theirs is None:
        theirs = Components(**baseline[spent]).total
    return 100.0 * (1.0 - float(mine) / float(theirs))
