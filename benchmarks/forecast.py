"""Predicted over measured rounds to the target: docs/forecast.md.

    python benchmarks/forecast.py                what has no result yet, cell by cell
    python benchmarks/forecast.py --limit 600    begin no cell after so many s of the processor
    python benchmarks/forecast.py --write-docs   only the tables of docs/forecast.md

Two parts.

*Study*: the loss curves in benchmarks/results/study, no new run.  Of each seed the first eight
rounds of `ideal` are the pilot; the target is 90 % of what `ideal` gained by its last round.  chi
of noise is fitted on the schemes with noise of paper-v1, seeds 0 and 1 (:data:`FIT`); all other
runs of the shared plans are tests of it.  They are none of the prior of the learning curve and of
the constant of signs, which were set after a look at the error-free runs and those of `obda` in
paper-v1 and cell-edge.  The MSE of a prediction is the mean of those measured in the
run: the error of the prediction of the air is not in these figures.

*Seeds*, split before any of them was run: new runs of the quickstart with a fixed target, planned
for least time by the pilot's own gamma, as `airtune compare` would.  The first nine seeds give the
scores of a limit for 90 % of new seeds, the others test it.  Each goes to
benchmarks/results/forecast.json as soon as it is done.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402

import manual  # noqa: E402
import resumable  # noqa: E402
from airtune.bound import fit_learning_curve  # noqa: E402
from airtune.bound.conformal import COVERAGE, fewest_scores, score, upper_limit  # noqa: E402
from airtune.bound.forecast import crossing, rounds_to_target  # noqa: E402
from airtune.bound.forecast_constants import SIGNS, fit_chi  # noqa: E402
from airtune.schemes.air.coding import CHI as CODED  # noqa: E402

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "forecast.json"
STUDY = ROOT / "benchmarks" / "results" / "study"
PAGE = ROOT / "docs" / "forecast.md"

STUDIES = ("paper-v1", "cell-edge", "paper-v2", "paper-v2-smollm2", "regimes")
PILOT, SHARE, MOST = 8, 0.9, 200
FIT = ("paper-v1", (0, 1))
"""Study and seeds on which chi of noise is fitted."""

NOISY = ("movable", "fixed", "fixed-2n", "sparse", "selection-compact", "random-position", "ris")
"""Schemes with noise and forcing, of which chi is fitted; others have constants of their own."""

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


def study_runs(name: str) -> dict[tuple[str, int], dict[str, Any]]:
    """Return the runs of a study's shared plans at the base step, by point, seed and scheme."""
    found: dict[tuple[str, int], dict[str, Any]] = defaultdict(dict)
    for line in (STUDY / f"{name}.jsonl").read_text().splitlines():
        run = json.loads(line)
        if "scheme" in run and "history" in run and "own" not in run["point"]:
            found[run["point"], run["seed"]][run["scheme"]] = run
    return found


def rows_of(name: str) -> Iterator[dict[str, Any]]:
    """Yield measured and predicted figures of each run of a study."""
    for (point, seed), runs in study_runs(name).items():
        ideal = runs.get("ideal")
        if ideal is None or any(loss is None for loss in ideal["history"]["loss"]):
            continue
        losses = np.array(ideal["history"]["loss"], float)
        if losses[-1] > 0.6 * losses[0]:  # eta is too small for the rounds: no target to speak of
            continue
        target = float(losses[0] - SHARE * (losses[0] - losses[-1]))
        curve = fit_learning_curve(losses[: PILOT + 1]).losses(MOST)
        for scheme, run in runs.items():
            own = np.array([np.nan if x is None else x for x in run["history"]["loss"]], float)
            errors = [x for x in run["history"].get("mse", []) if x is not None]
            yield {
                "study": name,
                "point": point,
                "seed": seed,
                "scheme": scheme,
                "measured": crossing(own, target),
                "ideal": crossing(losses, target),
                "curve": curve,
                "target": target,
                "mse": float(np.mean(errors)) if errors else 0.0,
            }


def fitted_chi(rows: list[dict[str, Any]]) -> float:
    """Return chi of noise, fitted on the seeds that are kept for it."""
    known = [r for r in rows if r["study"] == FIT[0] and r["seed"] in FIT[1]]
    known = [r for r in known if r["scheme"] in NOISY]
    return fit_chi([r["mse"] for r in known], [r["measured"] / r["ideal"] for r in known])


def predicted(row: dict[str, Any], chi: float) -> float:
    """Return the rounds that are predicted of a run; infinite: never."""
    needed = crossing(row["curve"], row["target"])
    if row["scheme"] == "ideal":
        return needed
    if row["scheme"] == "obda":
        return needed * SIGNS
    if row["scheme"] == "digital":
        constant = CODED["lloyd-max", False]
        return rounds_to_target(row["curve"], row["target"], row["mse"], constant)
    return rounds_to_target(row["curve"], row["target"], row["mse"], chi)


def study() -> dict[str, Any]:
    """Return the figures of all groups: a study, a scheme."""
    rows = [row for name in STUDIES for row in rows_of(name)]
    chi, groups = fitted_chi(rows), defaultdict(list)
    for row in rows:
        if row["study"] == FIT[0] and row["seed"] in FIT[1]:
            continue
        pair = row["measured"], predicted(row, chi)
        of_schemes = row["measured"] / row["ideal"], pair[1] / crossing(row["curve"], row["target"])
        for group in ((row["study"], row["scheme"]), (row["study"], "all"), ("all", "all")):
            groups[group].append((*pair, *of_schemes))
    return {
        "chi": chi,
        "groups": {", ".join(group): figures(pairs) for group, pairs in groups.items()},
    }


def figures(pairs: list[tuple[float, ...]]) -> dict[str, float]:
    """Return quantiles of predicted over measured rounds, and how often one of both is never."""
    values = np.array(pairs)
    both = np.isfinite(values[:, 0]) & np.isfinite(values[:, 1])
    ratio = values[both, 1] / values[both, 0]
    pace = values[both, 3] / values[both, 2]
    low, middle, high = np.quantile(ratio, [0.1, 0.5, 0.9]) if both.any() else [math.nan] * 3
    p_low, p_middle, p_high = np.quantile(pace, [0.1, 0.5, 0.9]) if both.any() else [math.nan] * 3
    return {
        "runs": len(values),
        "median": float(middle),
        "p10": float(low),
        "p90": float(high),
        "pace_median": float(p_middle),
        "pace_p10": float(p_low),
        "pace_p90": float(p_high),
        "measured_never": int(np.sum(~np.isfinite(values[:, 0]))),
        "predicted_never": int(np.sum(~np.isfinite(values[:, 1]))),
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
        "batch_noise": pilot.batch_noise,
        "planning_wall_s": planning,
        "cpu_s": time.process_time() - began,
    }


def limits(cells: dict[str, Any]) -> dict[str, Any]:
    """Return the limit from the calibration seeds, and how often it holds for the test seeds."""

    def one(seed: int) -> float:
        cell = cells[str(seed)]
        measured = math.inf if cell["measured_rounds"] is None else cell["measured_rounds"]
        forecast = math.inf if cell["predicted_rounds"] is None else cell["predicted_rounds"]
        return score([measured], [forecast])

    scores = {seed: one(seed) for seed in (*CALIBRATION, *TEST) if str(seed) in cells}
    limit = upper_limit([scores[s] for s in CALIBRATION if s in scores], COVERAGE)
    tested = [scores[s] for s in TEST if s in scores]
    return {
        "calibration_seeds": sum(s in scores for s in CALIBRATION),
        "test_seeds": len(tested),
        "factor": math.exp(limit) if math.isfinite(limit) else None,
        "held": float(np.mean([s <= limit for s in tested])) if tested else None,
    }


def write_docs(document: dict[str, Any]) -> None:
    """Write the tables of docs/forecast.md."""
    groups = document["study"]["groups"]

    def cells(name: str, one: dict[str, float]) -> list[str]:
        spread = f"{one['median']:.2f} ({one['p10']:.2f} to {one['p90']:.2f})"
        pace = f"{one['pace_median']:.2f} ({one['pace_p10']:.2f} to {one['pace_p90']:.2f})"
        off = "" if 0.95 <= one["median"] <= 1.05 else "off"
        never = f"{one['measured_never']} / {one['predicted_never']}"
        return [name, str(one["runs"]), spread, pace, never, off]

    order = sorted(groups, key=lambda name: (name.split(", ")[0] == "all", name))
    table = manual.table(
        ["group", "runs", "rounds", "slow-down alone", "never: measured / predicted", ""],
        [cells(name, groups[name]) for name in order],
    )
    chi = f"chi of noise, fitted on {FIT[0]}, seeds 0 and 1: {document['study']['chi']:.2f}."
    manual.put(PAGE, "study of forecasts", "\n".join([chi, "", *table]))
    found, seeds = limits(document["cells"]), document["cells"]
    rows = [
        [
            seed,
            "limit" if int(seed) in CALIBRATION else "test",
            *(_pair(cell, name) for name in ("rounds", "time_s", "energy_j", "mse")),
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
    said += "."
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
    document["study"] = study()
    resumable.write(RESULT, document)
    write_docs(document)


if __name__ == "__main__":
    main()
