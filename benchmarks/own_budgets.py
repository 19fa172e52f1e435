"""Own plans against their budgets: benchmarks/results/own_budgets.json, docs/planning.md.

    python benchmarks/own_budgets.py

No new run: the cells of paper-v1 in benchmarks/results/study in which every scheme plans for
itself.  What a run has booked in all its rounds is compared with the budget of time and, of the
client that spent most, with its budget of energy.  A plan counts every round like the first, so
what is above is the chance of later rounds: paths, ways and rates.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

import manual
import resumable

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "own_budgets.json"
STUDY = ROOT / "benchmarks" / "results" / "study" / "paper-v1.jsonl"
PAGE = ROOT / "docs" / "planning.md"

POINT = "own-plan"
ALLOWED = 1.05
"""Spent over budget above which a run is said to be over it."""


def shares(run: dict[str, Any], settings: dict[str, Any]) -> dict[str, float]:
    """Return what a run has spent over its budgets.

    >>> run = {"latency_s": {"compute": 2.0, "uplink": 4.0}, "client_energy_j": [0.1, 0.2]}
    >>> shares(run, {"budget.latency_s": 12.0, "budget.client_energy_j": 0.1})
    {'time': 0.5, 'client energy': 2.0}
    """
    return {
        "time": sum(run["latency_s"].values()) / settings["budget.latency_s"],
        "client energy": max(run["client_energy_j"]) / settings["budget.client_energy_j"],
    }


def figures(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Return median and most of what is spent over the budgets, by scheme and of all runs."""
    (settings,) = (x["settings"] for x in lines if x.get("point") == POINT and "settings" in x)
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for run in lines:
        if run.get("point") == POINT and "scheme" in run:
            for name in (run["scheme"], "all"):
                found[name].append(shares(run, settings))
    budgets = {name: settings[f"budget.{name}"] for name in ("latency_s", "client_energy_j")}
    return {"budgets": budgets, "schemes": {name: summary(runs) for name, runs in found.items()}}


def summary(runs: list[dict[str, float]]) -> dict[str, Any]:
    """Return the figures of some runs.

    >>> one = summary([{"time": 0.9, "client energy": 1.06}, {"time": 1.04, "client energy": 0.5}])
    >>> one["runs"], one["over"], one["time"]["most"]
    (2, 1, 1.04)
    """
    over = [any(x > ALLOWED for x in run.values()) for run in runs]
    spent = {
        kind: {
            "median": float(np.median([run[kind] for run in runs])),
            "most": max(run[kind] for run in runs),
        }
        for kind in ("time", "client energy")
    }
    return {"runs": len(runs), "over": sum(over), **spent}


def write_docs(document: dict[str, Any]) -> None:
    """Write the table of docs/planning.md."""
    rows = [
        [
            name,
            *(
                f"{one[kind]['median']:.2f} ({one[kind]['most']:.2f})"
                for kind in ("time", "client energy")
            ),
            f"{one['over']} of {one['runs']}",
        ]
        for name, one in sorted(document["schemes"].items(), key=lambda item: item[0] == "all")
    ]
    head = ["scheme", "time", "client that spent most", "runs over by more than 5 %"]
    manual.put(PAGE, "own budgets", "\n".join(manual.table(head, rows)))


def main() -> None:
    """Evaluate, and write the result and the table."""
    document = figures([json.loads(line) for line in STUDY.read_text().splitlines()])
    resumable.write(RESULT, document)
    write_docs(document)


if __name__ == "__main__":
    main()
