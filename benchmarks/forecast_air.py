"""Predicted against carried out time and energy, of the air alone: docs/forecast.md.

    python benchmarks/forecast_air.py [SEED ...]

Plans of the seeds of benchmarks/forecast.py, made for a pilot that is the same for all and carried
out on the rounds that the channel brings, with progress by the law (as in
benchmarks/movement_choice.py): no model is trained, so what is left is how well drawn rounds
stand for real ones.  A cell is a seed, in benchmarks/results/forecast_air.json as soon as it is
done.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import forecast
import movement_choice
import planning_time
import resumable
from airtune import load_scenario
from airtune.planning import Repetition, plan_run

RESULT = Path(__file__).parents[1] / "benchmarks" / "results" / "forecast_air.json"
SEEDS = (117, 101, 115, 118)


def measured(seed: int) -> dict[str, Any]:
    """Plan a seed, and carry the plan out."""
    scenario = load_scenario(forecast.SEEDS["scenario"], [*forecast.SEEDS["settings"], "threads=1"])
    sizes = Repetition.open(scenario, seed).sizes
    pilot = planning_time.pilot(len(sizes.data_sizes))
    repetition = Repetition(scenario, seed, sizes, pilot=pilot)
    joint = plan_run(repetition, movement_choice.SCHEME)
    told, costs = joint.plan.forecast, joint.expected.costs
    assert told is not None
    return {
        "predicted": {k: getattr(told, k) for k in ("rounds", "time_s", "energy_j", "mse")},
        "carried out": movement_choice.carried_out(repetition, joint),
        "downlink_s": costs.downlink_s,
        "first_downlink_s": costs.first_downlink_s,
    }


def main() -> None:
    """Measure the seeds that have no result yet."""
    seeds = tuple(int(one) for one in sys.argv[1:]) or SEEDS
    cells = ((str(seed), lambda seed=seed: measured(seed)) for seed in seeds)
    resumable.write(RESULT, resumable.measure(RESULT, {"seeds": forecast.SEEDS}, cells))


if __name__ == "__main__":
    main()
