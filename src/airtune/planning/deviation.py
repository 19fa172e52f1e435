"""Accounts of a run against its plan, component by component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

ROUNDING = 1e-9


def against_plan(
    plan: Mapping[str, Any], booked: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Compare what a run has booked with the plan that it began with.

    The plan counts P_k rho for every client that uploads, the air takes the |b_k|^2 that alignment
    needs; the rest of the difference is chance: paths, movements and rates of later rounds.

    Parameters
    ----------
    plan : mapping
        Content of plan.json.
    booked : mapping
        With `latency_s` and `energy_j` by component.
    lines : sequence of mapping
        Metrics of the rounds.

    Returns
    -------
    dict
        `rounds`, `bound`, `replanned` (times that the rest was planned anew), `latency_s` and
        `energy_j` as planned, and ``booked_less_planned`` with the differences of both.
    """
    planned = {name: _components(plan[name]) for name in ("latency_s", "energy_j")}
    return {
        "rounds": plan["rounds"]["finetuning"],
        "bound": plan["bound"]["total"],
        "replanned": sum(line.get("replanned", {}).get("accepted", False) for line in lines),
        **planned,
        "booked_less_planned": {
            name: {part: _difference(booked[name][part], x) for part, x in parts.items()}
            for name, parts in planned.items()
        },
    }


def _components(costs: Mapping[str, Any]) -> dict[str, float]:
    return {name: x for name, x in costs.items() if name not in ("total", "per_client")}


def _difference(booked: float, planned: float) -> float:
    """Return booked less planned, 0 where only rounding tells them apart."""
    difference = booked - planned
    return difference if abs(difference) > ROUNDING * abs(planned) else 0.0
