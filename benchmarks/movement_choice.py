"""The movement policy that a plan chooses, against each policy in hindsight: docs/planning.md.

    python benchmarks/movement_choice.py [--seeds N]     what has no result yet, cell by cell
    python benchmarks/movement_choice.py --write-docs    only the table of docs/planning.md

For each policy the plan that `planning.movement: planned` compares is made, and then carried out
on the rounds that the channel really brings: the antennas go where the policy says, and what way,
broadcast and error of each round are is booked in place of the means that the plan has predicted.
Compute, upload, pilots and reports are those of the plan.  Progress is by the law of the predicted
loss (no model is trained), whose own error is in docs/forecast.md: here it is told how well drawn
rounds stand for real ones.  A cell is one scenario, setting and seed, in
benchmarks/results/movement_choice.json as soon as it is done.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402

import manual  # noqa: E402
import planning_time  # noqa: E402
import resumable  # noqa: E402
from airtune import load_scenario  # noqa: E402
from airtune.planning import JointPlan, Repetition, plan_run  # noqa: E402
from airtune.planning.budgets import OneRound, planned_round  # noqa: E402
from airtune.planning.movement_choice import CANDIDATES, moving  # noqa: E402
from airtune.planning.replan import CurrentPlan  # noqa: E402
from airtune.rounds import places  # noqa: E402
from airtune.schemes import Forecast, Link  # noqa: E402

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "movement_choice.json"
PAGE = ROOT / "docs" / "planning.md"

SCHEME, OBJECTIVE, MOST = "movable", "energy-delay", 60
SCENARIOS = ("quickstart", "dense-cell")
VARIANTS = {
    "as it is": [],
    "stepper": ["array.drive=stepper"],
    "fast fading": ["radio.paths.doppler_hz=0.3"],
}
SEEDS = (31, 32, 33)
OWN = ("plan=own", f"planning.objective={OBJECTIVE}", "planning.rounds=planned", "threads=1")


def carried_out(repetition: Repetition, joint: JointPlan) -> dict[str, float | None]:
    """Return rounds, time and energy to the target of a plan on the rounds of the channel."""
    objective, plan, scheme = repetition.inputs.objective, joint.plan, repetition.scheme(SCHEME)
    assert objective is not None
    current, costs = CurrentPlan.first(repetition, joint), joint.expected.costs
    weights, omega = repetition.weights(plan.participants), repetition.omega
    spread = float(objective.spread(omega, plan.batch_sizes.astype(float)))
    far = float(objective.spread(omega, objective.reference))
    compute_s = plan.latency_s.compute / plan.rounds
    # what no way and no broadcast is in
    rest_j = float(planned_round(joint)[1]) - costs.move_j - costs.downlink_j
    positions, progress, spent = scheme.array.start(), 0.0, np.zeros(2)
    errors = []

    def forecast(link: Link) -> Forecast:
        return scheme.air.forecast(link, weights, repetition.matrix_sizes)

    for index in range(1, MOST + 1):
        radio = repetition.radio(index)
        now = places.Standing(repetition, scheme, current, index - 1, positions, weights)
        aim = places.target(now, radio, forecast)
        way = repetition.movement(scheme.array, positions, aim.positions)
        turn = OneRound(repetition, SCHEME, index, positions)
        booked = turn.at(plan.participants, way.positions).costs
        positions = way.positions
        error = forecast(scheme.array.link(radio, weights, positions)).error(plan.power_backoff)
        errors.append(error)
        serial = max(compute_s, way.time_s) if costs.overlap else compute_s + way.time_s
        round_s = serial + costs.uplink_s + costs.pilot_s + booked.downlink_s
        round_j = rest_j + way.energy_j + booked.downlink_j
        step = 1.0 / float(objective.burden(error, spread, far))
        share = min(1.0, (objective.needed - progress) / step)
        spent += share * np.array([round_s, round_j])
        progress += share * step
        if share < 1.0:
            return {
                "rounds": index - 1 + share,
                "time_s": float(spent[0]),
                "energy_j": float(spent[1]),
                "mse": float(np.mean(errors)),
            }
    return {"rounds": None, "time_s": None, "energy_j": None, "mse": float(np.mean(errors))}


def measured(name: str, variant: str, seed: int) -> dict[str, Any]:
    """Plan with each policy, and carry the plans out."""
    scenario = load_scenario(name, [*OWN, *VARIANTS[variant]])
    sizes = Repetition.open(scenario, seed).sizes
    pilot = planning_time.pilot(len(sizes.data_sizes))
    opened, found = Repetition(scenario, seed, sizes, pilot=pilot), {}
    for policy in CANDIDATES:
        known = moving(opened, policy)
        joint = plan_run(known, SCHEME)
        forecast = joint.plan.forecast
        assert forecast is not None
        predicted = {k: getattr(forecast, k) for k in ("rounds", "time_s", "energy_j", "mse")}
        found[policy] = {
            "predicted": predicted | {"value": joint.plan.value},
            "carried out": carried_out(known, joint),
        }
    return found


def value(one: dict[str, Any]) -> float:
    """Return the product of time and energy; infinite where the target is not reached."""
    time_s, energy_j = one["time_s"], one["energy_j"]
    return math.inf if time_s is None else float(time_s * energy_j)


def ratios(cell: dict[str, Any]) -> tuple[str, dict[str, float]]:
    """Return the policy of least predicted value, and each policy's value over the least."""

    def rank(policy: str) -> tuple[float, float, int]:  # as the product chooses
        told = cell[policy]["predicted"]
        energy = math.inf if told["energy_j"] is None else told["energy_j"]
        return told["value"], energy, CANDIDATES.index(policy)

    chosen = min(CANDIDATES, key=rank)
    values = {policy: value(cell[policy]["carried out"]) for policy in CANDIDATES}
    least = min(values.values())
    return chosen, {policy: one / least for policy, one in values.items()} | {
        "planned": values[chosen] / least
    }


def write_docs(document: dict[str, Any]) -> None:
    """Write the table of docs/planning.md."""
    groups: dict[str, list[tuple[str, dict[str, float]]]] = {}
    off = []
    for name, cell in document["cells"].items():
        chosen, over = ratios(cell)
        groups.setdefault(name.rpartition(", ")[0], []).append((chosen, over))
        both = cell[chosen]
        off.append(value(both["predicted"]) / value(both["carried out"]))
    columns = ("planned", *CANDIDATES)
    rows = [
        [
            name,
            ", ".join(chosen for chosen, _ in some),
            *(" / ".join(f"{over[one]:.2f}" for _, over in some) for one in columns),
        ]
        for name, some in groups.items()
    ]
    every = [over for some in groups.values() for _, over in some]
    for name, of in (("median", np.median), ("worst", np.max)):
        rows.append(
            [name, "", *(f"{float(of([over[one] for over in every])):.2f}" for one in columns)]
        )
    head = ["scenario", "chosen, by seed", *columns]
    said = (
        f"Time times energy of the chosen plan, predicted over carried out: {np.median(off):.2f} "
        f"in the median of {len(off)} ({min(off):.2f} to {max(off):.2f})."
    )
    table = manual.table(head, rows, 2)
    text = [*table, "", said, "", resumable.measured_on(document)]
    manual.put(PAGE, "choice of movement", "\n".join(text))


def main() -> None:
    """Measure what is missing, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    parser.add_argument("--write-docs", action="store_true")
    given = parser.parse_args()

    def cells() -> Iterator[resumable.Cell]:
        for seed in SEEDS[: given.seeds]:
            for name in SCENARIOS:
                for variant in VARIANTS:
                    case = name, variant, seed
                    yield f"{name}, {variant}, {seed}", lambda case=case: measured(*case)

    settings = {"objective": OBJECTIVE, "variants": VARIANTS, "scheme": SCHEME, "most": MOST}

    document = resumable.measure(RESULT, settings, () if given.write_docs else cells())
    resumable.write(RESULT, document)
    write_docs(document)


if __name__ == "__main__":
    main()
