"""Why a cell ended before the rounds that were asked for."""

from __future__ import annotations

from airtune.record.documents import FinishedDocument, PlanDocument
from airtune.scenario import Scenario

PLAN = "plan"
"""No budget was in the way: the plan took fewer rounds for better."""

_ROUNDING = 1e-9


def stopped_by(
    totals: FinishedDocument, plan: PlanDocument | None, scenario: Scenario
) -> str | None:
    """Return which budget left no room for one more round.

    Plans count the power limit for every upload and the runs less, so what was planned counts where
    it is more than what was booked.

    Parameters
    ----------
    totals : FinishedDocument
    plan : PlanDocument or None
        The plan that the cell began with.
    scenario : Scenario
        The settings that it ran with.

    Returns
    -------
    str or None
        ``latency_s``, ``client_energy_j`` or ``energy_j``, as in the section `budget`; the one that
        is fullest if there are several.  ``plan`` where none was in the way, None where all rounds
        were run.
    """
    if totals.stopped_by is not None:
        return totals.stopped_by
    if totals.rounds >= scenario.training.rounds:
        return None
    fullest: dict[str, float] = {}
    for name, budget, used, begun in _accounts(totals, plan, scenario):
        each = (used - begun) / max(totals.rounds, 1)
        if used + each > budget * (1 + _ROUNDING):
            fullest[name] = max(fullest.get(name, 0.0), used / budget)
    return max(fullest, key=lambda name: fullest[name]) if fullest else PLAN


def _accounts(
    totals: FinishedDocument, plan: PlanDocument | None, scenario: Scenario
) -> list[tuple[str, float, float, float]]:
    """Return each budget with its limit, what was used, and what was used before the rounds."""
    found, budget = [], scenario.budget
    for name, limit in (("latency_s", budget.latency_s), ("energy_j", budget.energy_j)):
        if limit is not None:
            booked, planned = getattr(totals, name), getattr(plan, name, None) or {}
            used = max(sum(booked.values()), float(planned.get("total", 0.0)))
            found.append((name, limit, used, float(booked.get("pretraining", 0.0))))
    spent = totals.client_energy_j
    planned_each = list(plan.energy_j.get("per_client") or ()) if plan else []
    for client, limit in enumerate(budget.of_clients(len(spent))):
        if limit is not None:
            used = spent[client]
            if len(planned_each) == len(spent):
                used = max(used, planned_each[client])
            found.append(("client_energy_j", limit, float(used), 0.0))
    return found
