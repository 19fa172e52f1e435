"""What a plan saves: planned against unplanned at equal loss, on the small LLaMA.

Writes benchmarks/results/plan_study.json and a table of docs/planning.md.  Unplanned: all clients
at their highest clock, batches of equal size, full power, the scenario's rounds.  Planned:

- least energy: as many rounds in the time that the unplanned run takes;
- least time: as many rounds in the least time in which the bound is no worse, with no more energy.
  At given rounds the constants of the bound, which are hard to know, hardly matter;
- least time, rounds free: the plan chooses the rounds as well, by the constants that the scenario
  states.  What it would choose by calibrated constants is planned, not run.

A run that is in the file is not repeated.  Run from the repository with the package installed:

    python benchmarks/plan_study.py [a.b=c ...]
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import manual
from airtune import record
from airtune.costs import Components
from airtune.errors import InputError
from airtune.planning import JointPlan, Repetition, plan_run
from airtune.planning.resources import try_plan
from airtune.scenario import Bound, Scenario
from airtune.scenario import file as scenario_file
from runs import repetition_on, run_on

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "plan_study.json"
MANUAL = ROOT / "docs" / "planning.md"
SCHEME = "movable"
BATCH = 12
PLANNED = ("least energy", "least time", "least time, rounds free")
SETTINGS = [
    "plan=own",
    "training.rounds=10",
    "budget.latency_s=null",
    "evaluation.records=100",
    "client_processor.f_max_hz=[8e8,1e9,1.2e9,1.4e9,1.6e9,1.8e9,2e9,2e9,2e9,2e9]",
]


def unplanned(repetition: Repetition) -> JointPlan:
    """All clients at their highest clock, uniform batches, no back-off; booked like a plan."""
    joint = plan_run(repetition, SCHEME)
    clients, costs = repetition.inputs.clients, joint.expected.costs
    batch = np.minimum(BATCH, clients.batch_max)
    work, rounds = clients.cycles * batch, joint.plan.rounds
    computing = clients.kappa * clients.f_max**2 * work
    latency = replace(joint.plan.latency_s, compute=rounds * float(np.max(work / clients.f_max)))
    energy = replace(
        joint.plan.energy_j,
        compute=rounds * float(computing.sum()),
        uplink=rounds * float(costs.uplink_j.sum()),
    )
    plan = replace(
        joint.plan,
        batch_sizes=batch.astype(int),
        frequencies=clients.f_max,
        power_backoff=1.0,
        latency_s=latency,
        energy_j=energy,
    )
    return replace(joint, plan=plan)


def unplanned_bound(repetition: Repetition, joint: JointPlan) -> float:
    """Bound of the unplanned run: that of a plan with its batches as the largest and no budget."""
    clients = replace(repetition.inputs.clients, batch_max=joint.plan.batch_sizes.astype(float))
    expected = joint.expected
    plan = try_plan(
        replace(repetition.inputs, clients=clients),
        expected.mse_star,
        expected.costs,
        expected.participants,
    )
    assert plan is not None
    return plan.bound.total


def scenario_with(changes: list[str], extra: list[str]) -> Scenario:
    """The quickstart with the settings of the study and further ones."""
    return scenario_file.load("quickstart", [*SETTINGS, *changes, *extra])


FREE = ["planning.rounds=planned", "training.rounds=60", "planning.alternate=true"]
CALIBRATED = [f"bound.{name}=calibrate" for name in Bound.model_fields]


def least_time(changes: list[str], learner: Any, energy: float, bound: float, top: float) -> Any:
    """Scenario and plan of the shortest run within an energy whose bound is no worse."""
    low, high, best = 0.0, top, None
    for _ in range(14):
        middle = 0.5 * (low + high)
        extra = [f"budget.latency_s={middle}", f"budget.energy_j={energy}"]
        scenario = scenario_with(changes, extra)
        try:
            joint = plan_run(repetition_on(learner, scenario, scenario.seed), SCHEME)
        except InputError:
            joint = None
        if joint is not None and joint.plan.bound.total <= bound:
            high, best = middle, (scenario, joint)
        else:
            low = middle
    if best is None:
        raise SystemExit("no plan is as good as the unplanned run within its time and energy")
    return best


def execute(scenario: Scenario, learner: Any, joint: JointPlan) -> dict[str, Any]:
    """Run all rounds; loss and cumulative latency and energy after each."""
    run = run_on(learner.under(scenario), scenario, SCHEME, scenario.seed, joint)
    history = []
    while run.state.round < run.current.last_round:
        line = run.run_round()
        history.append(
            {
                "loss": line["loss"],
                "latency_s": run.state.latency_s.to_dict(),
                "energy_j": run.state.energy_j.to_dict(),
            }
        )
        print(run.state.round, line["loss"], flush=True)
    return {"plan": joint.to_dict(), "history": history}


def main() -> None:
    """Run what is missing, compare and write."""
    from airtune.learning.learner import prepare

    changes = sys.argv[1:]
    content = json.loads(RESULT.read_text()) if RESULT.exists() else {"runs": {}}
    runs = content["runs"]
    if set(runs) != {"unplanned", *PLANNED} or "calibrated" not in content:
        base = scenario_with(changes, [])
        learner = prepare(base, base.seed)
        repetition = repetition_on(learner, base, base.seed)
        plain = unplanned(repetition)
        time, energy = plain.plan.latency_s.total, plain.plan.energy_j.total
        bound = unplanned_bound(repetition, plain)
        thrifty = scenario_with(
            changes, [f"budget.latency_s={time}", f"training.batch_size_max={BATCH}"]
        )
        limits = (learner, energy, bound, time)
        cases: dict[str, Any] = {
            "unplanned": (base, plain),
            "least energy": (thrifty, plan_run(repetition_on(learner, thrifty, base.seed), SCHEME)),
            "least time": least_time(changes, *limits),
            "least time, rounds free": least_time([*changes, *FREE], *limits),
        }
        content |= {"settings": SETTINGS, "bound": bound}
        for name, (scenario, joint) in cases.items():
            if name not in runs:
                print(name, joint.plan.rounds, joint.plan.batch_sizes, flush=True)
                runs[name] = execute(scenario, learner, joint)
                _write(content)
        content["calibrated"] = by_calibrated_constants(changes, learner, energy, time)
    content["comparison"] = compare(runs)
    _write(content)
    write_table(content["comparison"])


def by_calibrated_constants(
    changes: list[str], learner: Any, energy: float, top: float
) -> dict[str, Any]:
    """Plan of the least time with free rounds, had the constants been calibrated."""
    changes = [*changes, *CALIBRATED]
    base = scenario_with(changes, [])
    repetition = repetition_on(learner, base, base.seed)
    plain = unplanned(repetition)
    bound = unplanned_bound(repetition, plain)
    _, joint = least_time([*changes, *FREE], learner, energy, bound, top)
    return {"unplanned_bound": bound, "plan": joint.to_dict()}


def _write(content: dict[str, Any]) -> None:
    content["environment"] = record.environment(scenario_with([], []))
    record.write_json(RESULT, content)


def compare(runs: dict[str, Any]) -> dict[str, Any]:
    """Compare each planned run with the unplanned one, at the least loss that both reach.

    Latency and energy until then, by component, and what is saved.
    """
    comparison = {}
    for name in PLANNED:
        pair = {"unplanned": runs["unplanned"], "planned": runs[name]}
        target = max(min(line["loss"] for line in run["history"]) for run in pair.values())
        reached = {}
        for which, run in pair.items():
            at = next(i for i, line in enumerate(run["history"]) if line["loss"] <= target)
            line = run["history"][at]
            reached[which] = {"rounds": at + 1, **{k: line[k] for k in ("latency_s", "energy_j")}}
        saved = {
            key: {
                part: reached["unplanned"][key][part] - reached["planned"][key][part]
                for part in reached["planned"][key]
            }
            for key in ("latency_s", "energy_j")
        }
        comparison[name] = {"target_loss": target, "to_target": reached, "saved": saved}
    return comparison


def write_table(comparison: dict[str, Any]) -> None:
    """Put the table between its marks in the manual."""
    parts = ["compute", "uplink", "downlink", "pilots", "movement"]
    rows = []
    for name, case in comparison.items():
        for which, run in case["to_target"].items():
            label = f"{name}, {case['target_loss']:.2f} nat: {which}"
            for key, unit in (("latency_s", "s"), ("energy_j", "J")):
                costs = Components(**run[key])
                cells = [f"{getattr(costs, part):.3g} {unit}" for part in parts]
                first = [label, str(run["rounds"])] if unit == "s" else ["", ""]
                rows.append([*first, *cells, f"{costs.total:.3g} {unit}"])
    head = ["plan, and the loss that both reach", "rounds", *parts, "total"]
    manual.put(MANUAL, "study", "\n".join(manual.table(head, rows, None)))


if __name__ == "__main__":
    main()
