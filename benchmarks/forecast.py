"""Predicted over measured rounds to the target: docs/forecast.md.

    python benchmarks/forecast.py                what has no result yet, cell by cell
    python benchmarks/forecast.py --limit 600    begin no cell after so many s of the processor
    python benchmarks/forecast.py --write-docs   only the table of docs/forecast.md

Seeds that were split before any of them was run: new runs of the quickstart with a fixed target,
planned for least time by the pilot's own gamma, as `airtune compare` would.  The first nine seeds
give the scores of a limit for 90 % of new seeds, the others test it.  Each goes to
benchmarks/results/forecast.json as soon as it is done.

A cell keeps the constant it was planned with (:data:`PLANNED_WITH` where it names none).  What is
shown is the forecast of the same plan with the constant of today: the law has chi in one factor.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402

import manual  # noqa: E402
import resumable  # noqa: E402
from airtune.bound.conformal import COVERAGE, fewest_scores, score, upper_limit  # noqa: E402
from airtune.bound.forecast import crossing, slowdown  # noqa: E402
from airtune.bound.forecast_constants import chi_of  # noqa: E402

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "forecast.json"
PAGE = ROOT / "docs" / "forecast.md"

PILOT = 8

PLANNED_WITH = 5.7 / 8.7
"""chi over gamma of the first cells."""

CALIBRATION, TEST = tuple(range(101, 110)), tuple(range(111, 123))
SEEDS = {
    "scenario": "quickstart",
    "settings": [
        "plan=own",
        "planning.objective=time",
        "planning.rounds=planned",
        "planning.target_loss=1.1",
        "planning.rounds_margin=2.5",
        "training.rounds=60",
        "budget.latency_s=null",
    ],
    "scheme": "movable",
    "calibration": list(CALIBRATION),
    "test": list(TEST),
}


def seed_cell(seed: int) -> dict[str, Any]:
    """Plan a run of the quickstart by its pilot, run it to the target, and compare."""
    from airtune import load_scenario
    from airtune.engines import LocalEngine
    from airtune.learning.shared import SharedLearners
    from airtune.learning.sizes import sizes_of
    from airtune.planning.plans import plan_run
    from airtune.planning.repetition import Repetition
    from airtune.rounds.federated import FederatedRun
    from airtune.study.pilot import find_pilot

    began, learners = time.process_time(), SharedLearners()
    scenario = load_scenario(str(SEEDS["scenario"]), [*SEEDS["settings"], "threads=1"])
    pilot = find_pilot(scenario, seed, learners)
    learner = learners(scenario, seed)
    repetition = Repetition(scenario, seed, sizes_of(learner), pilot=pilot)
    planning = time.perf_counter()
    joint = plan_run(repetition, str(SEEDS["scheme"]))
    planning = time.perf_counter() - planning
    forecast = joint.plan.forecast
    assert forecast is not None and pilot is not None
    run = FederatedRun(repetition, str(SEEDS["scheme"]), LocalEngine.over(learner), joint)
    lines = [run.first_metrics()]
    while run.state.round < joint.plan.rounds and lines[-1]["loss"] > forecast.target:
        lines.append(run.run_round())
    rounds = crossing([line["loss"] for line in lines], forecast.target)
    at = np.arange(len(lines))
    spent = {
        name: float(np.interp(rounds, at, [line[name] for line in lines]))
        for name in ("time_s", "energy_j")
    }
    arrived = math.isfinite(rounds)
    errors = [line["mse"] for line in lines[1:]]
    return {
        "predicted_rounds": forecast.rounds,
        "measured_rounds": rounds if arrived else None,
        "predicted_time_s": forecast.time_s,
        "measured_time_s": spent["time_s"] if arrived else None,
        "predicted_energy_j": forecast.energy_j,
        "measured_energy_j": spent["energy_j"] if arrived else None,
        "predicted_mse": forecast.mse,
        "measured_mse": float(np.mean(errors)),
        "planned_rounds": joint.plan.rounds,
        "gamma": pilot.gamma,
        "chi": forecast.chi,
        "batch_noise": pilot.batch_noise,
        "planning_wall_s": planning,
        "cpu_s": time.process_time() - began,
    }


def predicted_now(cell: dict[str, Any]) -> dict[str, Any]:
    """Return a cell with the forecast of its plan with the constant of today.

    Time and energy go with the rounds; what comes once, before the first, is small.
    """
    before = cell.get("chi") or PLANNED_WITH * cell["gamma"]
    mse = cell["predicted_mse"]
    factor = float(slowdown(mse, chi_of(cell["gamma"])) / slowdown(mse, before))
    kinds = ("predicted_rounds", "predicted_time_s", "predicted_energy_j")
    return cell | {name: None if cell[name] is None else cell[name] * factor for name in kinds}


def scores(cells: dict[str, Any], seeds: Iterable[int]) -> list[float]:
    """Return the scores of seeds that have been run."""
    found = []
    for seed in seeds:
        if str(seed) in cells:
            cell = predicted_now(cells[str(seed)])
            both = (cell["measured_rounds"], cell["predicted_rounds"])
            found.append(score(*([math.inf if x is None else x] for x in both)))
    return found


def limits(cells: dict[str, Any]) -> dict[str, Any]:
    """Return the limit from the calibration seeds, and how often it holds for the test seeds."""

    given, tested = scores(cells, CALIBRATION), scores(cells, TEST)
    limit = upper_limit(given, COVERAGE)
    ratios = [math.exp(-x) for x in (*given, *tested)]
    return {
        "calibration_seeds": len(given),
        "test_seeds": len(tested),
        "factor": math.exp(limit) if math.isfinite(limit) else None,
        "held": float(np.mean([s <= limit for s in tested])) if tested else None,
        "median": float(np.median(ratios)) if ratios else None,
    }


def write_docs(document: dict[str, Any]) -> None:
    """Write the table of docs/forecast.md."""
    found, seeds = limits(document["cells"]), document["cells"]
    rows = [
        [
            seed,
            "limit" if int(seed) in CALIBRATION else "test",
            *(_pair(predicted_now(cell), name) for name in ("rounds", "time_s", "energy_j", "mse")),
        ]
        for seed, cell in sorted(seeds.items(), key=lambda item: int(item[0]))
    ]
    factor = "none" if found["factor"] is None else f"{found['factor']:.2f} times the forecast"
    said = (
        f"Limit for {COVERAGE:.0%} of new seeds from {found['calibration_seeds']} seeds: {factor}"
    )
    if found["factor"] is None:
        said += f" (it takes {fewest_scores(COVERAGE)})"
    if found["held"] is not None:
        said += f"; it holds for {found['held']:.0%} of {found['test_seeds']} other seeds"
    said += f". Predicted over measured rounds, all seeds: {found['median']:.2f} in the median."
    columns = ["seed", "for", "rounds", "time [s]", "energy [J]", "MSE"]
    manual.put(PAGE, "seeds of forecasts", "\n".join([said, "", *manual.table(columns, rows, 2)]))


def _pair(cell: dict[str, Any], name: str) -> str:
    both = (cell[f"{kind}_{name}"] for kind in ("predicted", "measured"))
    return " / ".join("never" if x is None else f"{x:.3g}" for x in both)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--limit", type=float, default=math.inf, metavar="S")
    parser.add_argument("--write-docs", action="store_true")
    arguments = parser.parse_args()

    def cells() -> Iterator[resumable.Cell]:
        for seed in (*CALIBRATION, *TEST):
            if time.process_time() < arguments.limit and not arguments.write_docs:
                yield str(seed), lambda seed=seed: seed_cell(seed)

    document = resumable.measure(RESULT, {"seeds": SEEDS, "pilot_rounds": PILOT}, cells())
    document["limits"] = limits(document["cells"])
    resumable.write(RESULT, document)
    write_docs(document)


if __name__ == "__main__":
    main()
