"""Own plans against their budgets, kept or not: benchmarks/results/own_budgets.json.

    python benchmarks/own_budgets.py                # missing cells, then the table of the manual
    python benchmarks/own_budgets.py --seconds 900  # no new cell after so many seconds
    python benchmarks/own_budgets.py --seeds 1 --rounds 3 --out FILE.json     # something small
    python benchmarks/own_budgets.py --table          # the table only

The scenario paper-v1 as shipped, but every scheme plans for itself (`plan=own`,
`planning.rounds=planned`), validated with 100 records every fifth round, one thread.  Each cell is
one scheme and one seed, with `planning.keep_budgets` or without; it is written as soon as it is
there, and several processes may share them.

The rule of the budgets, which looks at plans and at no run: time is the scenario's own, 12 s; the
total energy, and that of each client, are 0.8 times the median over the schemes of what their own
plans for that time alone count, of the client that spends most, on a seed of which no cell is.  So
energy binds in the plans of most schemes.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402

import manual  # noqa: E402
from airtune import load_scenario  # noqa: E402
from airtune.engines import LocalEngine  # noqa: E402
from airtune.learning.shared import SharedLearners  # noqa: E402
from airtune.planning import Repetition, plan_run  # noqa: E402
from airtune.rounds.federated import FederatedRun  # noqa: E402
from airtune.scenario import Scenario  # noqa: E402
from campaigns import Campaign, Document, Task  # noqa: E402

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "own_budgets.json"
PAGE = ROOT / "docs" / "planning.md"

SCHEMES = ("digital", "sparse", "fixed", "movable", "fixed-2n", "ideal")
SEEDS = 3
BUDGET_SEED = 1000
SETTINGS = (
    "plan=own",
    "planning.rounds=planned",
    "evaluation.records=100",
    "evaluation.every=5",
    "threads=1",
)
SHARE = 0.8
ALLOWED = 1.05
"""Spent over budget above which a run is said to be over it."""

KINDS = ("latency_s", "energy_j", "client_energy_j")
BUDGETS = "budgets"
"""Name of the cell that has them."""


def scenario_of(*more: str) -> Scenario:
    """Return the scenario with settings besides."""
    return load_scenario("paper-v1", [*SETTINGS, *more])


def cell_name(scheme: str, seed: int, *, keep: bool) -> str:
    """Return the name of a cell.

    >>> cell_name("fixed", 2, keep=True)
    'fixed, kept, 2'
    """
    return f"{scheme}, {'kept' if keep else 'not kept'}, {seed}"


def find_budgets(*more: str) -> Document:
    """Return the budgets by the rule, and what each plan counts."""
    scenario = scenario_of(*more, "planning.keep_budgets=false")
    repetition = Repetition.open(scenario, BUDGET_SEED)
    plans: Document = {}
    for scheme in SCHEMES:
        plan = plan_run(repetition, scheme).plan
        plans[scheme] = {
            "energy_j": plan.energy_j.total,
            "client_energy_j": float(plan.client_energy_j.max()),
        }
    return {"plans": plans, **chosen(plans), "latency_s": scenario.budget.latency_s}


def chosen(plans: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return the budgets of energy for what plans count.

    >>> plans = {n: {"energy_j": 10.0 * n, "client_energy_j": n} for n in (1.0, 2.0, 5.0)}
    >>> chosen(plans)
    {'energy_j': 16.0, 'client_energy_j': 1.6}
    """
    return {
        kind: SHARE * float(np.median([plan[kind] for plan in plans.values()]))
        for kind in ("energy_j", "client_energy_j")
    }


def run(
    learners: SharedLearners, scheme: str, seed: int, budgets: Document, keep: bool, *more: str
) -> Document:
    """Run a cell and return what it planned and spent."""
    given = [f"budget.{kind}={budgets[kind]!r}" for kind in KINDS]
    scenario = scenario_of(*given, f"planning.keep_budgets={str(keep).lower()}", *more)
    with closing(LocalEngine(learners)) as engine:
        sizes = engine.start(scenario, seed)
        repetition = Repetition.open(scenario, seed, sizes=sizes)
        one = FederatedRun(repetition, scheme, engine)
        planned, lines = one.plan.rounds, [one.first_metrics()]
        while one.state.round < one.current.last_round:
            lines.append(one.run_round())
    state = one.state
    return {
        "planned_rounds": planned,
        "rounds": state.round,
        "cut_by": one.current.cut_by,
        "ended": one.current.ended is not None,
        "replanned": [
            {"round": line["round"], **line["replanned"]} for line in lines if "replanned" in line
        ],
        "latency_s": state.latency_s.total,
        "energy_j": state.energy_j.total,
        "client_energy_j": float(state.client_energy_j.max()),
        "losses": {str(x["round"]): x["loss"] for x in lines if x.get("loss") is not None},
    }


def shares(cell: Document, budgets: Document) -> dict[str, float]:
    """Return what a run has spent over its budgets.

    >>> cell = {"latency_s": 6.0, "energy_j": 1.0, "client_energy_j": 0.2}
    >>> shares(cell, {"latency_s": 12.0, "energy_j": 4.0, "client_energy_j": 0.1})
    {'latency_s': 0.5, 'energy_j': 0.25, 'client_energy_j': 2.0}
    """
    return {kind: cell[kind] / budgets[kind] for kind in KINDS}


def tasks(seeds: int, schemes: Sequence[str], *more: str) -> Iterator[Task]:
    """Yield the cells, seed by seed."""
    learners = SharedLearners(most=1)
    yield Task(BUDGETS, lambda _: find_budgets(*more))
    for seed in range(1, seeds + 1):
        for scheme in schemes:
            for keep in (False, True):

                def work(
                    document: Document, s: str = scheme, i: int = seed, k: bool = keep
                ) -> Document:
                    return run(learners, s, i, document["cells"][BUDGETS], k, *more)

                yield Task(cell_name(scheme, seed, keep=keep), work, BUDGETS)


def paired(document: Document) -> dict[str, list[tuple[Document, Document]]]:
    """Return the cells, without and with the setting, of each scheme where both are there."""
    cells, found = document["cells"], {}
    for scheme in SCHEMES:
        seeds = range(1, SEEDS + 1)
        names = [[cell_name(scheme, seed, keep=keep) for keep in (False, True)] for seed in seeds]
        pairs = [(cells[a], cells[b]) for a, b in names if a in cells and b in cells]
        if pairs:
            found[scheme] = pairs
    return found


def over(cell: Document, budgets: Document) -> bool:
    """Whether a run is over a budget by more than what is allowed."""
    return max(shares(cell, budgets).values()) > ALLOWED


def table(document: Document) -> list[str]:
    """Return the lines of the table in the manual."""
    budgets, rows = document["cells"][BUDGETS], []
    pairs = paired(document)
    groups = {**pairs, "all": [pair for each in pairs.values() for pair in each]}
    for name, group in groups.items():
        row = [name]
        for which in (0, 1):
            runs = [pair[which] for pair in group]
            for kind in KINDS:
                spent = [shares(cell, budgets)[kind] for cell in runs]
                row.append(f"{np.median(spent):.2f} ({max(spent):.2f})")
            row.append(f"{sum(over(cell, budgets) for cell in runs)} of {len(runs)}")
            row.append(f"{np.median([cell['rounds'] for cell in runs]):.0f}")
            row.append(f"{np.median([last_loss(cell) for cell in runs]):.3f}")
        rows.append(row)
    head = ["time", "energy", "client", "over by more than 5 %", "rounds", "loss"]
    kept = [f"kept: {word}" for word in head]
    return manual.table(["scheme", *head, *kept], rows)


def last_loss(cell: Document) -> float:
    """Return the loss after the last round.

    >>> last_loss({"losses": {"0": 3.0, "10": 1.5, "5": 2.0}})
    1.5
    """
    return float(cell["losses"][max(cell["losses"], key=int)])


def main() -> None:
    """Measure what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--schemes", default=",".join(SCHEMES), help="cells of these only")
    parser.add_argument("--rounds", type=int, help="most rounds; the scenario's by default")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--cache", help="folder of pre-trained models")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--table", action="store_true")
    given: Any = parser.parse_args()
    more = [] if given.rounds is None else [f"training.rounds={given.rounds}"]
    facts = {"settings": [*SETTINGS, *more], "share": SHARE, "budget_seed": BUDGET_SEED}
    more += [] if given.cache is None else [f"cache={given.cache}"]
    if not given.table:
        until = None if given.seconds is None else time.time() + given.seconds
        Campaign(given.out, facts).run(tasks(given.seeds, given.schemes.split(","), *more), until)
    if given.out == RESULT:
        document = json.loads(RESULT.read_text(encoding="utf-8"))
        manual.put(PAGE, "own budgets", "\n".join(table(document)))


if __name__ == "__main__":
    main()
